/* running-process: idle detection and attention.
 *
 * Idle detection: when has a program gone quiet? A watch on one process, over pipes or a terminal,
 * that reports each quiet time once: silence of at least timeout_ns, and of stability_ns at the end
 * of it. Attention, at the end of this file, guesses what a program is about: busy, quiet, waiting
 * for somebody to type, done.
 *
 *     rp_idle_options options = RP_IDLE_OPTIONS_INIT;
 *
 *     options.timeout_ns = 2 * RP_SECOND;
 *     r = rp_idle_wait(process, &options, 60 * RP_SECOND, &result);
 *
 * What counts as activity: every byte written to the child and every byte read of it, each unless
 * ignored; with `metrics` also processor time and disk use of its whole tree. A child that we keep
 * waiting (paused, its ring full, not yet started) is not idle: the clock starts when that ends.
 *
 * Without decide and metrics nothing ticks: bytes stamp a time, one timer a watch is looked at when
 * a quiet time could be over. With one of them a sample is taken every sample_ns, and the rule
 * works on what changed since the last.
 *
 * All functions belong to the loop's thread but those marked [any thread]; in a forked child those
 * that return int give RP_EPERM and the others do nothing. Conventions: rp/base.h. */
#ifndef RP_IDLE_H
#define RP_IDLE_H

#include "rp/base.h"
#include "rp/process.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rp_idle_decision {
    RP_IDLE_DEFAULT = 0, /* as the rule without decide would have it */
    RP_IDLE_ACTIVE,      /* the clock starts anew */
    RP_IDLE_BEGIN,       /* it has been idle since the sample before this one, said for the first
                            time since an activity; from now on timeout_ns alone counts, no
                            stability_ns */
    RP_IDLE_REACHED      /* it is idle now, whatever the clock and the switch say */
} rp_idle_decision;

typedef enum rp_idle_start_on {
    RP_IDLE_START_NOW = 0,
    RP_IDLE_START_NEWLINE, /* with the first input that has a CR or LF in it */
    RP_IDLE_START_SUBMIT   /* with the first rp_submit */
} rp_idle_start_on;

/** What changed since the last sample, and where the clock stands. */
typedef struct rp_idle_info {
    uint64_t delta_ns;      /* since the last sample, or since the clock started */
    uint64_t idle_ns;       /* since the last activity, before this sample */
    uint64_t stable_ns;     /* since the first quiet sample after it; 0 = none yet */
    uint64_t samples;       /* with this one, since the clock started */
    uint64_t input_bytes;   /* written to the child: queued by rp_write and rp_submit */
    uint64_t output_bytes;  /* read, without churn */
    uint64_t churn_bytes;   /* control sequences that show nothing: CSI, carriage returns, ... */
    double cpu_percent;     /* of the tree, 100 = one processor; 0 without metrics */
    uint64_t disk_bytes;    /* read and written by the tree; 0 without metrics, or where the system
                               does not tell (another user's process) */
    uint64_t network_bytes; /* 0: no system tells this of a process */
    bool alive;
} rp_idle_info;

typedef struct rp_idle_options {
    size_t size;
    uint64_t timeout_ns;   /* 0 = 10 s; RP_FOREVER = never by itself */
    uint64_t stability_ns; /* 0 = 0.75 s */
    uint64_t sample_ns;    /* 0 = 0.25 s; sampled only where a decide or metrics need it: else no
                              timer ticks */
    bool ignore_input;     /* what is written to the child is no activity */
    bool ignore_output;    /* nor is what is read of it */
    bool ignore_churn;     /* nor are control sequences in what is read: a spinner that only moves
                              the cursor */
    rp_idle_start_on start_on; /* nothing is measured before; what came before the call counts */
    bool metrics; /* also count the tree's processor and disk use as activity. Each sample looks
                     through the system's processes, once for all watches of the loop */
    double cpu_percent_max;     /* more than this is activity; 0 = 2.0; with metrics only */
    uint64_t disk_bytes_max;    /* more than this in a sample is; 0 = 4096; with metrics only */
    uint64_t network_bytes_max; /* 0 = 4096; with metrics only */
    /** Asked with every sample, out of the loop; it may close the watch or the process. */
    rp_idle_decision (*decide)(const rp_idle_info *info, void *user);
    void *decide_user;
} rp_idle_options;
#define RP_IDLE_OPTIONS_INIT RP_INIT(rp_idle_options)

