/* Tests rp_run and rp_run_on: input, both outputs, failures, and what happens to the command when
 * the loop is stopped meanwhile. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/noise.h"
#include "tests/support/stage.h"

enum {
    BIG = 5 << 20 /* bytes */
};

static void check_noise(rp_view view, uint64_t seed, size_t size)
{
    noise_sum sum = {0, 0};

    cr_assert_eq(view.size, size);
    noise_sum_add(&sum, view.data, view.size);
    cr_assert_eq(sum.value, noise_sum_of(seed, size).value);
    cr_assert_eq(view.data[view.size], '\0');
}

/* rp_run has a loop of its own, on the backend that the environment names. */
static void set_backend(rp_backend backend)
{
    cr_assert_eq(setenv("RP_BACKEND", stage_backend_name(backend), 1), 0);
}

BACKEND_TEST(run, keeps_both_outputs_whole)
{
    rp_command command = stage_command(CHILD("flood-both", "5242880", "11", "exit", "3"));
    stage_holdings before = stage_count();
    rp_result result;

    set_backend(*backend);
    cr_assert_eq(rp_run(&command, &result), 0);
    cr_assert_eq(result.exit.code, 3);
    check_noise(result.out, 11, BIG);
    check_noise(result.err, 12, BIG);
    cr_assert_not(result.out_truncated);
    cr_assert_not(result.err_truncated);
    rp_result_free(&result);
    cr_assert_eq(result.out.size, 0);
    rp_result_free(&result);
    rp_result_free(NULL);
    stage_check(&before);
}

BACKEND_TEST(run, gives_input_and_takes_shell_lines)
{
    char *input = malloc(BIG);
    rp_command command = stage_command(CHILD("cat"));
    noise bytes = noise_begin(4);
    rp_result result;

    cr_assert_not_null(input);
    noise_fill(&bytes, input, BIG);
    set_backend(*backend);
    command.input = (rp_view){input, BIG};
    cr_assert_eq(rp_run(&command, &result), 0);
    check_noise(result.out, 4, BIG);
    cr_assert_str_eq(result.err.data, "");
    rp_result_free(&result);
    free(input);
    command = (rp_command)RP_COMMAND_INIT;
    command.shell = "printf 'a\\nb'; echo c >&2; exit 4";
    cr_assert_eq(rp_run(&command, &result), 0);
    cr_assert_str_eq(result.out.data, "a\nb");
    cr_assert_str_eq(result.err.data, "c\n");
    cr_assert_eq(result.exit.code, 4);
    rp_result_free(&result);
}

BACKEND_TEST(run, cuts_what_is_more_than_asked_for)
{
    rp_command command = stage_command(CHILD("write", "1", "abcdef", "write", "2", "ghi"));
    rp_result result;

    set_backend(*backend);
    command.capture_max = 3;
    cr_assert_eq(rp_run(&command, &result), 0);
    cr_assert_str_eq(result.out.data, "abc");
    cr_assert(result.out_truncated);
    cr_assert_str_eq(result.err.data, "ghi");
    cr_assert_not(result.err_truncated);
    rp_result_free(&result);
    command.capture_keep = RP_KEEP_TAIL;
    command.err.kind = RP_STDIO_MERGE;
    cr_assert_eq(rp_run(&command, &result), 0);
    cr_assert_str_eq(result.out.data, "ghi");
    cr_assert_str_eq(result.err.data, "");
    rp_result_free(&result);
}

BACKEND_TEST(run, tells_of_failures_in_the_result_and_of_mistakes_at_once)
{
    static const char *const missing[] = {"/nowhere/at-all", NULL};
    rp_command command = stage_command(missing);
    rp_result result;

    set_backend(*backend);
    cr_assert_eq(rp_run(&command, &result), 0);
    cr_assert_eq(result.exit.kind, RP_SPAWN_FAILED);
    cr_assert_eq(result.exit.error, RP_ENOENT);
    cr_assert_eq(result.exit.code, 127);
    cr_assert_str_eq(result.out.data, "");
    rp_result_free(&result);
    command.argv = NULL;
    cr_assert_eq(rp_run(&command, &result), RP_EINVAL);
    cr_assert_eq(strncmp(rp_error_detail(), "argv: ", 6), 0, "%s", rp_error_detail());
    command = stage_command(CHILD("kill", "9"));
    cr_assert_eq(rp_run(&command, &result), 0);
    cr_assert_eq(result.exit.code, -9);
    rp_result_free(&result);
    command = stage_command(CHILD("pause"));
    command.timeout_ns = 20 * RP_MILLISECOND;
    cr_assert_eq(rp_run(&command, &result), 0);
    cr_assert_eq(result.exit.reason, RP_STOP_TIMEOUT);
    rp_result_free(&result);
}

