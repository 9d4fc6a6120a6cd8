/* kqueue on Linux, for tests only: it lets the kqueue backend, with all that stands on it, run on
 * the machine at hand and under its sanitizers. Linked into the library by RP_TEST_KQUEUE.
 *
 * One epoll a queue, for edges. An edge says only that something happened to a descriptor: whether
 * a filter holds is asked of the descriptor (poll, FIONREAD) when it is added, when it happens and
 * again when it is delivered, as the BSDs do. What is active and not delivered keeps an eventfd in
 * the epoll readable, so that the queue's descriptor, the epoll's, can be waited on by others.
 *
 * RP_KQUEUE_SHIM=macos in the environment makes it as unkind as macOS is: an exiting process cannot
 * be registered, NOTE_EXIT comes before the status, the end of a terminal reads as 0 and a master
 * without a slave is at its end at once; and adds what no system promises not to do: events for
 * nothing, and one event at a time.
 *
 * Written from the manual and from measurements; the kernel's exit paths of terminals are not here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/list.h"
#include "base/os.h"
#include "tests/support/kqueue_shim/shim.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum {
    BUCKET_COUNT = 4096,
    NOTES_AT_ONCE = 512,
    SLAVES_LOOKED_AT = 1100,
    HARVEST_MAX = 64,
    LATE_MAX = 256, /* processes whose status comes late */
    HIGH = 1000,    /* our own descriptors are kept out of the way of whoever wants low ones */
    SPURIOUS_IN = 8 /* one wait in so many gets an event for nothing */
};

#define PATIENT_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define FLAGS_KEPT (EV_ONESHOT | EV_CLEAR | EV_DISPATCH)

typedef struct queue queue;

typedef struct knote {
    rpi_list all;    /* of its queue */
    rpi_list bucket; /* of those with the same hash */
    rpi_list active; /* in the queue's list, or alone */
    uintptr_t ident;
    int filter;
    unsigned flags;
    unsigned wanted; /* fflags asked for */
    unsigned fflags; /* and those that happened */
    int64_t data;
    void *udata;
    int fd; /* PROC: a pidfd; TIMER: a timerfd; else -1 */
    bool is_disabled;
} knote;

struct queue {
    rpi_list node;
    int epoll;
    int wake;     /* readable while something is active */
    pid_t opener; /* the thread */
    rpi_list all;
    rpi_list active;
    rpi_list buckets[BUCKET_COUNT];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static rpi_list queues = {&queues, &queues};
static rpi_list free_notes = {&free_notes, &free_notes};
static bool is_macos;
static unsigned random_state = 1;
static pid_t late[LATE_MAX]; /* macOS: the next look at their status finds none */
static unsigned late_next;

/* ---- the lock: never held while a handler may run, as handlers ring bells ---- */

static void enter(sigset_t *ret_before)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, ret_before);
    (void)pthread_mutex_lock(&lock);
}

