/* Attention watches: an observer that remembers what its child shows and tells (through the
 * scanner), a timer for when that gets old or something is to be looked at, and a task for what is
 * to be reported soon. What it comes to is attention_rule.c's business.
 *
 * Bytes stamp a time, and nothing more while the state is known to be busy by them. A look (who
 * reads, what the tree uses) is taken when they have stopped, then again while the verdict is open,
 * at growing distances. Lives and dies as an idle watch does: see idle.c. */
#include <float.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/os.h"
#include "base/status.h"
#include "core/attention_rule.h"
#include "core/command.h"
#include "core/loop.h"
#include "core/observer.h"
#include "core/process.h"
#include "core/reading.h"
#include "core/terminal.h"
#include "core/usage.h"
#include "pty/pty.h"
#include "pty/scan.h"
#include "rp/idle.h"

#define QUIET_DEFAULT_NS (300 * RP_MILLISECOND)
#define SAMPLE_DEFAULT_NS (500 * RP_MILLISECOND)
#define CPU_PERCENT_DEFAULT 5.0

enum {
    BODY_SIZE = 256,   /* of an OSC: what is wanted stands at its front */
    DOUBLINGS_MAX = 3, /* of sample_ns */
    MEMBERS_MAX = 32   /* of a process group, looked at */
};

struct rp_attention {
    rpi_handle handle;
    rpi_observer observer;
    rp_process *process; /* borrowed; NULL once it is freed */
    rpi_timer timer;
    rpi_task task;
    rp_attention_options options;
    rpi_scan scan[2]; /* of stdout, stderr */
    char body[2][BODY_SIZE];
    rpi_attention_evidence evidence;
    rpi_usage usage;
    uint64_t baseline_ns; /* the look at what the tree uses that began this silence; 0 = none */
    uint32_t looks;       /* since output or input */
    int64_t reader_pid;
    rp_attention_info info; /* as told */
    bool measures;          /* usage is open */
    bool owes_end;
    bool ended;
    bool frees_itself;
    bool calling;
    bool closed;
    void (*changed)(rp_process *, const rp_attention_info *, void *);
    void *user;
};

static rp_loop *loop_of(const rp_attention *self)
{
    return (rp_loop *)(void *)self->handle.reactor;
}

static rp_attention *attention_of(rpi_observer *observer)
{
    return RPI_CONTAINER(observer, rp_attention, observer);
}

/* ---- looking ------------------------------------------------------------------------ */

/* What would be read; false: nothing that we could tell. */
static bool
find_target(const rp_process *process, rpi_reading_target *ret_target, int64_t *ret_group)
{
    if (process->terminal != NULL) {
        int master = rpi_terminal_master(process);

        ret_target->is_terminal = true;
        *ret_group = master < 0 ? -1 : rpi_pty_foreground(master);
        return *ret_group > 0 && rpi_pty_device(master, &ret_target->device) == 0;
    }
    if (process->writer == NULL || rpi_writer_fd(process->writer) < 0 ||
        rpi_os_pipe_name(rpi_writer_fd(process->writer), &ret_target->inode) < 0) {
        return false;
    }
    ret_target->is_terminal = false;
    *ret_group = process->pid;
    return true;
}

static rpi_reading ask_members(rp_attention *self, const rpi_reading_target *target, int64_t group)
{
    int64_t pids[MEMBERS_MAX];
    size_t count = rpi_usage_group(loop_of(self)->usage, group, pids, MEMBERS_MAX);
    rpi_reading strongest = RPI_READING_NOT;

    for (size_t i = 0; i < count && strongest != RPI_READING_SURELY; i++) {
        rpi_reading found = pids[i] == group ? RPI_READING_NOT : rpi_reading_ask(pids[i], target);

        if (found > strongest) {
            strongest = found;
            self->reader_pid = pids[i];
        }
    }
    return strongest;
}