BACKEND_TEST(run, does_not_wait_for_a_grandchild_that_holds_the_pipes)
{
    lifeline hold = lifeline_open();
    rp_fd fd = {.parent = hold.read, .child = 3};
    rp_command command = stage_command(CHILD("echo", "x", "fork", "wait", "3", "end"));
    rp_result result;

    set_backend(*backend);
    command.fds = &fd;
    command.fd_count = 1;
    cr_assert_eq(rp_run(&command, &result), 0);
    cr_assert_str_eq(result.out.data, "x\n");
    cr_assert_geq(result.exit.holders, 1);
    rp_result_free(&result);
    lifeline_close(&hold);
}

/* ---- in a loop of the caller's ------------------------------------------------------------------
 */

static void count_tick(rp_timer *timer, void *user)
{
    (void)timer;
    ++*(unsigned int *)user;
}

BACKEND_TEST(run, on_a_loop_lets_its_other_callbacks_come)
{
    rp_command command = stage_command(CHILD("wait", "3", "echo", "x"));
    lifeline hold = lifeline_open();
    rp_fd fd = {.parent = hold.read, .child = 3};
    unsigned int ticks = 0;
    rp_timer *timer;
    rp_result result;
    stage on;

    command.fds = &fd;
    command.fd_count = 1;
    command.timeout_ns = 100 * RP_MILLISECOND;
    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_timer_start(on.loop, 0, RP_MILLISECOND, count_tick, &ticks, &timer), 0);
    cr_assert_eq(rp_run_on(on.loop, &command, &result), 0);
    cr_assert_eq(result.exit.reason, RP_STOP_TIMEOUT);
    cr_assert_gt(ticks, 1);
    rp_result_free(&result);
    lifeline_tell(&hold);
    command.timeout_ns = 0;
    cr_assert_eq(rp_run_on(on.loop, &command, &result), 0);
    cr_assert_str_eq(result.out.data, "x\n");
    rp_result_free(&result); // of the default allocator, not of the loop's
    rp_timer_close(timer);
    lifeline_close(&hold);
    on.before.descriptors -= 2;
    stage_close(&on);
}

static void stop_it(rp_timer *timer, void *user)
{
    (void)timer;
    rp_loop_stop(user);
}

static bool close_each(rp_process *process, void *user)
{
    (void)user;
    rp_process_close(process);
    return true;
}

static void close_all(rp_timer *timer, void *user)
{
    (void)timer;
    cr_assert_eq(rp_loop_processes(user, close_each, NULL), 1);
}

BACKEND_TEST(run, on_a_loop_that_is_stopped_kills_the_command)
{
    static const rp_on_close policies[] = {RP_ON_CLOSE_KILL, RP_ON_CLOSE_DETACH};
    lifeline gone = lifeline_open();
    rp_fd fd = {.parent = gone.write, .child = 4};
    rp_command command = stage_command(CHILD("fork", "pause", "end", "pause"));
    rp_result result;
    stage on;

    command.fds = &fd;
    command.fd_count = 1;
    stage_open(&on, *backend, NULL);
    for (int i = 0; i < 2; i++) {
        command.on_close = policies[i];
        cr_assert_eq(rp_timer_start(on.loop, 30 * RP_MILLISECOND, 0, stop_it, on.loop, NULL), 0);
        cr_assert_eq(rp_run_on(on.loop, &command, &result), RP_ECANCELED);
        stage_run(&on);
        rp_loop_stop(on.loop); // before it begins
        cr_assert_eq(rp_run_on(on.loop, &command, &result), RP_ECANCELED);
        stage_run(&on);
        cr_assert_eq(rp_timer_start(on.loop, 30 * RP_MILLISECOND, 0, close_all, on.loop, NULL), 0);
        cr_assert_eq(rp_run_on(on.loop, &command, &result), RP_ECANCELED);
        stage_run(&on);
    }
    lifeline_await_end(&gone);
    on.before.descriptors -= 2;
    stage_close(&on);
}

/* ---- in any thread
 * ---------------------------------------------------------------------------------- */

static void *run_twenty(void *argument)
{
    (void)argument;
    for (int i = 0; i < 20; i++) {
        rp_command command = stage_command(CHILD("flood-both", "30000", "6", "exit", "2"));
        rp_result result;

        cr_assert_eq(rp_run(&command, &result), 0);
        cr_assert_eq(result.exit.code, 2);
        check_noise(result.out, 6, 30000);
        check_noise(result.err, 7, 30000);
        rp_result_free(&result);
    }
    return NULL;
}

BACKEND_TEST(run, works_in_several_threads_at_once)
{
    stage_holdings before = stage_count();
    pthread_t threads[4];

    set_backend(*backend);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, run_twenty, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    stage_check(&before);
}