static void leave(const sigset_t *before)
{
    (void)pthread_mutex_unlock(&lock);
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* ---- knotes ---- */

static bool is_of_descriptor(const knote *note)
{
    return note->filter == EVFILT_READ || note->filter == EVFILT_WRITE;
}

static rpi_list *bucket_of(queue *self, uintptr_t ident, int filter)
{
    const uintptr_t mixed = (ident ^ (ident >> 12)) * 31 + (uintptr_t)(-filter);

    return &self->buckets[mixed % BUCKET_COUNT];
}

/* Memory of its own, from the system: tests count what the library takes, and from where. What is
 * given back is kept for the next. */
static knote *take_memory(void)
{
    rpi_list *node = rpi_list_take_first(&free_notes);
    knote *note;

    if (node == NULL) {
        knote *notes = mmap(NULL, NOTES_AT_ONCE * sizeof *notes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (notes == MAP_FAILED) {
            return NULL;
        }
        for (unsigned i = 1; i < NOTES_AT_ONCE; i++) {
            rpi_list_append(&free_notes, &notes[i].all);
        }
        node = &notes[0].all;
    }
    note = RPI_CONTAINER(node, knote, all);
    memset(note, 0, sizeof *note);
    return note;
}

static void free_memory(knote *note)
{
    rpi_list_append(&free_notes, &note->all);
}

static knote *find(queue *self, uintptr_t ident, int filter)
{
    rpi_list *bucket = bucket_of(self, ident, filter);

    for (rpi_list *node = bucket->next; node != bucket; node = node->next) {
        knote *note = RPI_CONTAINER(node, knote, bucket);

        if (note->ident == ident && note->filter == filter) {
            return note;
        }
    }
    return NULL;
}

static knote *find_other(queue *self, const knote *note)
{
    return find(self, note->ident, note->filter == EVFILT_READ ? EVFILT_WRITE : EVFILT_READ);
}

/** Takes a knote out and frees it. */
static void drop(queue *self, knote *note)
{
    rpi_list_remove(&note->all);
    rpi_list_remove(&note->bucket);
    rpi_list_remove(&note->active);
    if (note->fd >= 0) {
        // A copy of the descriptor in a child would keep it in the epoll.
        (void)epoll_ctl(self->epoll, EPOLL_CTL_DEL, note->fd, NULL);
        (void)close(note->fd);
    } else if (is_of_descriptor(note) && find_other(self, note) == NULL) {
        (void)epoll_ctl(self->epoll, EPOLL_CTL_DEL, (int)note->ident, NULL); // or it is closed
    }
    free_memory(note);
}

static void activate(queue *self, knote *note)
{
    if (!note->is_disabled && rpi_list_is_empty(&note->active)) {
        rpi_list_append(&self->active, &note->active);
    }
}

/* Out of the way: what is tested looks at low numbers. */
static int lift(int fd)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, HIGH);

    if (high < 0 && fd >= 0) {
        high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    }
    if (high < 0) {
        return fd;
    }
    (void)close(fd);
    return high;
}

/* ---- whether a filter holds ---- */

static bool is_master(int fd)
{
    unsigned number;

    return ioctl(fd, TIOCGPTN, &number) == 0;
}

static short poll_now(int fd, short events)
{
    struct pollfd asked = {.fd = fd, .events = events};

    return poll(&asked, 1, 0) > 0 ? asked.revents : 0;
}

static void set_end(knote *note, bool is_at_end, bool may_end_end)
{
    if (is_at_end) {
        note->flags |= EV_EOF;
    } else if (may_end_end) {
        note->flags &= ~EV_EOF;
    }
}

static bool can_read(knote *note, const struct stat *status)
{
    const int fd = (int)note->ident;
    const short found = poll_now(fd, POLLIN | POLLRDHUP);
    int count = 0;

    if (ioctl(fd, FIONREAD, &count) < 0) {
        count = 0;
    }
    note->data = count;
    // On a terminal an end is for ever, even when a slave is opened again.
    set_end(note, (found & (POLLHUP | POLLRDHUP | POLLERR)) != 0, !S_ISCHR(status->st_mode));
    return (note->flags & EV_EOF) != 0 || (found & POLLIN) != 0;
}

static bool can_write(knote *note, const struct stat *status)
{
    const short found = poll_now((int)note->ident, POLLOUT);
    const bool is_broken = (found & (POLLERR | POLLHUP)) != 0;

    note->data = 1;
    set_end(note, is_broken, true);
    if (is_broken && S_ISFIFO(status->st_mode) && !is_macos) {
        note->flags |= EV_ONESHOT;
    }
    return is_broken || (found & POLLOUT) != 0;
}

/** Evaluates the filter of a descriptor; sets data and EV_EOF. */
static bool holds(knote *note)
{
    struct stat status;

    if (fstat((int)note->ident, &status) < 0) {
        return false;
    }
    if (S_ISREG(status.st_mode)) {
        note->data = status.st_size - lseek((int)note->ident, 0, SEEK_CUR);
        return note->filter == EVFILT_WRITE || note->data != 0;
    }
    return note->filter == EVFILT_READ ? can_read(note, &status) : can_write(note, &status);
}

