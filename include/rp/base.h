/* running-process: what every other header stands on: results and errors, types, text helpers.
 *
 * Conventions of the whole library
 *
 * Results    int: 0 or a count; negative is an error: RP_E... is -E... of <errno.h>, the library's
 *            own lie below -4095. Pulling functions: 1 = one came, 0 = the end. Outputs named ret_
 *            are written on success only. rp_error_detail says more.
 * Time       uint64_t nanoseconds, suffix _ns, of one monotonic clock (rp_now_ns;
 *            CLOCK_MONOTONIC on Linux): in options a span that begins with the call, in stamps and
 *            names ending in _at_ns a point. _time_ms: wall clock, milliseconds since 1970.
 * Text       NUL-terminated bytes; UTF-8 on Windows.
 * Options    begin with their own size, as do some ret_ structs: set it (RP_INIT). Zero is the
 *            default. A shorter struct is an older program's, its missing end zero. Bytes set
 *            beyond what the library knows: RP_E2BIG. No size, contradictions: RP_EINVAL. What this
 *            system or build cannot: RP_EUNSUPPORTED. Nothing is ignored. All is copied in the
 *            call, descriptors are duplicated.
 * ABI        The library at run time is as new as this header or newer. Structs with a size and
 *            those that only callbacks are handed grow at their end; those with `reserved` grow
 *            inside it (zero it, read nothing there); the others stay. Nothing new goes into
 *            padding. Enums have the size of int and may take values that are not listed.
 * Threads    A loop and all made from it belong to the thread that opened it, except functions
 *            marked [any thread]. Loops are independent. In a forked child calls give RP_EPERM;
 *            rp_loop_close there frees memory and touches no process. No process-wide state is
 *            touched: no signal handler, no SIGCHLD, no SIGPIPE, no wait for children of others.
 * Callbacks  come one at a time and only out of functions marked [runs], never out of the call that
 *            started what they report. They may call everything but [runs] functions of their loop:
 *            RP_EDEADLK. They return: no longjmp, no exception.
 * [runs]     Runs the loop: callbacks of other objects come as well. If one of them closes what is
 *            waited for, or rp_loop_stop is called, a waiting function returns RP_ECANCELED and
 *            touches it no more. Signals: see rp_loop_options.return_on_signal.
 * Handles    live until their close, which comes once, also from their own callback; NULL is
 *            allowed. rp_loop_close closes the rest. A close is silent: no callback of the handle
 *            follows; what is pending on it is dropped. A cancel is not.
 * Views      are borrowed. In a callback: until it returns, even if it closes the handle. From a
 *            pulling or waiting function: until the next one on the same process, or its close,
 *            whatever else happens meanwhile. Others say.
 */
#ifndef RP_BASE_H
#define RP_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef RP_API /* the library's own build exports; a program may define __declspec(dllimport) */
#define RP_API
#endif

#ifdef __cplusplus
#define RP_INIT(type)                                                                              \
    ([] {                                                                                          \
        type rp_init_ = type();                                                                    \
        rp_init_.size = sizeof(type);                                                              \
        return rp_init_;                                                                           \
    }())
