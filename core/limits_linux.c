/* See limits.h. What the kernel counted is read when the child exits, so that what it did there is
 * told as what it was: a tree that was killed for want of memory, or could not fork. A cgroup that
 * somebody is still in at the end of its child keeps its limits; it is removed later, with another
 * one or with the loop. */
#define _GNU_SOURCE
#include "core/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/status.h"
#include "core/command.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/usage.h"

#define CPU_STEP_NS (10 * RP_MILLISECOND)  /* the shortest time between two looks at cpu.stat */
#define SCAN_STEP_NS (50 * RP_MILLISECOND) /* the same, through all processes */

enum {
    TEXT_SIZE = 1024,
    EVENTS_SIZE = 4096
};

struct rpi_limiter {
    rpi_observer observer;
    rpi_list node;       /* the loop's limiters; then, without a process, those left */
    rp_loop *loop;       /* borrowed */
    rp_process *process; /* borrowed; NULL: not yet, or not any more */
    rp_limits limits;
    char *cgroup; /* owned, as is the cgroup itself; NULL: there is none */
    int watch;    /* inotify's number of pids.events; -1 */
    bool has_timer;
    rpi_timer timer; /* with cpu_ns */
    bool has_usage;
    rpi_usage usage; /* with cpu_ns, without a cgroup */
};

_Static_assert(offsetof(rpi_limiter, observer) == 0, "holds_done relies on it");

static void on_inotify(rpi_op *op);

void rpi_limits_init(rp_loop *loop)
{
    rpi_limits *limits = &loop->limits;

    rpi_list_init(&limits->limiters);
    rpi_list_init(&limits->left);
    limits->inotify = -1;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* What a line of a file of the cgroup counts: 0 where there is no such thing. */
static uint64_t count_of(const rpi_limiter *self, const char *file, const char *name)
{
    char text[TEXT_SIZE];
    uint64_t number;

    if (self->cgroup == NULL || rpi_cgroup_read(self->cgroup, file, text, sizeof text) < 0) {
        return 0;
    }
    number = rpi_cgroup_number(text, name);
    return number == UINT64_MAX ? 0 : number;
}

/* Whether a fork was refused for this limit; older kernels count here what one further up did. */
static bool too_many_processes(const rpi_limiter *self)
{
    const uint64_t peak = count_of(self, "pids.peak", "");

    return self->limits.processes != 0 && count_of(self, "pids.events", "max") > 0 &&
           (peak == 0 || peak >= self->limits.processes);
}

/* ---- stopping ----------------------------------------------------------------------------- */

static void reached(rpi_limiter *self, const char *field)
{
    rp_process *process = self->process;

    if (process->state == RPI_PROCESS_RUNNING || process->state == RPI_PROCESS_EXITED) {
        rpi_stop_for_limit(process, field);
    }
}

/* Tells the limit where nothing else has set out to stop the child. */
static void blame(rp_process *process, const char *field)
{
    if (process->exit.reason == RP_STOP_NONE) {
        process->exit.reason = RP_STOP_LIMIT;
        process->exit.phase = field;
    }
}

/* ---- processor time ------------------------------------------------------------------------ */

/* What the tree has used, as far as it can be told. */
static uint64_t used_ns(rpi_limiter *self)
{
    rp_process *process = self->process;
    rp_loop *loop = self->loop;
    rpi_usage_answer ignored;
    long ticks_a_second;

    if (self->cgroup != NULL) {
        return count_of(self, "cpu.stat", "usage_usec") * 1000;
    }
    if (process->state != RPI_PROCESS_RUNNING) {
        return 0;
    }
    if (!self->has_usage) { /* no memory: with the next look */
        self->has_usage =
            rpi_usage_open(&loop->usage, &loop->allocator, &self->usage, process->pid) == 0;
    }
    if (!self->has_usage ||
        rpi_usage_ask(loop->usage, &self->usage, loop->reactor.now_ns, &ignored) < 0) {
        return 0;
    }
    ticks_a_second = sysconf(_SC_CLK_TCK);
    return self->usage.cpu_ticks * (RP_SECOND / (uint64_t)ticks_a_second);
}

static void arm(rpi_limiter *self, uint64_t left_ns)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const uint64_t step_ns = self->cgroup != NULL ? CPU_STEP_NS : SCAN_STEP_NS;
    uint64_t span_ns = left_ns / (processors > 0 ? (uint64_t)processors : 1);

    span_ns = span_ns > step_ns ? span_ns : step_ns;
    rpi_timer_set(&self->loop->reactor, &self->timer,
                  rpi_clock_after(rpi_reactor_clock_ns(&self->loop->reactor), span_ns));
}