/** Whether the descriptor is still the file that the epoll watches. To modify it would raise the
 * edge again, so it is tried to add it. */
static bool is_watched(queue *self, int fd)
{
    struct epoll_event event = {.events = 0, .data.u64 = 1};

    if (epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0) {
        (void)epoll_ctl(self->epoll, EPOLL_CTL_DEL, fd, NULL);
        return false;
    }
    return errno == EEXIST || errno == EPERM; // EPERM: a regular file, of which nothing is known
}

/* ---- processes ---- */

/** Whether the process's status can be had: nobody's child counts as ended when its pidfd says so.
 */
static bool has_ended(int pidfd, int64_t *ret_status)
{
    siginfo_t info;

    memset(&info, 0, sizeof info);
    *ret_status = 0;
    if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        *ret_status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status;
        return info.si_pid != 0;
    }
    return (poll_now(pidfd, POLLIN) & POLLIN) != 0;
}

static void make_late(pid_t pid)
{
    if (is_macos) {
        late[late_next++ % LATE_MAX] = pid;
    }
}

/** Instead of waitid on macOS: the first look after NOTE_EXIT, or after a refusal to register,
 * finds nothing yet. */
static int
late_waitid(int id_type, int id, void *ret_siginfo, int options, struct rusage *ret_rusage)
{
    sigset_t before;
    bool is_late = false;

    enter(&before);
    for (unsigned i = 0; i < LATE_MAX && id_type == P_PID && (options & WNOHANG) != 0; i++) {
        if (late[i] == id) {
            late[i] = 0;
            is_late = true;
        }
    }
    leave(&before);
    if (is_late) {
        memset(ret_siginfo, 0, sizeof(siginfo_t));
        return 0;
    }
    return (int)syscall(SYS_waitid, id_type, id, ret_siginfo, options, ret_rusage);
}

/* ---- adding ---- */

static int watch_fd(queue *self, knote *note)
{
    struct epoll_event event = {.events = PATIENT_EVENTS, .data.u64 = note->ident << 1 | 1};
    struct stat status;
    const int fd = (int)note->ident;

    if (fstat(fd, &status) < 0) {
        return errno;
    }
    if (note->filter == EVFILT_WRITE && !is_macos && S_ISFIFO(status.st_mode) &&
        (poll_now(fd, POLLOUT) & POLLERR) != 0) {
        return EPIPE;
    }
    if (epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) < 0 && errno != EEXIST) {
        if (errno == EPERM && !S_ISREG(status.st_mode)) {
            return ENODEV;
        }
        return errno == EPERM ? 0 : errno;
    }
    // The look is a long one: it is taken where there are few.
    if (is_macos && fd < SLAVES_LOOKED_AT && note->filter == EVFILT_READ && is_master(fd) &&
        !rpi_kqueue_shim_has_slave(fd)) {
        note->flags |= EV_EOF;
    }
    return 0;
}

/** kqueue takes no descriptor for a process: where there are no more, we allow ourselves one. */
static int open_pidfd(pid_t pid)
{
    struct rlimit limit;
    struct rlimit raised;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd < 0 && errno == EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        raised = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        (void)setrlimit(RLIMIT_NOFILE, &raised); // to what is allowed
        fd = (int)syscall(SYS_pidfd_open, pid, 0);
        (void)setrlimit(RLIMIT_NOFILE, &limit); // as it was
        return fd;
    }
    return lift(fd);
}

static int watch_process(queue *self, knote *note)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = note};
    const pid_t pid = (pid_t)note->ident;

    note->fd = open_pidfd(pid);
    if (note->fd < 0) {
        return errno;
    }
    if (is_macos && has_ended(note->fd, &note->data)) {
        make_late(pid);
        (void)close(note->fd);
        note->fd = -1;
        return ESRCH;
    }
    if (epoll_ctl(self->epoll, EPOLL_CTL_ADD, note->fd, &event) < 0) {
        (void)close(note->fd);
        note->fd = -1;
        return ENOMEM;
    }
    return 0;
}