/* What the tree uses. The first time since output has stopped is where counting begins. */
static void look_at_processor(rp_attention *self)
{
    rp_loop *loop = loop_of(self);
    rpi_usage_answer answer = {0};

    self->evidence.processor_known = false;
    if (!self->measures) {
        if (rpi_usage_open(&loop->usage, &loop->allocator, &self->usage, self->process->pid) < 0) {
            return;
        }
        self->measures = true;
    }
    if (rpi_usage_ask(loop->usage, &self->usage, self->evidence.now_ns, &answer) < 0) {
        return;
    }
    if (self->baseline_ns == 0) {
        self->baseline_ns = self->usage.looked_at_ns;
    } else if (answer.known && self->usage.looked_at_ns != self->baseline_ns) {
        self->evidence.processor_known = true;
        self->evidence.cpu_percent = answer.cpu_percent;
    }
}

static void look_at_terminal(rp_attention *self)
{
    int master = rpi_terminal_master(self->process);
    rpi_pty_modes modes;

    self->evidence.hides_typing = self->process->terminal != NULL && master >= 0 &&
                                  rpi_pty_get_modes(master, &modes) == 0 && modes.canonical &&
                                  !modes.echo;
}

static void look(rp_attention *self)
{
    rpi_attention_evidence *evidence = &self->evidence;
    rpi_reading_target target = {0};
    int64_t group = 0;
    bool has_target = find_target(self->process, &target, &group);

    self->reader_pid = 0;
    evidence->reading = RPI_READING_NOT;
    if (has_target) {
        evidence->reading = rpi_reading_ask(group, &target);
        self->reader_pid = evidence->reading >= RPI_READING_MAYBE ? group : 0;
    }
    look_at_terminal(self);
    if (evidence->reading != RPI_READING_SURELY) { /* else nothing more is to be known */
        look_at_processor(self);
        if (has_target && self->measures) {
            int64_t leader = self->reader_pid;
            rpi_reading others = ask_members(self, &target, group);

            if (others > evidence->reading) {
                evidence->reading = others;
            } else {
                self->reader_pid = leader;
            }
        }
    }
    evidence->looked = true;
}

/* ---- judging -------------------------------------------------------------------------- */

static void free_attention(rp_attention *self);

/* What changes without being told. */
static void take(rp_attention *self, const rpi_attention_verdict *verdict)
{
    const rpi_attention_evidence *evidence = &self->evidence;
    bool is_seen = evidence->looked && evidence->processor_known;

    self->info.confidence = verdict->confidence;
    self->info.pid = verdict->state == RP_ATTENTION_WAITING_INPUT ? self->reader_pid : 0;
    self->info.cpu_percent = is_seen ? evidence->cpu_percent : 0;
}

/* Tells what has changed; false: the watch is freed. */
static bool tell(rp_attention *self, const rpi_attention_verdict *verdict)
{
    rp_attention_info info;

    if (verdict->reason == RP_ATTENTION_BY_START ||
        (verdict->state == self->info.state && verdict->reason == self->info.reason)) {
        take(self, verdict);
        return true;
    }
    if (verdict->state != self->info.state) {
        self->info.since_ns = self->evidence.now_ns;
    }
    self->info.state = verdict->state;
    self->info.reason = verdict->reason;
    take(self, verdict);
    info = self->info;
    self->calling = true;
    rpi_detail_clear();
    self->changed(self->process, &info, self->user);
    self->calling = false;
    if (self->closed) {
        free_attention(self);
        return false;
    }
    return true;
}

static void arm(rp_attention *self, const rpi_attention_verdict *verdict)
{
    uint64_t at_ns = verdict->settled_ns;

    if (verdict->is_open) {
        at_ns = rpi_clock_after(self->evidence.now_ns, self->options.sample_ns << self->looks);
        self->looks += self->looks < DOUBLINGS_MAX ? 1 : 0;
    }
    rpi_timer_set(self->handle.reactor, &self->timer, self->ended ? RP_FOREVER : at_ns);
}

/* What it comes to now; false: the watch is freed. */
static bool judge(rp_attention *self)
{
    rpi_attention_evidence *evidence = &self->evidence;
    const rp_process *process = self->process;
    rpi_attention_verdict verdict;

    evidence->now_ns = self->handle.reactor->now_ns;
    evidence->ended = self->ended;
    evidence->started = process->state >= RPI_PROCESS_RUNNING;
    evidence->kept_waiting = process->state == RPI_PROCESS_RUNNING && !rpi_process_listens(process);
    evidence->looked = false;
    verdict = rpi_attention_judge(evidence);
    if (verdict.is_open && !evidence->kept_waiting && process->state == RPI_PROCESS_RUNNING) {
        look(self);
        verdict = rpi_attention_judge(evidence);
    }
    arm(self, &verdict);
    return tell(self, &verdict);
}