static void on_timer(rpi_timer *timer)
{
    rpi_limiter *self = RPI_CONTAINER(timer, rpi_limiter, timer);
    const uint64_t used = used_ns(self);

    if (self->process->state == RPI_PROCESS_DONE) {
        return;
    }
    if (used >= self->limits.cpu_ns) {
        reached(self, "cpu_ns");
    } else {
        arm(self, self->limits.cpu_ns - used);
    }
}

static void close_usage(rpi_limiter *self)
{
    if (self->has_usage) {
        rpi_usage_close(&self->loop->usage, &self->usage);
        self->has_usage = false;
    }
}

/* ---- the watch ------------------------------------------------------------------------------ */

static void close_inotify(rp_loop *loop)
{
    rpi_limits *limits = &loop->limits;
    rpi_list *node;

    for (node = limits->limiters.next; node != &limits->limiters; node = node->next) {
        RPI_CONTAINER(node, rpi_limiter, node)->watch = -1; /* another one counts anew */
    }
    rpi_io_forget(&loop->reactor, &limits->io);
    (void)rpi_os.close(limits->inotify); /* only read */
    limits->inotify = -1;
}

static int open_inotify(rp_loop *loop)
{
    rpi_limits *limits = &loop->limits;
    int r = 0;

    if (limits->inotify >= 0) {
        return rpi_op_is_idle(&limits->op) ? rpi_op_start(&loop->reactor, &limits->op) : 0;
    }
    limits->inotify = rpi_os.inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (limits->inotify < 0) {
        return -errno;
    }
    limits->inotify = rpi_os_lift(limits->inotify);
    if (limits->inotify < 0) {
        return -EMFILE;
    }
    rpi_io_init(&limits->io, limits->inotify);
    rpi_op_init(&limits->op, RPI_OP_POLL, &limits->io, on_inotify);
    limits->op.size = RP_READABLE;
    r = rpi_op_start(&loop->reactor, &limits->op);
    if (r < 0) {
        close_inotify(loop);
    }
    return r;
}

static void look_at(rp_loop *loop, int watch)
{
    rpi_list *node;

    for (node = loop->limits.limiters.next; node != &loop->limits.limiters; node = node->next) {
        rpi_limiter *self = RPI_CONTAINER(node, rpi_limiter, node);

        if (self->watch == watch && self->process != NULL && too_many_processes(self)) {
            reached(self, "processes");
            return;
        }
    }
}

/* Something is there: looks at those whom it is about. */
static void read_inotify(rp_loop *loop)
{
    _Alignas(struct inotify_event) char text[EVENTS_SIZE];
    ssize_t size;

    while ((size = rpi_os.read(loop->limits.inotify, text, sizeof text)) > 0) {
        for (ssize_t at = 0; at < size;) {
            struct inotify_event event;

            memcpy(&event, text + at, sizeof event);
            look_at(loop, event.wd);
            at += (ssize_t)(sizeof event + event.len);
        }
    }
}

static void on_inotify(rpi_op *op)
{
    rpi_limits *limits = RPI_CONTAINER(op, rpi_limits, op);
    rp_loop *loop = RPI_CONTAINER(limits, rp_loop, limits);
    int r = op->result;

    if (r >= 0) {
        read_inotify(loop);
        r = rpi_op_start(&loop->reactor, op);
    }
    if (r >= 0) {
        return;
    }
    close_inotify(loop);
    if (r != RP_ECANCELED) { /* the next one opens another, for itself */
        rpi_loop_log(loop, 0, "limits: trees are not stopped any more when they fork too much: %s",
                     rp_strerror(r));
    }
}

