"""Timeouts, and signals that come to running-process: what they do to the command and what code comes of it."""

import os
import pty
import signal
import termios
import unittest

from support import REPORTER, WATCHDOG_S, Case, of_kind, plain_start, shell

TIMED_OUT = 124

# The command and a grandchild, both at the defaults; the grandchild's pid is the first line.
FAMILY = shell("sleep 1000 & echo $!; wait")


class Timeouts(Case):
    def test_no_output_for_too_long(self):
        for option in ("--timeout=0.3", "--idle-timeout=300ms"):
            code, out, err = self.run_cli(option, *shell("echo a; exec sleep 1000"))
            self.assertEqual((code, out), (TIMED_OUT, b"a\n"))
            self.assertEqual(self.one_line(err), "timed out: no output for 0.3 s")

    def test_closed_outputs_are_no_output(self):
        code, out, err = self.run_cli("--idle-timeout=0.3", "--wall-timeout=20",
                                      *shell("exec >&- 2>&-; sleep 1000"))
        self.assertEqual((code, out), (TIMED_OUT, b""))
        self.assertEqual(self.one_line(err), "timed out: no output for 0.3 s")

    def test_output_puts_the_inactivity_off(self):
        code, _, err, events = self.run_events(
            "--idle-timeout=20", "--wall-timeout=1", *shell("while :; do echo x; done >&2"))
        self.assertEqual(code, TIMED_OUT)
        self.assertTrue(err.endswith(b"running-process: timed out after 1 s\n"))
        self.assertEqual(events[-1]["reason"], "wall_timeout")

    def test_a_timeout_is_124_although_the_command_ends_well(self):
        code, out, _, events = self.run_events(
            "--wall-timeout=2", *shell("trap 'echo bye; exit 0' TERM; echo on; sleep 1000 & wait"))
        self.assertEqual((code, out), (TIMED_OUT, b"on\nbye\n"))
        self.assertEqual((events[-1]["kind"], events[-1]["code"]), ("exited", 0))

    def test_a_timeout_reaches_the_whole_tree(self):
        process = self.start("--idle-timeout=0.3", *FAMILY)
        grandchild = os.pidfd_open(self.read_number(process.stdout))
        self.wait_gone(grandchild)
        self.assertEqual(process.wait(WATCHDOG_S), TIMED_OUT)

    def test_what_ignores_the_signal_is_killed(self):
        code, out, _, events = self.run_events(
            "--idle-timeout=2", "--kill-after=0.2",
            *shell("trap '' TERM; echo on; while :; do sleep 1000; done"))
        self.assertEqual((code, out), (TIMED_OUT, b"on\n"))
        self.assertEqual((events[-1]["signal"], events[-1]["step"]), ("SIGKILL", "kill"))
        self.assertEqual([(event["step"], event["signal"]) for event in of_kind(events, "stop")],
                         [("terminate", "SIGTERM"), ("kill", "SIGKILL")])

    def test_the_signal_can_be_chosen(self):
        for name in ("USR1", "SIGUSR1", "usr1", str(int(signal.SIGUSR1))):
            process = self.start("--idle-timeout=2", "--signal", name, "-k0", *REPORTER)
            self.expect(process.stdout, b"ready\nSIGUSR1\n")
            process.stdin.close()
            self.assertEqual(process.wait(WATCHDOG_S), TIMED_OUT)

    def test_no_timeout_without_its_time(self):
        self.assertEqual(self.run_cli("--timeout=1h", "--wall-timeout=1h", "-k1", "echo", "x"),
                         (0, b"x\n", b""))