static void on_timer(rpi_timer *timer)
{
    (void)judge(RPI_CONTAINER(timer, rp_attention, timer));
}

/* ---- the end ---------------------------------------------------------------------------- */

/* Whether the end is still to be told: so long the loop runs on, and done waits. */
static void set_owing(rp_attention *self, bool owes)
{
    rpi_reactor *reactor = self->handle.reactor;

    if (owes == self->owes_end) {
        return;
    }
    self->owes_end = owes;
    if (owes) {
        reactor->left++;
        rpi_task_start(reactor, &self->task);
    } else {
        reactor->left--;
        rpi_task_cancel(&self->task);
    }
}

static void stop_measuring(rp_attention *self)
{
    if (self->measures) {
        self->measures = false;
        rpi_usage_close(&loop_of(self)->usage, &self->usage);
    }
}

static void free_attention(rp_attention *self)
{
    rpi_reactor *reactor = self->handle.reactor;

    set_owing(self, false);
    stop_measuring(self);
    rpi_task_cancel(&self->task);
    rpi_list_remove(&self->handle.node);
    rpi_list_remove(&self->observer.node);
    rpi_timer_fini(reactor, &self->timer);
    rpi_free(reactor->allocator, self, sizeof *self);
}

static void end(rp_attention *self, bool owes_end)
{
    if (self->ended) {
        return;
    }
    self->ended = true;
    rpi_timer_off(self->handle.reactor, &self->timer);
    stop_measuring(self);
    set_owing(self, owes_end);
}

static void on_task(rpi_task *task)
{
    rp_attention *self = RPI_CONTAINER(task, rp_attention, task);
    bool is_last = self->owes_end;

    if (is_last) {
        set_owing(self, false);
        rpi_process_advance_later(self->process); /* done has waited for this */
    }
    if (judge(self) && is_last && self->frees_itself) {
        free_attention(self);
    }
}

/* ---- being told ---------------------------------------------------------------------------- */

/* Something has happened that makes it busy, at this time. */
static void be_active(rp_attention *self, uint64_t *ret_at_ns, rp_attention_reason reason)
{
    *ret_at_ns = rpi_reactor_clock_ns(self->handle.reactor);
    self->looks = 0;
    self->baseline_ns = 0;
    if (!self->ended && (self->info.state != RP_ATTENTION_BUSY || self->info.reason != reason)) {
        rpi_task_start(self->handle.reactor, &self->task);
    }
}

static void on_text(rp_view text, void *user)
{
    rp_attention *self = user;
    size_t i = 0;

    while (i < text.size && ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f) &&
           text.data[i] != '\n') {
        i++;
    }
    if (i < text.size) {
        self->evidence.output_at_ns = self->handle.reactor->now_ns;
    }
}

static void on_event(const rpi_scan_event *event, void *user)
{
    rp_attention *self = user;
    rpi_attention_evidence *evidence = &self->evidence;
    const uint64_t now_ns = self->handle.reactor->now_ns;

    switch (event->kind) {
    case RPI_SCAN_TITLE:
        evidence->output_at_ns = now_ns;
        break;
    case RPI_SCAN_BELL:
    case RPI_SCAN_NOTIFY:
        evidence->bell_at_ns = now_ns;
        break;
    case RPI_SCAN_PROGRESS:
        evidence->progress = (rpi_progress)event->code;
        break;
    case RPI_SCAN_MARK:
        evidence->mark = (char)event->code;
        break;
    case RPI_SCAN_CURSOR:
        evidence->cursor_visible = event->code != 0;
        break;
    case RPI_SCAN_CWD:
    case RPI_SCAN_ALTERNATE:
        break;
    }
}

static void on_output(rpi_observer *observer, rpi_stream *stream, rp_view bytes)
{
    rp_attention *self = attention_of(observer);
    const rpi_scan_sink sink = {on_text, on_event, self};
    const uint64_t before_ns = self->evidence.output_at_ns;

    rpi_scan_feed(&self->scan[stream->index], bytes, &sink);
    if (self->evidence.output_at_ns != before_ns) {
        be_active(self, &self->evidence.output_at_ns, RP_ATTENTION_BY_OUTPUT);
    }
}