static int set_timer(queue *self, knote *note)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = note};
    const int64_t ns = note->data > 0 ? note->data * 1000000 : 1;
    struct itimerspec when = {.it_value = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000}};

    if (note->fd < 0) {
        note->fd = lift(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
        if (note->fd < 0) {
            return errno;
        }
        (void)epoll_ctl(self->epoll, EPOLL_CTL_ADD, note->fd, &event);
    }
    if ((note->flags & EV_ONESHOT) == 0) {
        when.it_interval = when.it_value;
    }
    rpi_list_remove(&note->active); // an expiry that was not delivered is dropped
    return timerfd_settime(note->fd, 0, &when, NULL) < 0 ? errno : 0;
}

static int start(queue *self, knote *note)
{
    switch (note->filter) {
    case EVFILT_READ:
    case EVFILT_WRITE:
        return watch_fd(self, note);
    case EVFILT_PROC:
        return watch_process(self, note);
    case EVFILT_TIMER:
        return set_timer(self, note);
    case EVFILT_USER:
        return 0;
    default:
        return EINVAL;
    }
}

static int add(queue *self, const struct kevent *change, knote **ret_note)
{
    knote *note = take_memory();
    int error;

    if (note == NULL) {
        return ENOMEM;
    }
    note->ident = change->ident;
    note->filter = change->filter;
    note->flags = change->flags & FLAGS_KEPT;
    note->wanted = change->fflags;
    note->data = change->data;
    note->udata = change->udata;
    note->fd = -1;
    rpi_list_init(&note->active);
    error = start(self, note);
    if (error != 0) {
        free_memory(note);
        return error;
    }
    rpi_list_append(&self->all, &note->all);
    rpi_list_append(bucket_of(self, note->ident, note->filter), &note->bucket);
    *ret_note = note;
    return 0;
}

/** Its flags stay as they were when it was added. */
static int add_again(queue *self, knote *note, const struct kevent *change)
{
    note->udata = change->udata;
    if (note->filter == EVFILT_TIMER) {
        note->data = change->data;
        return set_timer(self, note);
    }
    return 0;
}

/** What was registered under this number for another file is gone: it was closed. */
static int forget_closed(queue *self, int fd)
{
    knote *note;

    if (!is_watched(self, fd)) {
        while ((note = find(self, (uintptr_t)fd, EVFILT_READ)) != NULL) {
            drop(self, note);
        }
        while ((note = find(self, (uintptr_t)fd, EVFILT_WRITE)) != NULL) {
            drop(self, note);
        }
    }
    return fcntl(fd, F_GETFD) < 0 ? EBADF : 0;
}

/** 0 or an errno. */
static int apply(queue *self, const struct kevent *change)
{
    const bool is_fd = change->filter == EVFILT_READ || change->filter == EVFILT_WRITE;
    int error = is_fd ? forget_closed(self, (int)change->ident) : 0;
    knote *note;

    if (error != 0) {
        return error;
    }
    note = find(self, change->ident, change->filter);
    if (note == NULL && (change->flags & EV_ADD) == 0) {
        return ENOENT;
    }
    if ((change->flags & EV_DELETE) != 0) {
        drop(self, note);
        return 0;
    }
    if (note == NULL) {
        error = add(self, change, &note);
    } else if ((change->flags & EV_ADD) != 0) {
        error = add_again(self, note, change);
    }
    if (error != 0) {
        return error;
    }
    if ((change->flags & EV_DISABLE) != 0) {
        note->is_disabled = true;
        rpi_list_remove(&note->active);
    } else if ((change->flags & EV_ENABLE) != 0) {
        note->is_disabled = false;
    }
    if (note->filter == EVFILT_USER ? (change->fflags & NOTE_TRIGGER) != 0 : is_fd && holds(note)) {
        activate(self, note);
    }
    return 0;
}

/* ---- what happened ---- */