class Forwarded(Case):
    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

    def test_each_reaches_the_command_once(self):
        process = self.start(*REPORTER)
        self.expect(process.stdout, b"ready\n")
        for number in self.SIGNALS:
            process.send_signal(number)
            self.expect(process.stdout, number.name.encode() + b"\n")
        os.write(process.stdin.fileno(), b"42\n")
        self.assertEqual(process.stdout.read(), b"")
        self.assertEqual(process.wait(WATCHDOG_S), 42)

    def test_each_reaches_the_whole_tree_and_tells_in_the_code(self):
        for number in self.SIGNALS:
            process = self.start(*shell("ulimit -c 0; sleep 1000 & echo $!; wait"))
            grandchild = os.pidfd_open(self.read_number(process.stdout))
            # A background job of a plain shell ignores INT and QUIT: those reach the shell alone.
            process.send_signal(number)
            self.assertEqual(process.wait(WATCHDOG_S), 128 + number)
            if number in (signal.SIGINT, signal.SIGQUIT):
                signal.pidfd_send_signal(grandchild, signal.SIGKILL)
            self.wait_gone(grandchild)

    def test_a_second_interrupt_kills(self):
        process = self.start(*REPORTER)
        self.expect(process.stdout, b"ready\n")
        process.send_signal(signal.SIGINT)
        self.expect(process.stdout, b"SIGINT\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(WATCHDOG_S), 128 + signal.SIGKILL)
        self.assertEqual(process.stdout.read(), b"")

    def test_other_signals_do_not_count_as_interrupts(self):
        process = self.start(*REPORTER)
        self.expect(process.stdout, b"ready\n")
        for _ in range(3):
            process.send_signal(signal.SIGTERM)
            self.expect(process.stdout, b"SIGTERM\n")
        process.send_signal(signal.SIGINT)
        self.expect(process.stdout, b"SIGINT\n")
        process.stdin.close()
        self.assertEqual(process.wait(WATCHDOG_S), 0)

    def test_what_was_ignored_when_we_began_stays_so(self):
        def nohup():
            plain_start()
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        process = self.start(*REPORTER, preexec=nohup)
        self.expect(process.stdout, b"ready\n")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        self.expect(process.stdout, b"SIGTERM\n") # and no SIGHUP before it
        process.stdin.close()
        self.assertEqual(process.wait(WATCHDOG_S), 0)

    def test_a_blocked_mask_and_an_ignored_sigchld_are_not_inherited(self):
        def hostile():
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])

        process = self.start(*REPORTER, preexec=hostile)
        self.expect(process.stdout, b"ready\n")
        process.send_signal(signal.SIGTERM)
        self.expect(process.stdout, b"SIGTERM\n")
        os.write(process.stdin.fileno(), b"9\n")
        self.assertEqual(process.wait(WATCHDOG_S), 9)
        out = self.run_cli("grep", "^SigBlk", "/proc/self/status", preexec=hostile)[1]
        self.assertEqual(out, b"SigBlk:\t0000000000000000\n")


class Terminal(Case):
    """Standard input is the controlling terminal, outputs are pipes."""

    def start_on_terminal(self, *command):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)

        def session():
            plain_start()
            os.setsid()
            os.close(os.open(os.ttyname(0), os.O_RDWR)) # a session's first terminal becomes its own

        modes = termios.tcgetattr(slave)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        process = self.start(*command, stdin=slave, preexec=session)
        os.close(slave)
        return process, master

    def test_the_command_reads_the_terminal(self):
        process, master = self.start_on_terminal(*shell('echo on; read x; echo "got $x"'))
        self.expect(process.stdout, b"on\n")
        os.write(master, b"word\n")
        self.expect(process.stdout, b"got word\n")
        self.assertEqual(process.wait(WATCHDOG_S), 0)

    def test_the_keyboards_interrupt_comes_once(self):
        process, master = self.start_on_terminal(*REPORTER)
        self.expect(process.stdout, b"ready\n")
        os.write(master, b"\x03")
        self.expect(process.stdout, b"SIGINT\n")
        process.send_signal(signal.SIGTERM) # handled behind the interrupt by us as by the command
        self.expect(process.stdout, b"SIGTERM\n")
        os.write(master, b"6\n")
        self.assertEqual(process.stdout.read(), b"")
        self.assertEqual(process.wait(WATCHDOG_S), 6)

    def test_the_keyboards_second_interrupt_kills(self):
        process, master = self.start_on_terminal(*REPORTER)
        self.expect(process.stdout, b"ready\n")
        os.write(master, b"\x03")
        self.expect(process.stdout, b"SIGINT\n")
        os.write(master, b"\x03")
        self.assertEqual(process.wait(WATCHDOG_S), 128 + signal.SIGKILL)

    def test_an_interrupt_that_another_process_sends_is_passed_on(self):
        process, master = self.start_on_terminal(*REPORTER)
        self.expect(process.stdout, b"ready\n")
        process.send_signal(signal.SIGINT)
        self.expect(process.stdout, b"SIGINT\n")
        os.write(master, b"0\n")
        self.assertEqual(process.wait(WATCHDOG_S), 0)


if __name__ == "__main__":
    unittest.main()
