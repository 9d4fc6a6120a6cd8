"""--find-leaks and --kill-leaks: who is left behind is named, never waited for, and nobody else is killed.

A leaked process reads a fifo that the test holds open, and ends by its end when the test is over.
"""

import ctypes
import os
import re
import select
import signal
import unittest

from support import WATCHDOG_S, Case, of_kind, python, shell

LEAKED, TIMED_OUT, FAILED = 123, 124, 125
HEAD = "[running-process] detected {} leaked descendant process(es):"
OTHERS = "[running-process] detected {} other process(es) that hold the output of the command:"
LINE = re.compile(r"  pid=(\d+) name=(.+) parent_pid=(\d+) parent_alive=(True|False) command=(.+?)"
                  r"(?: holds=(stdout,stderr|stdout|stderr))?")

# In a session of its own, its parent gone: a daemon. Says its number where descriptor 5 leads.
DAEMON = """setsid sh -c '{prefix} sh -c "echo \\$\\$ >&5; exec 5>&-; read x <\\"$1\\"" - "$1" {redirect} &' - "$1"; """


class Leaks(Case):
    def setUp(self):
        super().setUp()
        self.hold = self.path("hold")
        os.mkfifo(self.hold)
        self.held = os.open(self.hold, os.O_RDWR)
        self.addCleanup(os.close, self.held)
        self.told = self.path("told")
        os.mkfifo(self.told)
        self.teller = os.fdopen(os.open(self.told, os.O_RDWR), "rb", buffering=0)
        self.addCleanup(self.teller.close)

    def daemon(self, redirect="", then="exit 0", prefix=""):
        """A command that leaves a daemon and ends when it runs."""
        line = DAEMON.format(redirect=redirect, prefix=prefix)
        # Descriptor 6 reads what the daemon says and writes it to the test, so that the command's end comes after.
        return shell(f'exec 5>"$2"; {line} read n <"$3"; {then}', "-", self.hold, self.told, self.go())

    def go(self):
        """A fifo that lets the command end: opened so that its reader comes through at once."""
        path = self.path("go")
        if not os.path.exists(path):
            os.mkfifo(path)
            self.gate = os.open(path, os.O_RDWR)
            self.addCleanup(os.close, self.gate)
        return path

    def leak(self, *options, count=1, **how):
        """Runs such a command: (exit code, stdout, stderr, numbers of the daemons, their pidfds)."""
        process = self.start(*options, *self.daemon(**how))
        pids = sorted(self.read_number(self.teller) for _ in range(count))
        fds = [os.pidfd_open(pid) for pid in pids]
        self.addCleanup(self.end_all, fds)
        os.write(self.gate, b"go\n")
        # Not communicate(): the daemons may hold nothing of ours, but that is for the test to say.
        out, err = process.communicate(timeout=WATCHDOG_S)
        return process.returncode, out, err.decode(), pids, fds

    @staticmethod
    def end_all(fds):
        for fd in fds:
            try:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.close(fd)

    def lives(self, fd):
        return not select.select([fd], [], [], 0)[0]

    def lines(self, err, head, count):
        """The lines under a head, taken apart."""
        all_lines = err.splitlines()
        self.assertIn(head.format(count), all_lines, err)
        at = all_lines.index(head.format(count)) + 1
        found = [LINE.fullmatch(line) for line in all_lines[at:at + count]]
        self.assertNotIn(None, found, err)
        return [(int(m[1]), m[2], int(m[3]), m[4], m[5], m[6]) for m in found]

    def test_a_daemon_is_named_and_not_waited_for(self):
        code, out, err, pids, fds = self.leak("--find-leaks", then="echo bye; exit 0")
        self.assertEqual((code, out), (0, b"bye\n"))
        (pid, name, parent, alive, command, holds), = self.lines(err, HEAD, 1)
        self.assertEqual((pid, name, alive, holds), (pids[0], "'sh'", "True", "stdout,stderr"))
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            self.assertEqual(parent, int(file.read().rsplit(")", 1)[1].split()[1]))
        self.assertIn("read x <", command)
        self.assertTrue(self.lives(fds[0]), "it was only to be reported")
        self.assertEqual(err.count("\n"), 2, err)

    def test_which_stream_it_holds(self):
        for redirect, holds in ((">/dev/null 2>&1", None), (">/dev/null", "stderr"), ("2>/dev/null", "stdout")):
            with self.subTest(redirect=redirect):
                _, _, err, pids, fds = self.leak("--find-leaks=warn", redirect=redirect)
                (pid, *_, held), = self.lines(err, HEAD, 1)
                self.assertEqual((pid, held), (pids[0], holds))
                self.end_all([os.dup(fd) for fd in fds])

    def test_one_that_lost_its_mark_is_found_by_what_it_holds(self):
        code, _, err, pids, _ = self.leak("--find-leaks=fail", prefix="env -i")
        self.assertEqual(code, LEAKED)
        (pid, *_, holds), = self.lines(err, OTHERS, 1)
        self.assertEqual((pid, holds), (pids[0], "stdout,stderr"))
        self.assertNotIn("leaked descendant", err)

    def test_fail_changes_success_only(self):
        self.assertEqual(self.leak("--find-leaks=fail")[0], LEAKED)
        self.assertEqual(self.leak("--find-leaks=fail", then="exit 5")[0], 5)
        self.assertEqual(self.leak("--find-leaks=fail", then="kill -9 $$")[0], 128 + 9)

    def test_nobody_is_left(self):
        for option in ("--find-leaks", "--find-leaks=fail", "--kill-leaks"):
            code, out, err = self.run_cli(option, *shell("echo x; (exit 3) & wait"))
            self.assertEqual((code, out, err), (0, b"x\n", b""))

    def test_after_a_timeout(self):
        process = self.start("--find-leaks=fail", "--wall-timeout=1h", "--timeout=0.2",
                             *self.daemon(then="exec sleep 1000"))
        pid = self.read_number(self.teller)
        fd = os.pidfd_open(pid)
        self.addCleanup(self.end_all, [fd])
        os.write(self.gate, b"go\n")
        _, err = process.communicate(timeout=WATCHDOG_S)
        self.assertEqual(process.returncode, TIMED_OUT)
        self.assertEqual([line[0] for line in self.lines(err.decode(), HEAD, 1)], [pid])

    def test_kill_leaks(self):
        code, _, err, _, fds = self.leak("--kill-leaks")
        self.assertEqual(code, 0)
        self.lines(err, HEAD, 1)
        self.assertIn("[running-process] killed what was left of the command\n", err)
        self.assertFalse(self.lives(fds[0]))

    def test_kill_and_fail(self):
        for options in (("--kill-leaks", "--find-leaks=fail"), ("--find-leaks=fail", "--kill-leaks")):
            code, _, _, _, fds = self.leak(*options)
            self.assertEqual(code, LEAKED)
            self.assertFalse(self.lives(fds[0]))

    def test_a_holder_without_a_mark_is_killed_or_told(self):
        code, _, err, pids, fds = self.leak("--kill-leaks", prefix="env -i")
        self.lines(err, OTHERS, 1)
        if self.lives(fds[0]): # not in a cgroup of ours: nothing says that it is the command's
            self.assertEqual(code, FAILED)
            self.assertIn(f"  pid={pids[0]} name='sh' was not killed", err)
            self.assertNotIn("killed what was left", err)
        else:
            self.assertEqual(code, 0)
            self.assertIn("killed what was left", err)

    def test_a_hundred(self):
        command = ('i=0; while [ $i -lt 100 ]; do setsid sh -c \'echo $$ >"$2"; read x <"$1"\' - "$1" "$2" '
                   '& i=$((i+1)); done; read n <"$3"')
        process = self.start("--kill-leaks", *shell(command, "-", self.hold, self.told, self.go()))
        pids = sorted(self.read_number(self.teller) for _ in range(100))
        fds = [os.pidfd_open(pid) for pid in pids]
        self.addCleanup(self.end_all, fds)
        os.write(self.gate, b"go\n")
        _, err = process.communicate(timeout=WATCHDOG_S)
        self.assertEqual(process.returncode, 0)
        self.assertEqual([line[0] for line in self.lines(err.decode(), HEAD, 100)], pids)
        self.assertFalse([pid for pid, fd in zip(pids, fds) if self.lives(fd)])

    def test_one_that_forks_all_the_time(self):
        forker = python("""
            import os
            if os.fork():
                os._exit(0)
            os.setsid()
            while True:
                if os.fork() == 0:
                    os._exit(0)
                if os.fork():
                    os._exit(0) # its child goes on
        """)
        code, _, err = self.run_cli("--kill-leaks", *forker)
        self.assertEqual(code, 0, err)
        # Nobody of them lives for long: one may be in the report. That the pipes have ended says that all are gone.
        self.assertNotIn(b"not all that was left", err)

    def test_hostile_names(self):
        rename = python("""
            import ctypes, os, sys
            ctypes.CDLL(None).prctl(15, b"it's \\"a\\"\\n\\xff\\x1b", 0, 0, 0)
            if os.fork():
                os._exit(0)
            os.setsid()
            with open(sys.argv[2], "w") as told:
                told.write(f"{os.getpid()}\\n")
            open(sys.argv[1]).read(1)
        """, self.hold, self.told)
        code, _, err, events = self.leave(rename)
        self.assertEqual(code, 0)
        self.assertEqual(err.count("\n"), 2, err)
        (_, name, _, _, _, _), = self.lines(err, HEAD, 1)
        self.assertEqual(name, "'it\\'s \"a\"\\n\ufffd\\x1b'")
        leak, = of_kind(events, "leaks")[0]["processes"]
        self.assertEqual(leak["name"], "it's \"a\"\n\ufffd\x1b")
        self.assertIn("\n", leak["command"])

    def leave(self, command):
        """Runs a command that leaves one daemon before it ends, with events."""
        path = self.path("events")
        process = self.start("--find-leaks", f"--json={path}", *command)
        fd = os.pidfd_open(self.read_number(self.teller))
        self.addCleanup(self.end_all, [fd])
        _, err = process.communicate(timeout=WATCHDOG_S)
        with open(path, "rb") as file:
            return process.returncode, err, err.decode(), self.events_of(file.read())

    def test_events(self):
        path = self.path("events")
        code, _, _, pids, _ = self.leak("--kill-leaks", f"--json={path}", redirect="2>/dev/null")
        self.assertEqual(code, 0)
        with open(path, "rb") as file:
            events = self.events_of(file.read())
        kinds = [event["event"] for event in events]
        self.assertEqual(kinds[-3:], ["leaks", "leaks_killed", "exit"])
        leaks, killed = events[-3], events[-2]
        self.assertEqual((leaks["count"], len(leaks["processes"])), (1, 1))
        leak = leaks["processes"][0]
        self.assertEqual(set(leak), {"pid", "start_time_ms", "descendant", "parent_pid", "parent_alive", "name",
                                     "command", "holds_stdout", "holds_stderr"})
        self.assertEqual((leak["pid"], leak["descendant"], leak["name"]), (pids[0], True, "sh"))
        self.assertEqual((leak["holds_stdout"], leak["holds_stderr"]), (True, False))
        self.assertEqual((killed["survivors"], killed["spared"]), ([], []))

    def test_events_of_a_clean_run(self):
        code, _, _, events = self.run_events("--find-leaks", "true")
        self.assertEqual((code, of_kind(events, "leaks")[0]["processes"]), (0, []))
        self.assertFalse(of_kind(events, "leaks_killed"))
        _, _, _, events = self.run_events("true")
        self.assertFalse(of_kind(events, "leaks"))

    def test_a_launch_that_failed_leaves_nobody(self):
        code, _, err = self.run_cli("--kill-leaks", "--find-leaks=fail", "/no/such/command")
        self.assertEqual(code, 127)
        self.one_line(err)

    def test_readers_that_are_gone(self):
        read_end, write_end = os.pipe()
        os.close(read_end)
        for stream in ("stdout", "stderr"):
            with self.subTest(stream=stream):
                process = self.start("--find-leaks=fail", *self.daemon(), **{stream: write_end})
                fd = os.pidfd_open(self.read_number(self.teller))
                self.addCleanup(self.end_all, [fd])
                os.write(self.gate, b"go\n")
                process.communicate(timeout=WATCHDOG_S)
                self.assertEqual(process.returncode, LEAKED)
        os.close(write_end)

    def test_on_a_terminal(self):
        _, _, err, pids, _ = self.leak("--find-leaks", "--pty", redirect="")
        (pid, *_, holds), = self.lines(err, HEAD, 1)
        self.assertEqual((pid, holds), (pids[0], "stdout"))

    def test_the_mark(self):
        code, out, _ = self.run_cli("--find-leaks", *shell("echo $RUNNING_PROCESS_ORIGINATOR"))
        self.assertEqual(code, 0)
        self.assertRegex(out.decode(), r"^RUNNING_PROCESS_LEAK_(\d+)_\d+:\1\n$")

    def test_options_that_contradict(self):
        for options in (("--find-leaks=maybe",), ("--find-leaks=",), ("--kill-leaks=yes",),
                        ("--find-leaks", "--env=RUNNING_PROCESS_ORIGINATOR=x:1"),
                        ("--unset=RUNNING_PROCESS_ORIGINATOR", "--kill-leaks")):
            with self.subTest(options=options):
                code, _, err = self.run_cli(*options, "true")
                self.assertEqual(code, FAILED)
                self.one_line(err)
        code, out, _ = self.run_cli("--env=RUNNING_PROCESS_ORIGINATOR=x:1",
                                    *shell("echo $RUNNING_PROCESS_ORIGINATOR"))
        self.assertEqual((code, out), (0, b"x:1\n"))


if __name__ == "__main__":
    # Daemons come to us when their parents end, so that none is left when a test fails.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    unittest.main()