static void take_edge(queue *self, int fd)
{
    static const int FILTERS[] = {EVFILT_READ, EVFILT_WRITE};

    for (unsigned i = 0; i < sizeof FILTERS / sizeof FILTERS[0]; i++) {
        knote *note = find(self, (uintptr_t)fd, FILTERS[i]);

        if (note != NULL && holds(note)) {
            activate(self, note);
        }
    }
}

static void take_own(queue *self, knote *note)
{
    uint64_t expiries = 0;

    if (note->filter == EVFILT_TIMER) {
        if (read(note->fd, &expiries, sizeof expiries) == (ssize_t)sizeof expiries) {
            note->data = (int64_t)expiries;
            activate(self, note);
        }
        return;
    }
    (void)has_ended(note->fd, &note->data);
    note->data = is_macos ? 0 : note->data; // it was not asked for by NOTE_EXITSTATUS
    note->fflags |= note->wanted & NOTE_EXIT;
    note->flags |= EV_EOF | EV_ONESHOT;
    make_late((pid_t)note->ident);
    (void)epoll_ctl(self->epoll, EPOLL_CTL_DEL, note->fd, NULL); // it would stay readable
    activate(self, note);
}

/** Takes everything out of the epoll. */
static void harvest(queue *self)
{
    struct epoll_event events[HARVEST_MAX];
    uint64_t count;
    int found;

    do {
        found = epoll_wait(self->epoll, events, HARVEST_MAX, 0);
        for (int i = 0; i < found; i++) {
            if (events[i].data.u64 == 0) {
                (void)!read(self->wake, &count, sizeof count); // level: or it was taken
            } else if ((events[i].data.u64 & 1) != 0) {
                take_edge(self, (int)(events[i].data.u64 >> 1));
            } else {
                take_own(self, events[i].data.ptr);
            }
        }
    } while (found == HARVEST_MAX);
}

static void ring(const queue *self)
{
    static const uint64_t one = 1;

    (void)!write(self->wake, &one, sizeof one); // full: then it is readable already
}

/* ---- telling ---- */

static void tell(queue *self, knote *note, struct kevent *event)
{
    const bool is_user = note->filter == EVFILT_USER;

    *event = (struct kevent){
        .ident = note->ident,
        .filter = (short)note->filter,
        .flags = (unsigned short)(note->flags | (is_macos ? EV_ADD : 0U)),
        .fflags = is_user ? 0 : note->fflags,
        .data = is_user ? 0 : note->data,
        .udata = note->udata,
    };
    if ((note->flags & EV_ONESHOT) != 0) {
        drop(self, note);
    } else if ((note->flags & EV_DISPATCH) != 0) {
        note->is_disabled = true;
    } else if ((note->flags & EV_CLEAR) == 0) {
        activate(self, note); // level: again as long as it holds
    }
}

/** Whether an active knote is to be told: evaluated again now. Drops one whose file was closed. */
static bool is_true(queue *self, knote *note)
{
    if (!is_of_descriptor(note)) {
        return true;
    }
    if (!is_watched(self, (int)note->ident)) {
        drop(self, note);
        return false;
    }
    return holds(note);
}

/** Tells what is active; the number of events. */
static int tell_all(queue *self, struct kevent *events, int event_max)
{
    rpi_list batch;
    rpi_list *node;
    int count = 0;

    rpi_list_init(&batch);
    rpi_list_move_all(&batch, &self->active);
    while (count < event_max && (node = rpi_list_take_first(&batch)) != NULL) {
        knote *note = RPI_CONTAINER(node, knote, active);

        if (is_true(self, note)) {
            tell(self, note, &events[count++]);
        }
    }
    while ((node = rpi_list_take_first(&batch)) != NULL) {
        rpi_list_append(&self->active, node);
    }
    if (!rpi_list_is_empty(&self->active)) {
        ring(self);
    }
    return count;
}

static unsigned next_random(void)
{
    random_state = random_state * 1103515245U + 12345U;
    return random_state >> 16;
}