/* Has pids.events watched. */
static int watch_processes(rpi_limiter *self)
{
    char file[RPI_CGROUP_PATH_SIZE];
    int r = open_inotify(self->loop);

    if (r < 0) {
        return r;
    }
    if (!rpi_cgroup_join(file, self->cgroup, "pids.events")) {
        return -ENAMETOOLONG;
    }
    self->watch = rpi_os.inotify_add_watch(self->loop->limits.inotify, file, IN_MODIFY);
    return self->watch < 0 ? -errno : 0;
}

/* ---- the observer ---------------------------------------------------------------------------- */

static rpi_limiter *self_of(rpi_observer *observer)
{
    return RPI_CONTAINER(observer, rpi_limiter, observer);
}

static void exited(rpi_observer *observer)
{
    rpi_limiter *self = self_of(observer);
    rp_process *process = self->process;

    close_usage(self); /* it is about to be reaped */
    if (self->has_timer && self->cgroup == NULL) {
        rpi_timer_off(&self->loop->reactor, &self->timer);
    }
    if (self->cgroup == NULL || process->pid == 0) {
        return;
    }
    if (count_of(self, "memory.events", "oom_kill") > 0) {
        process->exit.oom_killed =
            process->exit.signal == SIGKILL && process->step != RPI_STEP_KILL;
        if (self->limits.memory_bytes != 0) {
            blame(process, "memory_bytes");
        }
    }
    if (too_many_processes(self)) {
        blame(process, "processes");
    }
}

/* Whoever is left of a tree that was stopped for a limit. */
static void end_rest(const rpi_limiter *self)
{
    if (self->cgroup != NULL && self->process->exit.reason == RP_STOP_LIMIT) {
        (void)rpi_cgroup_kill(self->cgroup); /* refused: the ladder has done what can be done */
    }
}

static bool holds_done(const rpi_observer *observer)
{
    end_rest((const rpi_limiter *)(const void *)observer); /* it stands first */
    return false;
}

static void closed(rpi_observer *observer)
{
    rpi_limiter *self = self_of(observer);

    close_usage(self);
    if (self->has_timer) {
        rpi_timer_off(&self->loop->reactor, &self->timer);
    }
}

static void free_limiter(rpi_limiter *self, bool forget)
{
    const rp_allocator *allocator = &self->loop->allocator;

    if (self->cgroup != NULL) {
        if (!forget) {
            (void)rpi_cgroup_remove(self->cgroup); /* known to be empty, or told */
        }
        rpi_free(allocator, self->cgroup, strlen(self->cgroup) + 1);
    }
    rpi_list_remove(&self->node);
    rpi_free(allocator, self, sizeof *self);
}

/* Removes those that came empty. */
static void sweep(rp_loop *loop)
{
    rpi_list *node = loop->limits.left.next;

    while (node != &loop->limits.left) {
        rpi_list *next = node->next;
        rpi_limiter *self = RPI_CONTAINER(node, rpi_limiter, node);

        if (rpi_cgroup_is_populated(self->cgroup) <= 0) {
            free_limiter(self, false);
        }
        node = next;
    }
}

void rpi_limiter_free(rpi_limiter *self)
{
    rp_loop *loop;
    bool forked;

    if (self == NULL) {
        return;
    }
    loop = self->loop;
    forked = rpi_reactor_is_forked(&loop->reactor);
    close_usage(self);
    if (self->has_timer) {
        rpi_timer_fini(&loop->reactor, &self->timer);
        self->has_timer = false;
    }
    self->process = NULL;
    rpi_list_remove(&self->node);
    if (self->watch >= 0 && !forked) {
        (void)rpi_os.inotify_rm_watch(loop->limits.inotify, self->watch); /* gone: as wanted */
        self->watch = -1;
    }
    if (self->cgroup != NULL && !forked) {
        sweep(loop);
        if (rpi_cgroup_is_populated(self->cgroup) > 0) {
            rpi_list_append(&loop->limits.left, &self->node);
            return;
        }
    }
    free_limiter(self, forked);
}