typedef enum rp_idle_reason {
    RP_IDLE_IS_IDLE,
    RP_IDLE_PROCESS_EXIT, /* or it never ran */
    RP_IDLE_TIMED_OUT,    /* rp_idle_wait only */
    RP_IDLE_INTERRUPTED   /* it ended after the caller had sent an interrupt */
} rp_idle_reason;

typedef struct rp_idle_result {
    rp_idle_reason reason;
    uint64_t idle_ns; /* how long it was idle then */
    uint64_t reserved[4];
} rp_idle_result;

/** Starts a standing watch: reports each quiet time once, the next after new activity (with
 * start_on: after the next such input), and last the end of the process, before its done. `options`
 * NULL: the defaults. `idle` comes out of the loop only; it may close the watch or the process.
 * `ret_idle` NULL: the watch closes itself after the end. On a process that has ended it reports
 * that.
 *
 * 0; RP_EINVAL: `idle` is NULL, no size, a number that is none (cpu_percent_max not finite or
 * negative), a limit without metrics, an unknown start_on, or one for a child whose stdin is not
 * piped; RP_E2BIG; RP_ECANCELED: the process is closed; RP_ENOMEM; RP_EPERM: a forked child.
 * rp_error_detail names the field. */
RP_API int
rp_idle_start(rp_process *process,
              const rp_idle_options *options,
              void (*idle)(rp_process *process, const rp_idle_result *result, void *user),
              void *user,
              rp_idle **ret_idle);

/** [any thread, before its close] Off: quiet times are not reported, what else goes on. Switching
 * on restarts the clock, and the present quiet time may be reported again. A watch begins on; to
 * set what is set changes nothing. */
RP_API void rp_idle_enable(rp_idle *idle, bool enabled);

/** No report follows. NULL is allowed. The watch of a closed process reports nothing and must still
 * be closed, or is with the loop. */
RP_API void rp_idle_close(rp_idle *idle);

/** [runs] Waits for the next quiet time or the end. `timeout_ns` bounds the wait, and stops
 * nothing. 0: it came, see the result; RP_ETIMEDOUT: it did not, the result is written too (reason
 * RP_IDLE_TIMED_OUT); RP_ENOBUFS: in pull mode a ring is full, so that the child waits for us: pull
 * it; RP_EINVAL: also an answer of decide that is none; RP_ECANCELED: closed meanwhile, or
 * rp_loop_stop; RP_EDEADLK: from inside a callback; RP_EINTR: see rp_loop_options; errors of
 * rp_idle_start; else the loop's. */
RP_API int rp_idle_wait(rp_process *process,
                        const rp_idle_options *options,
                        uint64_t timeout_ns,
                        rp_idle_result *ret_result);

/* ---- attention ------------------------------------------------------------ */

/* Attention: a heuristic. It puts together what a child shows, what it tells its terminal (titles,
 * bells, progress, the marks that shells put around prompts and commands), whether somebody of it
 * sits and reads the terminal (or the piped stdin), and what its tree uses of the processors. Each
 * report names the reason that decided and how much it is worth. It can be wrong: a program may
 * paint while it waits, or wait in a way that cannot be seen. Decide what a mistake may cost before
 * relying on it.
 *
 * Output and input are events; the rest is looked at when output has stopped, and then again, less
 * and less often, only for as long as nothing certain is known. */

typedef enum rp_attention_state {
    RP_ATTENTION_BUSY = 0,
    RP_ATTENTION_QUIET,         /* nothing seems to go on, and nobody to be asked */
    RP_ATTENTION_WAITING_INPUT, /* somebody should type */
    RP_ATTENTION_DONE           /* it has ended, or never ran; always the last */
} rp_attention_state;