/** Now and then an event for nothing, of a filter that tells edges. */
static int tell_nothing(queue *self, struct kevent *events)
{
    rpi_list *node = rpi_list_take_first(&self->all);
    knote *note;

    if (node == NULL) {
        return 0;
    }
    rpi_list_append(&self->all, node); // another one next time
    note = RPI_CONTAINER(node, knote, all);
    if (!is_of_descriptor(note) || (note->flags & EV_CLEAR) == 0 || note->is_disabled ||
        !is_watched(self, (int)note->ident)) {
        return 0;
    }
    tell(self, note, &events[0]);
    return 1;
}

/* ---- the calls ---- */

static queue *find_queue(int fd)
{
    for (rpi_list *node = queues.next; node != &queues; node = node->next) {
        queue *self = RPI_CONTAINER(node, queue, node);

        if (self->epoll == fd) {
            return self;
        }
    }
    return NULL;
}

static void free_queue(queue *self)
{
    rpi_list *node;

    while ((node = self->all.next) != &self->all) {
        drop(self, RPI_CONTAINER(node, knote, all));
    }
    (void)close(self->wake);
    rpi_list_remove(&self->node);
    (void)munmap(self, sizeof *self);
}

/** Queues whose descriptor was closed: as it is their epoll's, it is found out by the wake, which
 * is in it. */
static void collect_closed(void)
{
    rpi_list *next;

    for (rpi_list *node = queues.next; node != &queues; node = next) {
        queue *self = RPI_CONTAINER(node, queue, node);
        struct epoll_event event = {.events = EPOLLIN};

        next = node->next;
        if (epoll_ctl(self->epoll, EPOLL_CTL_MOD, self->wake, &event) < 0) {
            self->epoll = -1;
            free_queue(self);
        }
    }
}

int rpi_kqueue_shim_open(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0};
    queue *self =
        mmap(NULL, sizeof *self, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigset_t before;
    int fd;

    if (self == MAP_FAILED) {
        return errno = ENOMEM, -1;
    }
    fd = self->epoll = epoll_create1(EPOLL_CLOEXEC);
    self->wake = lift(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (fd < 0 || self->wake < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, self->wake, &event) < 0) {
        const int error = errno;

        if (fd >= 0) {
            (void)close(fd);
        }
        if (self->wake >= 0) {
            (void)close(self->wake);
        }
        (void)munmap(self, sizeof *self);
        return errno = error, -1;
    }
    rpi_list_init(&self->all);
    rpi_list_init(&self->active);
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        rpi_list_init(&self->buckets[i]);
    }
    self->opener = (pid_t)syscall(SYS_gettid);
    enter(&before);
    collect_closed();
    rpi_list_append(&queues, &self->node);
    leave(&before);
    return fd;
}

/** Makes the changes. The number of answers, or -errno when there was no room for an error. */
static int
apply_all(queue *self, const struct kevent *changes, int count, struct kevent *answers, int max)
{
    int answered = 0;

    for (int i = 0; i < count; i++) {
        const int error = apply(self, &changes[i]);

        if (error == 0 && (changes[i].flags & EV_RECEIPT) == 0) {
            continue;
        }
        if (answered < max) {
            answers[answered] = changes[i];
            answers[answered].flags = EV_ERROR;
            answers[answered].data = error;
            answered++;
        } else if (error != 0) {
            return -error;
        }
    }
    return answered;
}

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); // cannot fail for this clock
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/** Waits with the signals of the caller, until the queue has something; what is left until `end_ns`
 * (INT64_MAX = for ever) is over: 0. */
static int sleep_until(int epoll, int64_t end_ns, const sigset_t *mask)
{
    struct pollfd asked = {.fd = epoll, .events = POLLIN};
    const int64_t left_ns = end_ns == INT64_MAX ? 0 : end_ns - now_ns();
    const struct timespec left = {.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};

    if (left_ns < 0) {
        return 0;
    }
    return ppoll(&asked, 1, end_ns == INT64_MAX ? NULL : &left, mask);
}