extern "C" {
#else
/** An options struct at its defaults: all zero but the size. Other languages do just that. */
#define RP_INIT(type)                                                                              \
    {                                                                                              \
        .size = sizeof(type)                                                                       \
    }
#endif

/** 0xMMmmpp, of this header; rp_version_number() tells the library's. */
#define RP_VERSION_NUMBER 0x010000
#define RP_MILLISECOND UINT64_C(1000000)
#define RP_SECOND UINT64_C(1000000000)
#define RP_FOREVER UINT64_MAX
#define RP_UNLIMITED SIZE_MAX

typedef struct rp_loop rp_loop;
typedef struct rp_process rp_process;
typedef struct rp_group rp_group;
typedef struct rp_track rp_track;
typedef struct rp_timer rp_timer;
typedef struct rp_watch rp_watch;
typedef struct rp_expect rp_expect;
typedef struct rp_idle rp_idle;
typedef struct rp_attention rp_attention;

/** Bytes that belong to somebody else. With size 0, data may be NULL. No NUL need follow. */
typedef struct rp_view {
    const char *data;
    size_t size;
} rp_view;

/** An embedder's memory: malloc, realloc and free in one function. [any thread] */
typedef struct rp_allocator {
    /** old NULL (old_size 0): a new block; new_size 0: release `old`, the result is not looked at;
     * else the block grows or shrinks. NULL: no memory, `old` stays. old_size is the size that was
     * asked for last. Blocks are aligned as malloc's. */
    void *(*resize)(void *old, size_t old_size, size_t new_size, void *user);
    void *user;
} rp_allocator;

/* ---- status: all of this header is [any thread] --------------------------- */

enum { /* the system's that callers tell apart; others pass through as -errno */
    RP_EPERM = -EPERM,
    RP_ENOENT = -ENOENT,
    RP_ESRCH = -ESRCH,
    RP_EINTR = -EINTR,
    RP_EIO = -EIO,
    RP_E2BIG = -E2BIG,
    RP_EAGAIN = -EAGAIN,
    RP_ENOMEM = -ENOMEM,
    RP_EACCES = -EACCES,
    RP_EBUSY = -EBUSY,
    RP_EINVAL = -EINVAL,
    RP_EMFILE = -EMFILE,
    RP_EPIPE = -EPIPE,
    RP_EDEADLK = -EDEADLK,
    RP_EMSGSIZE = -EMSGSIZE,
    RP_ENOBUFS = -ENOBUFS,
    RP_ETIMEDOUT = -ETIMEDOUT,
    RP_ECANCELED = -ECANCELED,
    RP_EOS = -4096,          /* end of stream */
    RP_EUNSUPPORTED = -4097, /* this platform or build cannot; never a silent no-op */
    RP_ELOST = -4098,        /* the host reaped our child: it is gone, its status unknown */
    RP_EPATTERN = -4099 /* a pattern that does not parse, cannot be matched as bytes come, or ran
                           into the match limit */
};

/** The name of an error: "RP_ENOENT". Every errno of the system has one in the same form, also
 * those without a constant above ("RP_ENOSPC"). 0 is "RP_OK"; a number that is no error
 * "RP_UNKNOWN". The sign does not matter for the system's own. Static; never NULL. */
RP_API const char *rp_error_name(int error);

/** One English sentence without a full stop: "no such file or directory". The same in every locale.
 * 0 is "success"; a number that is no error "unknown error". Static; never NULL. */
RP_API const char *rp_strerror(int error);

/** The number of a name as rp_error_name gives it, for languages that cannot read the header:
 * "RP_ENOENT" is RP_ENOENT. 0 for "RP_OK", for a name that is none, and for NULL. */
RP_API int rp_error_number(const char *name);

/** More about the calling thread's last failed call, for a person: "cwd: no such directory". Inside
 * a callback: about what that callback reports. "" where there is no more to say; never NULL. Yours
 * until the same thread's next call into the library. */
RP_API const char *rp_error_detail(void);

/** "MAJOR.MINOR.PATCH" of the library that runs. Static. */
RP_API const char *rp_version(void);

/** The same as RP_VERSION_NUMBER, of the library that runs: 0xMMmmpp. */
RP_API uint32_t rp_version_number(void);

/** Whether something is built in and usable here: "uring" (tried out once, then remembered),
 * "epoll", "kqueue", "iocp", "pty", "regex", "screen", "track", "cgroup". False for names that are
 * none, and for NULL. */
RP_API bool rp_has(const char *feature);

/** Now, in nanoseconds of the clock of all stamps (CLOCK_MONOTONIC). Never 0. */
RP_API uint64_t rp_now_ns(void);

/* ---- text and memory ------------------------------------------------------ */

/** Copies `bytes` as valid UTF-8: each longest part that begins a character but is not one (a
 * "maximal subpart", as in the Unicode Standard and the WHATWG decoder) becomes one U+FFFD. NULs
 * are kept. As snprintf: writes at most text_size bytes with a NUL at the end, cuts between
 * characters, and returns the size that the whole text needs without its NUL. text may be NULL when
 * text_size is 0. Does not fail. `text` and `bytes` do not overlap. */
RP_API size_t rp_utf8_repair(rp_view bytes, char *text, size_t text_size);

/** Releases what a function of the library allocated for its caller and said so. NULL is allowed.
 */
RP_API void rp_free(void *memory);

#ifdef __cplusplus
}
#endif
#endif
