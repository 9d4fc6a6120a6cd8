/* How an end is sorted and told: classification of every wait status, and the sentences. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "core/exit.h"
#include "tests/support/check.h"

static rp_exit from_wait(int status)
{
    rp_exit exit = {0};

    rpi_exit_from_wait(&exit, status);
    return exit;
}

static rp_exit from_code(int code)
{
    return from_wait(code << 8);
}

static void check_summary(const rp_exit *exit, const char *expected)
{
    char text[256];

    cr_assert_eq(rp_exit_summary(exit, text, sizeof text), (int)strlen(expected));
    cr_assert_str_eq(text, expected);
}

Test(exit, keeps_every_code)
{
    for (int code = 0; code < 256; code++) {
        const rp_exit exit = from_code(code);

        cr_assert_eq(exit.kind, RP_EXITED);
        cr_assert_eq(exit.code, code);
        cr_assert_eq(exit.signal, 0);
        cr_assert_eq(exit.interrupted, code == 130);
        cr_assert_eq(exit.abnormal, code != 0 && code != 130);
        cr_assert_not(exit.possible_oom || exit.core_dumped);
    }
}

Test(exit, keeps_every_signal)
{
    for (int number = 1; number <= 64; number++) {
        for (int dumped = 0; dumped < 2; dumped++) {
            const rp_exit exit = from_wait(number | (dumped != 0 ? 0x80 : 0));

            cr_assert_eq(exit.kind, RP_SIGNALED);
            cr_assert_eq(exit.code, -number);
            cr_assert_eq(exit.signal, number);
            cr_assert_eq(exit.core_dumped, dumped != 0);
            cr_assert_eq(exit.interrupted, number == SIGINT);
            cr_assert_eq(exit.abnormal, number != SIGINT);
            cr_assert_eq(exit.possible_oom, number == SIGKILL);
        }
    }
}

Test(exit, knows_no_zero_but_the_childs_own)
{
    rp_exit exit = {0};

    rpi_exit_from_loss(&exit);
    cr_assert_eq(exit.kind, RP_LOST);
    cr_assert_eq(exit.code, RP_ELOST);
    cr_assert(exit.abnormal);
    rpi_exit_from_failure(&exit, RP_ECANCELED, NULL);
    cr_assert_eq(exit.kind, RP_SPAWN_FAILED);
    cr_assert_neq(exit.code, 0);
    cr_assert(exit.abnormal);
}

Test(exit, tells_not_found_from_not_executable_as_shells_do)
{
    const struct {
        int error;
        const char *phase;
        int code;
    } cases[] = {
        {RP_ENOENT, "exec", 127},
        {RP_EACCES, "exec", 126},
        {-ENOTDIR, "exec", 126},
        {-ENOEXEC, "exec", 126},
        {RP_ENOENT, "chdir", 126}, // it is not the program that is
                                   // missing
        {RP_ENOENT, "open", 126},
        {RP_ENOENT, NULL, 126},
        {RP_EMFILE, "pipe", 126},
        {RP_ECANCELED, NULL, 126},
        {RP_ETIMEDOUT, NULL, 126},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rp_exit exit = {0};

        rpi_exit_from_failure(&exit, cases[i].error, cases[i].phase);
        cr_assert_eq(exit.code, cases[i].code, "case %zu", i);
        cr_assert_eq(exit.error, cases[i].error);
        cr_assert_eq(exit.system_error, -cases[i].error);
        cr_assert_eq(exit.phase, cases[i].phase);
    }
}

Test(exit, replaces_what_was_known_before_and_nothing_else)
{
    rp_exit exit = {0};

    exit.started_ns = 5;
    exit.interrupts = 2;
    exit.reason = RP_STOP_KILL;
    rpi_exit_from_failure(&exit, RP_ENOENT, "exec");
    rpi_exit_from_wait(&exit, SIGKILL);
    rpi_exit_from_wait(&exit, 3 << 8);
    cr_assert_eq(exit.kind, RP_EXITED);
    cr_assert_eq(exit.code, 3);
    cr_assert_eq(exit.signal, 0);
    cr_assert_eq(exit.error, 0);
    cr_assert_eq(exit.system_error, 0);
    cr_assert_null(exit.phase);
    cr_assert_not(exit.possible_oom);
    cr_assert_eq(exit.started_ns, 5);
    cr_assert_eq(exit.interrupts, 2);
    cr_assert_eq(exit.reason, RP_STOP_KILL);
    exit.reason = RP_STOP_LIMIT;
    exit.phase = "output_bytes"; // the limit's name stays
    rpi_exit_from_wait(&exit, SIGTERM);
    cr_assert_str_eq(exit.phase, "output_bytes");
}

Test(exit_summary, says_what_users_of_the_former_package_know)
{
    rp_exit exit = from_code(0);

    check_summary(&exit, "Process exited normally with return code 0");
    exit = from_code(7);
    check_summary(&exit, "Process exited abnormally with return code 7");
    exit = from_code(130);
    check_summary(&exit, "Process interrupted (return code 130)");
    exit = from_wait(SIGINT);
    check_summary(&exit, "Process interrupted (return code -2)");
    exit = from_wait(SIGKILL);
    check_summary(
        &exit, "Process exited from SIGKILL (return code -9); this may indicate a forced kill or "
               "OOM condition");
    exit = from_wait(SIGSEGV | 0x80);
    check_summary(&exit, "Process exited from SIGSEGV (return code -11)");
    exit = from_wait(40);
    check_summary(&exit, "Process exited from signal 40 (return code -40)");
}

Test(exit_summary, says_why_it_was_stopped)
{
    rp_exit exit = from_wait(SIGKILL);

    exit.reason = RP_STOP_KILL;
    check_summary(
        &exit, "Process exited from SIGKILL (return code -9); this may indicate a forced kill or "
               "OOM condition");
    exit.reason = RP_STOP_TIMEOUT; // we know who it was
    check_summary(&exit, "Process timed out and exited from SIGKILL (return code -9)");
    exit.reason = RP_STOP_QUIET;
    check_summary(&exit,
                  "Process timed out without output and exited from SIGKILL (return code -9)");
    exit.reason = RP_STOP_LIMIT;
    exit.phase = "output_bytes";
    check_summary(
        &exit, "Process reached its limit output_bytes and exited from SIGKILL (return code -9)");
    exit = from_wait(SIGINT);
    exit.reason = RP_STOP_INTERRUPT;
    check_summary(&exit, "Process interrupted (return code -2)");
    exit.reason = RP_STOP_TIMEOUT;
    check_summary(&exit, "Process timed out and exited from SIGINT (return code -2)");
    exit = from_code(0);
    exit.reason = RP_STOP_TIMEOUT;
    check_summary(&exit, "Process timed out and exited normally with return code 0");
    exit = from_code(130);
    exit.reason = RP_STOP_TIMEOUT;
    check_summary(&exit, "Process timed out and exited abnormally with return code 130");
    exit = from_wait(SIGKILL);
    exit.oom_killed = true;
    check_summary(&exit,
                  "Process exited from SIGKILL (return code -9); the system ran out of memory");
}

Test(exit_summary, says_what_kept_it_from_running)
{
    rp_exit exit = {0};

    rpi_exit_from_failure(&exit, RP_ENOENT, "exec");
    check_summary(&exit, "Process could not be started: exec: no such file or directory");
    rpi_exit_from_failure(&exit, RP_EMFILE, NULL);
    check_summary(&exit, "Process could not be started: too many open files");
    rpi_exit_from_failure(&exit, RP_ECANCELED, NULL);
    check_summary(&exit, "Process was stopped before it began");
    rpi_exit_from_failure(&exit, RP_ETIMEDOUT, NULL);
    check_summary(&exit, "Process timed out before it began");
    rpi_exit_from_loss(&exit);
    check_summary(&exit, "Process exited; how is not known, as the host program took its status");
}

Test(exit_summary, writes_as_snprintf_does)
{
    const rp_exit exit = from_code(0);
    const char *whole = "Process exited normally with return code 0";

    cr_assert_eq(rp_exit_summary(&exit, NULL, 0), (int)strlen(whole));
    for (size_t size = 1; size <= strlen(whole) + 1; size++) {
        char text[64];

        memset(text, 'z', sizeof text);
        cr_assert_eq(rp_exit_summary(&exit, text, size), (int)strlen(whole));
        cr_assert_eq(strlen(text), size - 1);
        cr_assert_eq(memcmp(text, whole, size - 1), 0);
        cr_assert_eq(text[size], 'z');
    }
    cr_assert_eq(rp_exit_summary(NULL, NULL, 0), RP_EINVAL);
    cr_assert_eq(rp_exit_summary(&exit, NULL, 10), RP_EINVAL);
}
