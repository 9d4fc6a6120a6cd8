/* Admission: the queue in front of the spawner. Launches wait here, first in first out, while
 * process_max children live, while enough of them are with the spawner, or while the system has no
 * room (descriptors, processes, memory); a launch that the system refused is tried again when a
 * child of ours ends, and now and then, as others may make room too. A refusal surfaces only when
 * nothing of ours is alive that could free anything and the launch was tried alone. Called by
 * process.c; works as a task of the turn. */
#include <errno.h>

#include "base/assert.h"
#include "core/loop.h"
#include "core/process.h"

/* With the spawner at once: enough that its threads never wait for the loop, few enough that the
 * queue stays fair. */
enum {
    LAUNCHING_MAX = 128
};

#define AGAIN_NS (100 * RP_MILLISECOND)

static rp_process *process_of(rpi_list *node)
{
    return RPI_CONTAINER(node, rpi_launch, node)->user;
}

void rpi_admission_add(rp_process *process)
{
    rp_loop *loop = process->loop;
    rpi_list *after = loop->queue.previous;

    /* Nearly always the last one; a launch that came back goes in front of those that were asked
     * for later. */
    while (after != &loop->queue && process_of(after)->launch->order > process->launch->order) {
        after = after->previous;
    }
    rpi_list_prepend(after, &process->launch->node);
    process->state = RPI_PROCESS_QUEUED;
    loop->queued++;
    rpi_task_start(&loop->reactor, &loop->admission);
}

void rpi_admission_remove(rp_process *process)
{
    RP_ASSERT(process->state == RPI_PROCESS_QUEUED);
    rpi_list_remove(&process->launch->node);
    process->loop->queued--;
}

void rpi_admission_wake(rp_loop *loop)
{
    if (loop->refused) {
        loop->credit++;
    }
    if (!rpi_list_is_empty(&loop->queue)) {
        rpi_task_start(&loop->reactor, &loop->admission);
    }
}

void rpi_admission_succeeded(rp_loop *loop)
{
    rpi_admission_wake(loop);
}

static bool is_passing(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -EAGAIN || error == -ENOMEM ||
           error == -ENXIO || error == -ENOSPC;
}

bool rpi_admission_retry(rp_process *process, int error)
{
    rp_loop *loop = process->loop;
    rpi_launch *launch = process->launch;

    if (!is_passing(error) || process->alone || loop->closing) {
        return false;
    }
    launch->error = 0;
    launch->phase = NULL;
    loop->live--;
    process->live = false;
    if (!loop->refused) {
        loop->credit = 0;
        loop->refused = true;
        rpi_loop_log(loop, 1, "no room for another child now (%s): launches wait",
                     rp_error_name(error));
    }
    rpi_admission_add(process);
    rpi_stop_arm(process); /* its deadline may have come meanwhile */
    return true;
}

static bool may_admit(rp_loop *loop, rp_process *process)
{
    if (loop->process_max != 0 && loop->live >= loop->process_max && !loop->closing) {
        return false; /* a closing loop launches only what is let go, and nothing else ends to make
                         room */
    }
    if (loop->live == 0) {
        if (loop->refused && !rpi_list_is_empty(&loop->closed)) {
            return false; /* those give their descriptors back in a moment */
        }
        process->alone = loop->refused; /* nothing of ours that could free anything: its last try */
        return true;
    }
    return loop->launching < LAUNCHING_MAX && (!loop->refused || loop->credit > 0);
}

static void admit(rp_loop *loop, rp_process *process)
{
    rpi_launch *launch = process->launch;
    bool lone = loop->live == 0 && (process->alone || loop->queued == 1);

    rpi_admission_remove(process);
    if (loop->refused && loop->credit > 0) {
        loop->credit--;
    }
    process->state = RPI_PROCESS_LAUNCHING;
    process->live = true;
    loop->live++;
    loop->launching++;
    if (process->foreground != NULL) {
        rpi_foreground_prepare(process);
    }
    if (lone) { /* nothing waits for this thread: faster than to hand it over */
        rpi_spawner_run(loop->spawner, launch);
        rpi_process_launched(launch, loop);
    } else {
        rpi_spawner_submit(loop->spawner, launch);
    }
}

void rpi_admission_run(rpi_task *task)
{
    rp_loop *loop = RPI_CONTAINER(task, rp_loop, admission);

    while (!rpi_list_is_empty(&loop->queue)) {
        rp_process *process = process_of(loop->queue.next);

        if (!may_admit(loop, process)) {
            if (loop->refused) { /* room is not only made by children of ours */
                rpi_timer_set(&loop->reactor, &loop->refused_timer,
                              loop->reactor.now_ns + AGAIN_NS);
            }
            return;
        }
        admit(loop, process);
    }
    loop->refused = false;
    rpi_timer_off(&loop->reactor, &loop->refused_timer);
}

void rpi_admission_again(rpi_timer *timer)
{
    rpi_admission_wake(RPI_CONTAINER(timer, rp_loop, refused_timer));
}
