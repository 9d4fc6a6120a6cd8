/* See sessions.h. A look reads /proc once. Who is signalled is opened as a pidfd first and asked
 * for his session again afterwards, so that no signal reaches a later process with the same number.
 */
#include "core/sessions.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/proc_linux.h"
#include "base/scan_linux.h"
#include "core/loop.h"
#include "core/process.h"

enum {
    CAPACITY_FIRST = 64,
    KILL_LOOKS_MAX = 4 /* for those that were forked while others were killed */
};

struct rpi_session_member {
    int64_t session;
    int64_t pid;
    int64_t group;
    bool alive; /* no zombie */
};

struct rpi_session_errand {
    rp_process *process; /* borrowed; NULL: freed since */
    int64_t session;
    int signal;
};

static void on_task(rpi_task *task);

void rpi_sessions_init(rp_loop *loop)
{
    loop->sessions = (rpi_sessions){.members = NULL};
    rpi_task_init(&loop->sessions.task, on_task);
}

void rpi_sessions_fini(rp_loop *loop)
{
    rpi_sessions *sessions = &loop->sessions;

    rpi_task_cancel(&sessions->task);
    rpi_free(&loop->allocator, sessions->members,
             sessions->member_capacity * sizeof *sessions->members);
    rpi_free(&loop->allocator, sessions->errands,
             sessions->errand_capacity * sizeof *sessions->errands);
    *sessions = (rpi_sessions){.members = NULL};
}

/* ---- looking --------------------------------------------------------------------- */

static int add_member(rp_loop *loop, int64_t pid, const rpi_proc_stat *stat)
{
    rpi_sessions *sessions = &loop->sessions;
    size_t capacity = sessions->member_capacity;

    if (sessions->member_count == capacity) {
        rpi_session_member *members = NULL;

        capacity = capacity == 0 ? CAPACITY_FIRST : 2 * capacity;
        members =
            rpi_resize(&loop->allocator, sessions->members,
                       sessions->member_capacity * sizeof *members, capacity * sizeof *members);
        if (members == NULL) {
            return -ENOMEM;
        }
        sessions->members = members;
        sessions->member_capacity = capacity;
    }
    sessions->members[sessions->member_count++] = (rpi_session_member){
        .session = stat->session,
        .pid = pid,
        .group = stat->group,
        .alive = rpi_proc_is_alive(stat),
    };
    return 0;
}

static int by_session(const void *a, const void *b)
{
    const rpi_session_member *left = a;
    const rpi_session_member *right = b;

    return (left->session > right->session) - (left->session < right->session);
}

static int look(rp_loop *loop)
{
    rpi_sessions *sessions = &loop->sessions;
    const uint64_t begun_ns = rpi_reactor_clock_ns(&loop->reactor);
    rpi_scan scan;
    int64_t pid;
    int r = rpi_scan_open(&scan);

    if (r < 0) {
        return r;
    }
    sessions->member_count = 0;
    sessions->taken_ns = 0;
    while ((r = rpi_scan_next(&scan, &pid)) > 0) {
        rpi_proc_stat stat;

        if (rpi_proc_stat_read(pid, &stat) == 0 && stat.session > 0) {
            r = add_member(loop, pid, &stat);
            if (r < 0) {
                break;
            }
        }
    }
    rpi_scan_close(&scan);
    if (r < 0) {
        return r;
    }
    if (sessions->member_count > 0) {
        qsort(sessions->members, sessions->member_count, sizeof *sessions->members, by_session);
    }
    sessions->taken_ns = begun_ns;
    return 0;
}