static void drop(rpi_observer *observer)
{
    rpi_limiter_free(self_of(observer));
}

static const rpi_observer_api api = {
    .exited = exited, .holds_done = holds_done, .closed = closed, .drop = drop};

/* ---- making ---------------------------------------------------------------------------------- */

/* The folder in which the cgroup is made, "" for where groups are, and its whole path. */
static int name_cgroup(rpi_limiter *self, const rp_group *group)
{
    const rp_allocator *allocator = &self->loop->allocator;
    char name[96];
    char path[RPI_CGROUP_PATH_SIZE];
    int r = 0;

    (void)snprintf(name, sizeof name, "running-process.%lld.%llx.limit.%llu",
                   (long long)rpi_os_pid(), (unsigned long long)rpi_clock_now_ns(),
                   (unsigned long long)self->loop->limits.next++);
    if (group != NULL && group->cgroup != NULL) {
        r = rpi_cgroup_join(path, group->cgroup, name) ? 0 : -ENAMETOOLONG;
    } else {
        r = rpi_cgroup_name(name, path);
    }
    if (r < 0) {
        return r;
    }
    self->cgroup = rpi_alloc(allocator, strlen(path) + 1);
    if (self->cgroup == NULL) {
        return -ENOMEM;
    }
    memcpy(self->cgroup, path, strlen(path) + 1);
    return 0;
}

/* Lets the cgroups from the place of groups down to ours have the controller. */
static int offer(const rpi_limiter *self, const rp_group *group, const char *controller)
{
    char folder[RPI_CGROUP_PATH_SIZE];
    const size_t length = strlen(self->cgroup);
    int r = 0;

    memcpy(folder, self->cgroup, length + 1);
    *strrchr(folder, '/') = '\0';
    if (group != NULL && group->cgroup != NULL) {
        char *slash = strrchr(folder, '/');

        *slash = '\0';
        r = rpi_cgroup_offer(folder, controller);
        *slash = '/';
    }
    return r < 0 ? r : rpi_cgroup_offer(folder, controller);
}

static int set(const rpi_limiter *self, const char *file, uint64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return rpi_cgroup_write(self->cgroup, file, text);
}

/* Sets what the kernel is to hold: 0, or an error and the field that it is about. */
static int set_limits(rpi_limiter *self, const rp_group *group, const char **ret_field)
{
    int r = 0;

    if (self->limits.memory_bytes != 0) {
        *ret_field = "memory_bytes";
        r = offer(self, group, "memory");
        r = r < 0 ? r : set(self, "memory.max", self->limits.memory_bytes);
        r = r < 0 ? r : set(self, "memory.oom.group", 1);
        if (r == 0) {
            r = set(self, "memory.swap.max", 0);
            r = r == -ENOENT ? 0 : r; /* a kernel without swap */
        }
    }
    if (r == 0 && self->limits.processes != 0) {
        *ret_field = "processes";
        r = offer(self, group, "pids");
        r = r < 0 ? r : set(self, "pids.max", self->limits.processes);
        r = r < 0 ? r : watch_processes(self);
    }
    return r;
}

/* Want of memory or descriptors is told as such; all else says that this system cannot. */
static int refuse(int error, const char *field)
{
    if (error == -ENOMEM || error == -EMFILE || error == -ENFILE) {
        return rpi_detail(error, "limits: %s: %s", field, rp_strerror(error));
    }
    return rpi_detail(RP_EUNSUPPORTED,
                      "limits: %s cannot be held: no cgroup of our own with such a controller: %s",
                      field, rp_strerror(error));
}