static void on_input(rpi_observer *observer, const rpi_input *input)
{
    rp_attention *self = attention_of(observer);

    if (input->size > 0 || input->submit) {
        be_active(self, &self->evidence.input_at_ns, RP_ATTENTION_BY_INPUT);
    }
}

static void on_exited(rpi_observer *observer)
{
    end(attention_of(observer), true);
}

static bool holds_done(const rpi_observer *observer)
{
    const void *self = (const char *)observer - offsetof(rp_attention, observer);

    return ((const rp_attention *)self)->owes_end;
}

static void on_closed(rpi_observer *observer)
{
    rp_attention *self = attention_of(observer);

    end(self, false);
    set_owing(self, false);
    rpi_task_cancel(&self->task);
}

static void on_drop(rpi_observer *observer)
{
    rp_attention *self = attention_of(observer);

    self->process = NULL;
    if (self->frees_itself) {
        free_attention(self);
    }
}

static const rpi_observer_api attention_api = {.output = on_output,
                                               .input = on_input,
                                               .exited = on_exited,
                                               .holds_done = holds_done,
                                               .closed = on_closed,
                                               .drop = on_drop};

/* ---- start and close --------------------------------------------------------------------------
 */

static int read_options(const rp_attention_options *options, rp_attention_options *ret_options)
{
    rp_attention_options full = RP_ATTENTION_OPTIONS_INIT;
    int r = options == NULL ? 0 : rpi_options_read(options, sizeof full, &full);

    if (r < 0) {
        return r;
    }
    if (!(full.cpu_percent_max >= 0 && full.cpu_percent_max <= DBL_MAX)) { /* nor a NaN */
        return rpi_detail(RP_EINVAL, "cpu_percent_max: no percentage");
    }
    full.quiet_ns = full.quiet_ns != 0 ? full.quiet_ns : QUIET_DEFAULT_NS;
    full.sample_ns = full.sample_ns != 0 ? full.sample_ns : SAMPLE_DEFAULT_NS;
    if (full.sample_ns > UINT64_MAX >> DOUBLINGS_MAX) {
        return rpi_detail(RP_EINVAL, "sample_ns: too long");
    }
    if (!(full.cpu_percent_max > 0)) {
        full.cpu_percent_max = CPU_PERCENT_DEFAULT;
    }
    *ret_options = full;
    return 0;
}

static void close_handle(rpi_handle *handle)
{
    rp_attention_close(RPI_CONTAINER(handle, rp_attention, handle));
}

/* In a forked child: the reactor's heap is freed as a whole. */
static void drop_handle(rpi_handle *handle)
{
    free_attention(RPI_CONTAINER(handle, rp_attention, handle));
}

static void init(rp_attention *self, rp_process *process, const rp_attention_options *options)
{
    rpi_reactor *reactor = rpi_process_reactor(process);

    self->handle = (rpi_handle){.reactor = reactor, .close = close_handle, .drop = drop_handle};
    self->process = process;
    self->options = *options;
    rpi_task_init(&self->task, on_task);
    for (int i = 0; i < 2; i++) {
        rpi_scan_init(&self->scan[i], self->body[i], BODY_SIZE);
    }
    self->evidence = (rpi_attention_evidence){.quiet_ns = options->quiet_ns,
                                              .cursor_visible = true,
                                              .cpu_percent_max = options->cpu_percent_max};
    self->info = (rp_attention_info){.size = sizeof self->info,
                                     .state = RP_ATTENTION_BUSY,
                                     .reason = RP_ATTENTION_BY_START,
                                     .confidence = 0.5,
                                     .since_ns = rpi_reactor_clock_ns(reactor)};
    rpi_list_append(&reactor->handles, &self->handle.node);
    rpi_list_init(&self->observer.node);
    rpi_observer_add(process, &self->observer, &attention_api, false);
    if (process->state >= RPI_PROCESS_EXITED) {
        end(self, true);
    } else {
        rpi_timer_set(reactor, &self->timer,
                      rpi_clock_after(rpi_reactor_clock_ns(reactor), options->quiet_ns));
    }
}