/* The place of a session's first member, or the count. */
static size_t first_of(const rpi_sessions *sessions, int64_t session)
{
    size_t low = 0;
    size_t high = sessions->member_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (sessions->members[middle].session < session) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static const rpi_session_member *member_at(const rpi_sessions *sessions, size_t at, int64_t session)
{
    if (at >= sessions->member_count || sessions->members[at].session != session) {
        return NULL;
    }
    return &sessions->members[at];
}

/* Whether some process has the session's number: its leader. */
static bool has_leader(const rpi_sessions *sessions, int64_t session)
{
    const rpi_session_member *member = NULL;

    for (size_t at = first_of(sessions, session);
         (member = member_at(sessions, at, session)) != NULL; at++) {
        if (member->pid == session) {
            return true;
        }
    }
    return false;
}

int rpi_sessions_has_members(rp_process *process)
{
    rpi_sessions *sessions = &process->loop->sessions;
    const rpi_session_member *member = NULL;
    int r = 0;

    if (sessions->taken_ns == 0 || sessions->taken_ns < process->loop->reactor.now_ns) {
        r = look(process->loop);
    }
    if (r < 0) {
        return r;
    }
    if (has_leader(sessions, process->pid)) {
        return 0; /* a stranger, who got the number because nobody was left */
    }
    for (size_t at = first_of(sessions, process->pid);
         (member = member_at(sessions, at, process->pid)) != NULL; at++) {
        if (member->alive) {
            return 1;
        }
    }
    return 0;
}

/* ---- signals --------------------------------------------------------------------- */

/* Whether the signal was sent. */
static bool send_to(const rpi_session_member *member, int signal)
{
    const int pidfd = rpi_os.pidfd_open((pid_t)member->pid, 0);
    rpi_proc_stat stat;
    bool sent = false;

    if (pidfd < 0) {
        return false; /* gone meanwhile: as wanted */
    }
    if (rpi_proc_stat_read(member->pid, &stat) == 0 && stat.session == member->session) {
        sent = rpi_os.pidfd_send_signal(pidfd, signal, 0) == 0;
    }
    (void)rpi_os.close(pidfd);
    return sent;
}

/* Whether a kill was sent to somebody: he may have forked since the look. */
static bool carry_out(rp_loop *loop, const rpi_session_errand *errand)
{
    const rpi_sessions *sessions = &loop->sessions;
    const rpi_session_member *member = NULL;
    const bool is_pinned = errand->process != NULL && !errand->process->reaped;
    bool sent = false;

    if (!is_pinned && has_leader(sessions, errand->session)) {
        return false; /* a stranger with the number of ours, as above */
    }
    for (size_t at = first_of(sessions, errand->session);
         (member = member_at(sessions, at, errand->session)) != NULL; at++) {
        if (member->alive && member->group != errand->session) {
            sent = send_to(member, errand->signal) || sent;
        }
    }
    return sent && errand->signal == SIGKILL;
}

void rpi_sessions_run(rp_loop *loop)
{
    rpi_sessions *sessions = &loop->sessions;
    bool again = sessions->errand_count > 0;

    rpi_task_cancel(&sessions->task);
    for (int looks = 0; again && looks < KILL_LOOKS_MAX; looks++) {
        again = false;
        if (look(loop) < 0) {
            rpi_loop_log(loop, 0, "sessions cannot be looked at: jobs of shells are not signalled");
            break;
        }
        for (size_t i = 0; i < sessions->errand_count; i++) {
            const rpi_session_errand *errand = &sessions->errands[i];

            if (looks == 0 || errand->signal == SIGKILL) {
                again = carry_out(loop, errand) || again;
            }
        }
    }
    sessions->errand_count = 0;
}

static void on_task(rpi_task *task)
{
    rpi_sessions_run(RPI_CONTAINER(task, rp_loop, sessions.task));
}

static bool make_room(rp_loop *loop)
{
    rpi_sessions *sessions = &loop->sessions;
    size_t capacity = sessions->errand_capacity;
    rpi_session_errand *errands = NULL;

    if (sessions->errand_count < capacity) {
        return true;
    }
    capacity = capacity == 0 ? CAPACITY_FIRST : 2 * capacity;
    errands = rpi_resize(&loop->allocator, sessions->errands,
                         sessions->errand_capacity * sizeof *errands, capacity * sizeof *errands);
    if (errands == NULL) {
        return false;
    }
    sessions->errands = errands;
    sessions->errand_capacity = capacity;
    return true;
}

void rpi_sessions_signal(rp_process *process, int signal)
{
    rp_loop *loop = process->loop;
    rpi_sessions *sessions = &loop->sessions;
    const rpi_session_errand errand = {process, process->pid, signal};

    if (!make_room(loop)) {
        if (look(loop) == 0) {
            (void)carry_out(loop, &errand);
        }
        return;
    }
    sessions->errands[sessions->errand_count++] = errand;
    rpi_task_start(&loop->reactor, &sessions->task);
}

void rpi_sessions_forget(rp_process *process)
{
    rpi_sessions *sessions = &process->loop->sessions;

    for (size_t i = 0; i < sessions->errand_count; i++) {
        if (sessions->errands[i].process == process) {
            sessions->errands[i].process = NULL;
        }
    }
}