/** One look, with the lock held by itself: the number of events, or -EBADF. */
static int look(int fd, struct kevent *events, int event_max, bool may_lie)
{
    sigset_t before;
    queue *self;
    int count = -EBADF;

    enter(&before);
    self = find_queue(fd);
    if (self != NULL) {
        harvest(self);
        count = tell_all(self, events, event_max);
        if (count == 0 && may_lie && next_random() % SPURIOUS_IN == 0) {
            count = tell_nothing(self, events);
        }
    }
    leave(&before);
    return count;
}

// NOLINTNEXTLINE(readability-function-size): the system call has six parameters
int rpi_kqueue_shim_kevent(int fd,
                           const struct kevent *changes,
                           int change_count,
                           struct kevent *events,
                           int event_max,
                           const struct timespec *timeout)
{
    int64_t end_ns = INT64_MAX;
    sigset_t before;
    queue *self;
    int count = -EBADF;

    enter(&before);
    self = find_queue(fd);
    if (self != NULL) {
        count = apply_all(self, changes, change_count, events, event_max);
        if (!rpi_list_is_empty(&self->active)) {
            ring(self);
        }
    }
    leave(&before);
    if (count != 0 || event_max == 0) {
        return count < 0 ? (errno = -count, -1) : count;
    }
    if (timeout != NULL) {
        end_ns = now_ns() + (int64_t)timeout->tv_sec * 1000000000 + timeout->tv_nsec;
    }
    for (;;) {
        const bool waits = timeout == NULL || timeout->tv_sec != 0 || timeout->tv_nsec != 0;

        count = look(fd, events, event_max, is_macos && waits);
        if (count != 0 || !waits) {
            return count < 0 ? (errno = -count, -1) : count;
        }
        count = sleep_until(fd, end_ns, &before);
        if (count <= 0) {
            return count;
        }
    }
}

/* ---- as a process begins, and in its copies ---- */

static void before_fork(void)
{
    (void)pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    (void)pthread_mutex_unlock(&lock);
}

/** A kqueue is not inherited: its descriptor is closed in the copy. */
static void in_copy(void)
{
    rpi_list *node;

    while ((node = queues.next) != &queues) {
        queue *self = RPI_CONTAINER(node, queue, node);
        const int epoll = self->epoll;

        self->epoll = -1; // shared with the original: nothing may be taken out of it
        free_queue(self);
        (void)close(epoll);
    }
    (void)pthread_mutex_unlock(&lock);
}

/** Instead of read on macOS: the end of a terminal is no error. */
static ssize_t soft_read(int fd, void *memory, size_t size)
{
    const ssize_t count = read(fd, memory, size);

    if (count < 0 && errno == EIO && is_master(fd)) {
        return 0;
    }
    return count;
}

/** Whether this thread has another table of descriptors than who opened the queue, as a thread that
 * launches may have: there the number means something else. */
static bool is_elsewhere(const queue *self)
{
    const pid_t here = (pid_t)syscall(SYS_gettid);

    return syscall(SYS_kcmp, here, self->opener, KCMP_FILES, 0, 0) > 0;
}

/** A queue ends with its descriptor. */
static int close_all(int fd)
{
    sigset_t before;
    queue *self;

    enter(&before);
    self = find_queue(fd);
    if (self != NULL && !is_elsewhere(self)) {
        self->epoll = -1; // it goes as a whole
        free_queue(self);
    }
    leave(&before);
    return close(fd);
}

__attribute__((constructor)) static void prepare(void)
{
    const char *mode = getenv("RP_KQUEUE_SHIM");

    rpi_os.kqueue = rpi_kqueue_shim_open;
    rpi_os.kevent = rpi_kqueue_shim_kevent;
    rpi_os.close = close_all;
    (void)pthread_atfork(before_fork, after_fork, in_copy); // the tests would show it
    if (mode != NULL && strcmp(mode, "macos") == 0) {
        is_macos = true;
        rpi_kqueue_event_max = 1;
        rpi_os.waitid = late_waitid;
        rpi_os.read = soft_read;
    }
}