int rp_attention_start(rp_process *process,
                       const rp_attention_options *options,
                       void (*changed)(rp_process *, const rp_attention_info *, void *),
                       void *user,
                       rp_attention **ret_attention)
{
    rp_loop *loop = process->loop;
    rp_attention_options full = RP_ATTENTION_OPTIONS_INIT;
    rp_attention *self;
    int r = rpi_loop_enter(loop);

    if (r < 0) {
        return r;
    }
    if (changed == NULL) {
        return rpi_detail(RP_EINVAL, "changed: NULL");
    }
    if (process->closed) { /* it would outlive the process unheard */
        return rpi_detail(RP_ECANCELED, "the process is closed");
    }
    r = read_options(options, &full);
    if (r < 0) {
        return r;
    }
    self = rpi_alloc_zero(&loop->allocator, sizeof *self);
    if (self == NULL) {
        return RP_ENOMEM;
    }
    if (rpi_timer_init(&loop->reactor, &self->timer, on_timer) < 0) {
        rpi_free(&loop->allocator, self, sizeof *self);
        return RP_ENOMEM;
    }
    self->changed = changed;
    self->user = user;
    self->frees_itself = ret_attention == NULL;
    init(self, process, &full);
    if (ret_attention != NULL) {
        *ret_attention = self;
    }
    return 0;
}

int rp_attention_get(rp_attention *attention, rp_attention_info *ret_info)
{
    rp_attention_info info;
    size_t size;
    int r = rpi_loop_enter(loop_of(attention));

    if (r < 0) {
        return r;
    }
    size = ret_info->size;
    if (size < sizeof size) {
        return rpi_detail(RP_EINVAL, "the info has no size");
    }
    info = attention->info;
    info.size = size;
    memcpy(ret_info, &info, size < sizeof info ? size : sizeof info);
    return 0;
}

void rp_attention_close(rp_attention *attention)
{
    /* In a forked child it is left to the loop's close. */
    if (attention == NULL || rpi_reactor_is_forked(attention->handle.reactor) ||
        attention->closed) {
        return;
    }
    if (attention->owes_end) { /* nobody is told any more */
        set_owing(attention, false);
        rpi_process_advance_later(attention->process);
    }
    attention->ended = true;
    rpi_timer_off(attention->handle.reactor, &attention->timer);
    rpi_task_cancel(&attention->task);
    if (attention->calling) {
        attention->closed = true;
        rpi_list_remove(&attention->handle.node);
        rpi_list_remove(&attention->observer.node);
    } else {
        free_attention(attention);
    }
}

/* ---- names
 * ---------------------------------------------------------------------------------------- */

const char *rp_attention_state_name(rp_attention_state state)
{
    switch (state) {
    case RP_ATTENTION_BUSY:
        return "busy";
    case RP_ATTENTION_QUIET:
        return "quiet";
    case RP_ATTENTION_WAITING_INPUT:
        return "waiting for input";
    case RP_ATTENTION_DONE:
        return "done";
    }
    return "unknown";
}

const char *rp_attention_reason_text(rp_attention_reason reason)
{
    static const char *const texts[] = {
        [RP_ATTENTION_BY_START] = "nothing is known yet",
        [RP_ATTENTION_BY_OUTPUT] = "it has just shown something",
        [RP_ATTENTION_BY_INPUT] = "it has just been sent something",
        [RP_ATTENTION_BY_PROGRESS] = "it tells of progress",
        [RP_ATTENTION_BY_COMMAND] = "its shell runs a command",
        [RP_ATTENTION_BY_PROCESSOR] = "it uses the processor",
        [RP_ATTENTION_BY_US] = "its output is not taken",
        [RP_ATTENTION_BY_SILENCE] = "it is silent",
        [RP_ATTENTION_BY_READING] = "it reads its input",
        [RP_ATTENTION_BY_PASSWORD] = "it reads and does not echo",
        [RP_ATTENTION_BY_PROMPT] = "its shell shows a prompt",
        [RP_ATTENTION_BY_BELL] = "it rang and is silent since",
        [RP_ATTENTION_BY_EXIT] = "it has ended",
    };
    const size_t count = sizeof texts / sizeof *texts;

    return (size_t)reason < count ? texts[reason] : "unknown";
}