typedef enum rp_attention_reason {
    RP_ATTENTION_BY_START = 0, /* BUSY: it has not started, or not been looked at yet */
    RP_ATTENTION_BY_OUTPUT,    /* BUSY: it has just shown something, or changed its title */
    RP_ATTENTION_BY_INPUT,     /* BUSY: it has just got something to react to */
    RP_ATTENTION_BY_PROGRESS,  /* BUSY: it tells of progress (OSC 9;4) */
    RP_ATTENTION_BY_COMMAND,   /* BUSY: its shell runs a command (OSC 133) */
    RP_ATTENTION_BY_PROCESSOR, /* BUSY: its tree uses the processors */
    RP_ATTENTION_BY_US,        /* BUSY: it waits for us to take its output */
    RP_ATTENTION_BY_SILENCE,   /* QUIET: none of all these */
    RP_ATTENTION_BY_READING,   /* WAITING_INPUT: it reads its terminal, or its stdin */
    RP_ATTENTION_BY_PASSWORD,  /* WAITING_INPUT: and does not show what is typed */
    RP_ATTENTION_BY_PROMPT,    /* WAITING_INPUT: its shell shows its prompt (OSC 133) */
    RP_ATTENTION_BY_BELL,      /* WAITING_INPUT: it rang, or notified, and is silent since */
    RP_ATTENTION_BY_EXIT       /* DONE */
} rp_attention_reason;

typedef struct rp_attention_info {
    size_t size;
    rp_attention_state state;
    rp_attention_reason reason;
    double confidence;  /* 0 to 1: how often one would be right to believe it */
    uint64_t since_ns;  /* point in time: when it was first found so */
    double cpu_percent; /* of the tree at the last look, 100 = one processor; 0 where none was
                           needed */
    int64_t pid;        /* who reads; 0 = nobody, or not known */
} rp_attention_info;

typedef struct rp_attention_options {
    size_t size;
    uint64_t quiet_ns;      /* output and input are over after so long; 0 = 0.3 s */
    uint64_t sample_ns;     /* between looks while nothing certain is known, and up to eight times
                               that later on; 0 = 0.5 s */
    double cpu_percent_max; /* more is busy; 0 = 5.0 */
} rp_attention_options;
#define RP_ATTENTION_OPTIONS_INIT RP_INIT(rp_attention_options)

/** Starts a watch. `changed` comes, out of the loop only, whenever state or reason are others than
 * before, first when anything but RP_ATTENTION_BY_START is known, and last with DONE, before the
 * process's done. `info` until it returns. It may close the watch or the process. `options` NULL:
 * the defaults. `ret_attention` NULL: the watch closes itself after DONE.
 *
 * 0; RP_EINVAL: `changed` is NULL, no size, cpu_percent_max is no percentage, sample_ns of more
 * than 73 years; RP_E2BIG; RP_ECANCELED: the process is closed; RP_ENOMEM; RP_EPERM: a forked
 * child. */
RP_API int
rp_attention_start(rp_process *process,
                   const rp_attention_options *options,
                   void (*changed)(rp_process *process, const rp_attention_info *info, void *user),
                   void *user,
                   rp_attention **ret_attention);

/** What was found last; set ret_info->size before. 0; RP_EINVAL: no size; RP_EPERM: a forked child.
 */
RP_API int rp_attention_get(rp_attention *attention, rp_attention_info *ret_info);

/** [any thread] "busy", "quiet", "waiting for input", "done"; static, never NULL; so are reasons:
 * "it reads its input", ... */
RP_API const char *rp_attention_state_name(rp_attention_state state);
RP_API const char *rp_attention_reason_text(rp_attention_reason reason);

/** As rp_idle_close. */
RP_API void rp_attention_close(rp_attention *attention);

#ifdef __cplusplus
}
#endif
#endif
