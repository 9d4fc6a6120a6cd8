/* The meter on Linux. System calls are counted by a perf event on the tracepoint
 * raw_syscalls:sys_enter: exact, per thread, and at a few nanoseconds a call, where strace would
 * slow the subject tenfold and change what it batches. Processor time is getrusage, which a kernel
 * that accounts by ticks gets right only over a stretch of many ticks (a second has 250).
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/meter.h"
#include "rp/rp.h"

void rpi_meter_init(rpi_meter *meter)
{
    memset(meter, 0, sizeof *meter);
    meter->loop_calls_fd = -1;
    meter->all_calls_fd = -1;
}

static int tracepoint_id(uint64_t *ret_id)
{
    static const char *const paths[] = {
        "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
        "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id"};

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        FILE *file = fopen(paths[i], "re");
        char text[32] = "";

        if (file == NULL) {
            continue;
        }
        (void)!fgets(text, sizeof text, file); /* empty: not a number either */
        (void)fclose(file);
        *ret_id = strtoull(text, NULL, 10);
        return *ret_id > 0 ? 0 : -ENOENT;
    }
    return -ENOENT;
}

static int open_counter(uint64_t id, bool all_threads)
{
    struct perf_event_attr attr;
    long fd;

    memset(&attr, 0, sizeof attr);
    attr.type = PERF_TYPE_TRACEPOINT;
    attr.size = sizeof attr;
    attr.config = id;
    attr.inherit = all_threads ? 1 : 0;
    attr.inherit_thread =
        all_threads ? 1 : 0; /* threads of this process only, never the children */
    fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    return fd < 0 ? -errno : (int)fd;
}

int rpi_meter_count_calls(rpi_meter *meter)
{
    uint64_t id;
    int r = tracepoint_id(&id);

    if (r < 0) {
        return r;
    }
    meter->loop_calls_fd = open_counter(id, false);
    if (meter->loop_calls_fd < 0) {
        return meter->loop_calls_fd;
    }
    meter->all_calls_fd = open_counter(id, true);
    return meter->all_calls_fd < 0 ? meter->all_calls_fd : 0;
}

static uint64_t read_counter(int fd)
{
    uint64_t count = 0;

    if (fd < 0 || read(fd, &count, sizeof count) != (ssize_t)sizeof count) {
        return 0;
    }
    return count;
}

static double span_ns(struct timeval from, struct timeval to)
{
    return (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_usec - from.tv_usec) * 1e3;
}

void rpi_meter_start(rpi_meter *meter)
{
    (void)getrusage(RUSAGE_SELF, &meter->start_all);
    (void)getrusage(RUSAGE_THREAD, &meter->start_loop);
    meter->start_all_calls = read_counter(meter->all_calls_fd);
    meter->start_loop_calls = read_counter(meter->loop_calls_fd);
    meter->start_ns = rp_now_ns();
}

void rpi_meter_stop(rpi_meter *meter)
{
    uint64_t now_ns = rp_now_ns();
    uint64_t loop_calls = read_counter(meter->loop_calls_fd);
    uint64_t all_calls = read_counter(meter->all_calls_fd);
    struct rusage all;
    struct rusage loop;

    (void)getrusage(RUSAGE_THREAD, &loop);
    (void)getrusage(RUSAGE_SELF, &all);
    meter->wall_ns = now_ns - meter->start_ns;
    meter->user_ns = span_ns(meter->start_all.ru_utime, all.ru_utime);
    meter->system_ns = span_ns(meter->start_all.ru_stime, all.ru_stime);
    meter->loop_user_ns = span_ns(meter->start_loop.ru_utime, loop.ru_utime);
    meter->waits = (double)(loop.ru_nvcsw - meter->start_loop.ru_nvcsw);
    meter->loop_calls =
        meter->loop_calls_fd < 0 ? (double)NAN : (double)(loop_calls - meter->start_loop_calls);
    meter->all_calls =
        meter->all_calls_fd < 0 ? (double)NAN : (double)(all_calls - meter->start_all_calls);
}

void rpi_meter_fini(rpi_meter *meter)
{
    if (meter->loop_calls_fd >= 0) {
        (void)close(meter->loop_calls_fd);
    }
    if (meter->all_calls_fd >= 0) {
        (void)close(meter->all_calls_fd);
    }
    meter->loop_calls_fd = -1; /* the results stay */
    meter->all_calls_fd = -1;
}
