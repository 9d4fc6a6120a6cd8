/* What systems other than Linux have nothing for, or not yet anything of ours: each question is
 * answered by RP_EUNSUPPORTED, or by what is true of a system without the thing that is asked
 * about. Sessions: on Windows a job holds the whole tree; on FreeBSD and macOS a child's jobs in
 * groups of their own are reached by the hang-up of its terminal, not by signals of ours. */
#include "base/cgroup.h"
#include "base/status.h"
#include "core/foreground.h"
#include "core/holders.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/reading.h"
#include "core/sessions.h"
#include "core/usage.h"
#include "rp/interactive.h"

/* ---- sessions: nobody is looked for beside a child's group or job ---- */

void rpi_sessions_init(rp_loop *loop)
{
    loop->sessions = (rpi_sessions){.members = NULL};
}

void rpi_sessions_fini(rp_loop *loop)
{
    (void)loop;
}

void rpi_sessions_signal(rp_process *process, int signal)
{
    (void)process;
    (void)signal;
}

void rpi_sessions_run(rp_loop *loop)
{
    (void)loop;
}

void rpi_sessions_forget(rp_process *process)
{
    (void)process;
}

int rpi_sessions_has_members(rp_process *process)
{
    (void)process;
    return 0;
}

/* ---- the foreground of a console: refused when the command is checked ---- */

int rpi_foreground_open(rp_process *process)
{
    (void)process;
    return rpi_detail(RP_EUNSUPPORTED,
                      "transport: RP_CONSOLE_FOREGROUND is not built for this system");
}

void rpi_foreground_prepare(rp_process *process)
{
    (void)process;
}

void rpi_foreground_began(rp_process *process)
{
    (void)process;
}

void rpi_foreground_continue(rp_process *process)
{
    (void)process;
}

void rpi_foreground_end(rp_process *process)
{
    (void)process;
}

int rp_relay_start(rp_process *process,
                   const rp_relay_options *options,
                   void (*ended)(rp_process *, int, void *),
                   void *user,
                   rp_relay **ret_relay)
{
    (void)process;
    (void)options;
    (void)ended;
    (void)user;
    (void)ret_relay;
    return rpi_detail(RP_EUNSUPPORTED, "a relay is not built for this system");
}

void rp_relay_close(rp_relay *relay)
{
    (void)relay; /* none was ever made */
}

/* ---- who reads, who holds, who uses what ---- */

rpi_reading rpi_reading_ask(int64_t pid, const rpi_reading_target *target)
{
    (void)pid;
    (void)target;
    return RPI_READING_UNKNOWN;
}

uint64_t rpi_holders_name(const rp_process *process, int fd)
{
    (void)process;
    (void)fd;
    return 0;
}

int rp_process_holders(const rp_process *process, rp_each_fn *holder, void *user)
{
    const int r = rpi_loop_enter(process->loop);

    (void)holder;
    (void)user;
    return r < 0 ? r
                 : rpi_detail(RP_EUNSUPPORTED,
                              "this system does not tell who holds the other end of a pipe");
}

int rpi_usage_open(rpi_usage_table **table,
                   const rp_allocator *allocator,
                   rpi_usage *usage,
                   int64_t pid)
{
    (void)table;
    (void)allocator;
    (void)usage;
    (void)pid;
    return rpi_detail(RP_EUNSUPPORTED, "what a tree uses is not measured on this system");
}

void rpi_usage_close(rpi_usage_table **table, rpi_usage *usage)
{
    (void)table;
    (void)usage;
}

int rpi_usage_ask(rpi_usage_table *table,
                  rpi_usage *usage,
                  uint64_t now_ns,
                  rpi_usage_answer *ret_answer)
{
    (void)table;
    (void)usage;
    (void)now_ns;
    (void)ret_answer;
    return RP_EUNSUPPORTED;
}

size_t rpi_usage_group(const rpi_usage_table *table, int64_t group, int64_t *ret_pids, size_t max)
{
    (void)table;
    (void)group;
    (void)ret_pids;
    (void)max;
    return 0;
}

/* ---- cgroups, for rp_has ---- */

bool rpi_cgroup_is_usable(void)
{
    return false;
}