/* A cgroup with the limits: 0, or an error and its field; none is left then. */
static int open_cgroup(rpi_limiter *self, const rp_group *group, const char **ret_field)
{
    int r = rpi_group_allows(RP_GRADE_KERNEL) ? name_cgroup(self, group) : RP_EUNSUPPORTED;

    if (r < 0) {
        return r;
    }
    r = rpi_cgroup_make(self->cgroup);
    if (r == 0) {
        r = set_limits(self, group, ret_field);
        if (r < 0) {
            (void)rpi_cgroup_remove(self->cgroup); /* nobody is in it */
        }
    }
    if (r < 0) {
        rpi_free(&self->loop->allocator, self->cgroup, strlen(self->cgroup) + 1);
        self->cgroup = NULL;
    }
    return r;
}

/* Gives it what its limits need. */
static int equip(rpi_limiter *self, const rp_group *group)
{
    const bool needs_cgroup = self->limits.memory_bytes != 0 || self->limits.processes != 0;
    const char *field = self->limits.memory_bytes != 0 ? "memory_bytes" : "processes";
    int r = open_cgroup(self, group, &field);

    if (r < 0 && (needs_cgroup || r == -ENOMEM)) {
        return refuse(r, needs_cgroup ? field : "cpu_ns");
    }
    if (self->limits.cpu_ns == 0) {
        return 0;
    }
    r = rpi_timer_init(&self->loop->reactor, &self->timer, on_timer);
    self->has_timer = r == 0;
    return r;
}

int rpi_limiter_make(rp_loop *loop, const rp_command *command, rpi_limiter **ret_limiter)
{
    rp_limits limits = RP_INIT(rp_limits);
    rpi_limiter *self;
    int r;

    *ret_limiter = NULL;
    if (command->limits == NULL) {
        return 0;
    }
    (void)rpi_options_read(command->limits, sizeof limits, &limits); /* checked before */
    if (limits.memory_bytes == 0 && limits.processes == 0 && limits.cpu_ns == 0) {
        return 0;
    }
    self = rpi_alloc_zero(&loop->allocator, sizeof *self);
    if (self == NULL) {
        return -ENOMEM;
    }
    self->loop = loop;
    self->limits = limits;
    self->watch = -1;
    rpi_list_init(&self->node);
    r = equip(self, command->group);
    if (r < 0) {
        rpi_limiter_free(self);
        return r;
    }
    *ret_limiter = self;
    return 0;
}

bool rpi_limiter_has_cgroup(const rpi_limiter *limiter)
{
    return limiter->cgroup != NULL;
}

void rpi_limiter_attach(rpi_limiter *self, rp_process *process)
{
    self->process = process;
    process->limiter = self;
    if (self->cgroup != NULL) {
        process->launch->cgroup = self->cgroup; /* which stays until the process is freed */
        process->launch->enters_cgroup = false;
        rpi_list_append(&self->loop->limits.limiters, &self->node);
    }
    rpi_observer_add(process, &self->observer, &api, true);
    if (self->has_timer) {
        arm(self, self->limits.cpu_ns);
    }
}

/* ---- the loop's end ----------------------------------------------------------------------------
 */

void rpi_limits_fini(rp_loop *loop)
{
    rpi_limits *limits = &loop->limits;
    rpi_list *node;

    while ((node = rpi_list_take_first(&limits->left)) != NULL) {
        rpi_limiter *self = RPI_CONTAINER(node, rpi_limiter, node);

        if (rpi_cgroup_is_populated(self->cgroup) > 0) {
            rpi_loop_log(loop, 1, "%s stays: somebody of a tree with limits lives in it",
                         self->cgroup);
        }
        free_limiter(self, false);
    }
    if (limits->inotify < 0) {
        return;
    }
    if (rpi_op_is_idle(&limits->op)) {
        close_inotify(loop);
    } else {
        rpi_op_cancel(&loop->reactor, &limits->op); /* closed when the reactor ends */
    }
}

void rpi_limits_fini_forked(rp_loop *loop)
{
    rpi_limits *limits = &loop->limits;
    rpi_list *node;

    while ((node = rpi_list_take_first(&limits->left)) != NULL) {
        free_limiter(RPI_CONTAINER(node, rpi_limiter, node), true);
    }
    if (limits->inotify >= 0) {
        (void)rpi_os.close(limits->inotify); /* a copy */
        limits->inotify = -1;
    }
}
