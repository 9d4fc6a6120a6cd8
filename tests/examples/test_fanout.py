"""fanout: every command runs once, its output comes in one piece, and the exit status counts failures."""

import os
import pty
import select
import signal
import subprocess
import unittest

from support import WATCHDOG_S, Case

FAILED = 125
COMMANDS = 2000
USAGE = b"usage: fanout [-j N] <commands     N at a time, 1 to 1000000\n"


def lines(commands):
    return "".join(command + "\n" for command in commands).encode()


class Work(Case):
    program = "fanout"

    def test_thousands_of_commands_on_both_streams(self):
        commands = [f"echo out {i}; echo err {i} >&2; test $(( {i} % 100 )) -ne 7" for i in range(COMMANDS)]
        code, out, err = self.run_example("-j", "50", stdin=lines(commands))
        self.assertEqual(sorted(out.splitlines()), sorted(b"out %d" % i for i in range(COMMANDS)))
        complaints = [line for line in err.splitlines() if line.startswith(b"fanout: ")]
        self.assertEqual(sorted(line for line in err.splitlines() if not line.startswith(b"fanout: ")),
                         sorted(b"err %d" % i for i in range(COMMANDS)))
        self.assertEqual(len(complaints), COMMANDS // 100)
        self.assertTrue(all(line.endswith(b": Process exited abnormally with return code 1") for line in complaints))
        self.assertEqual(code, COMMANDS // 100)

    def test_the_output_of_a_command_stays_together(self):
        # All write at the same time, many times more than a pipe takes at once, and into one descriptor.
        commands = [f"for n in $(seq 200); do echo {i} $n; echo {i} $n >&2; done" for i in range(100)]
        code, out, _ = self.run_example("-j", "100", stdin=lines(commands), stderr=subprocess.STDOUT)
        self.assertEqual(code, 0)
        rows = [tuple(map(int, line.split())) for line in out.splitlines()]
        self.assertEqual(len(rows), 100 * 400)
        seen = []
        for place in range(0, len(rows), 400):
            block = rows[place:place + 400]
            self.assertEqual({command for command, _ in block}, {block[0][0]})
            self.assertEqual(sorted(number for _, number in block), sorted(list(range(1, 201)) * 2))
            seen.append(block[0][0])
        self.assertEqual(sorted(seen), list(range(100)))

    def test_bytes_pass_unchanged(self):
        data = os.urandom(300000)
        path = os.path.join(self.folder, "data")
        with open(path, "wb") as file:
            file.write(data)
        code, out, err = self.run_example(stdin=lines([f"cat '{path}'"]))
        self.assertTrue(out == data)
        self.assertEqual((code, err), (0, b""))

    def test_no_more_than_n_at_a_time(self):
        # Each stands in a line of a file while it runs; the most that ever stood there is what counts.
        log = os.path.join(self.folder, "log")
        code, _, err = self.run_example("-j", "3", stdin=lines([f"echo + >>'{log}'; ls /; echo - >>'{log}'"] * 60))
        self.assertEqual((code, err), (0, b""))
        running = most = 0
        with open(log, encoding="ascii") as file:
            for line in file:
                running += 1 if line == "+\n" else -1
                most = max(most, running)
        self.assertEqual(running, 0)
        self.assertLessEqual(most, 3)

    def test_runs_commands_before_the_input_ends(self):
        process = self.start("-j", "1")
        process.stdin.write(b"echo early\n")
        process.stdin.flush()
        self.assertEqual(self.read_until(process.stdout.fileno(), b"\n"), b"early\n")
        rest, err = process.communicate(b"\n\necho late", timeout=WATCHDOG_S)
        self.assertEqual((process.returncode, rest, err), (0, b"late\n", b""))

    def test_no_input_is_no_work(self):
        self.assertEqual(self.run_example(), (0, b"", b""))
        self.assertEqual(self.run_example(stdin=b"\n\n\n"), (0, b"", b""))
        with open("/dev/null", "rb") as null:
            self.assertEqual(self.run_example(stdin_file=null), (0, b"", b""))

    def run_example(self, *arguments, stdin_file=None, **options):
        """As the base's; with a file in place of bytes as standard input."""
        if stdin_file is None:
            return super().run_example(*arguments, **options)
        process = self.start(*arguments, stdin=stdin_file, **options)
        out, err = process.communicate(timeout=WATCHDOG_S)
        return process.returncode, out, err


class Failures(Case):
    program = "fanout"

    def test_the_exit_status_is_capped(self):
        for count, status in ((1, 1), (100, 100), (101, 101), (150, 101)):
            code, out, err = self.run_example("-j", "20", stdin=lines(["false"] * count))
            self.assertEqual((code, out, err.count(b"\n")), (status, b"", count))

    def test_a_line_that_cannot_be_run_is_a_failure_of_its_own(self):
        code, out, err = self.run_example("-j", "1", stdin=b"echo a\necho b\0c\necho d\n")
        self.assertEqual((code, out), (1, b"a\nd\n"))
        self.assertEqual(err, b"fanout: echo b: a NUL in the line\n")

    def test_a_line_longer_than_the_system_takes_is_a_failure_of_its_own(self):
        code, out, err = self.run_example("-j", "1", stdin=b": " + b"x" * 200000 + b"\necho next\n")
        self.assertEqual((code, out), (1, b"next\n"))
        self.assertIn(b"could not be started", err)

    def test_a_line_without_end_is_refused(self):
        code, _, err = self.run_example(stdin=b"x" * 300000)
        self.assertEqual((code, err), (FAILED, b"fanout: standard input: a line is too long\n"))

    def test_a_reader_that_is_gone_ends_it(self):
        ours, theirs = os.pipe()
        os.close(ours)
        code, _, err = self.run_example(stdin=b"echo a\n", stdout=theirs)
        os.close(theirs)
        self.assertEqual(code, FAILED)
        self.assertEqual(err, b"fanout: output: Broken pipe\n")

    def test_bad_usage(self):
        for arguments in (("-j",), ("-j", "0"), ("-j", "-1"), ("-j", "x"), ("-j", "3x"), ("-j", "1000001"),
                          ("-j", "99999999999999999999"), ("-x",), ("word",)):
            code, out, err = self.run_example(*arguments)
            self.assertEqual((code, out), (FAILED, b""), arguments)
            self.assertTrue(err.endswith(USAGE), err)
        self.assertEqual(self.run_example("-h"), (0, USAGE, b""))

    def test_standard_input_that_is_closed(self):
        process = subprocess.run(["sh", "-c", 'exec "$0" <&-', os.path.join(os.environ["RP_EXAMPLES"], "fanout")],
                                 capture_output=True, timeout=WATCHDOG_S, check=False)
        self.assertEqual((process.returncode, process.stdout), (FAILED, b""))
        self.assertEqual(process.stderr, b"fanout: standard input: bad file descriptor\n")


class Signals(Case):
    program = "fanout"

    def end_by(self, number):
        """A command runs, the signal comes to fanout alone: both are gone afterwards."""
        path, word = self.make_fifo(f"pid{number}")
        process = self.start()
        process.stdin.write(lines([f"echo $$ >{word}; exec sleep 1000"]))
        process.stdin.flush()
        with open(path, encoding="ascii") as fifo:
            pidfd = os.pidfd_open(int(fifo.readline()))
        process.send_signal(number)
        self.assertEqual(process.wait(WATCHDOG_S), -number)
        self.wait_gone(pidfd)

    def wait_gone(self, pidfd):
        ready, _, _ = select.select([pidfd], [], [], WATCHDOG_S)
        os.close(pidfd)
        self.assertTrue(ready, "the command is still there")

    def test_a_signal_ends_it_and_its_commands(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.end_by(number)


class Terminal(Case):
    program = "fanout"

    def test_tells_on_a_terminal_how_far_it_is(self):
        # The second command ends only when we have seen the progress of the first.
        path, word = self.make_fifo("go")
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        process = self.start("-j", "2", stderr=slave)
        os.close(slave)
        process.stdin.write(lines(["false", f"read line <{word}"] + ["true"] * 3))
        process.stdin.close()
        got = self.read_until(master, b"4 done, 1 failed, 1 running, 0 waiting, ")
        self.assertIn(b"fanout: false: Process exited abnormally with return code 1\r\n", got)
        with open(path, "w", encoding="ascii") as go:
            go.write("now\n")
        self.assertEqual(process.wait(WATCHDOG_S), 1)
        rest = self.read_all(master)
        self.assertTrue(rest.endswith(b"\r\x1b[K"), "the progress is wiped at the end")

    def test_a_line_without_end_is_not_wiped(self):
        path, word = self.make_fifo("go")
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        process = self.start("-j", "2", stdout=slave, stderr=slave)
        os.close(slave)
        process.stdin.write(lines(["printf unended; exit 3", f"read line <{word}"]))
        process.stdin.close()
        self.read_until(master, b"unended\r\nfanout: printf unended; exit 3: Process exited abnormally with return code 3\r\n")
        self.read_until(master, b"1 done, 1 failed, ")
        with open(path, "w", encoding="ascii") as go:
            go.write("now\n")
        self.assertEqual(process.wait(WATCHDOG_S), 1)

    def test_says_nothing_where_there_is_no_terminal(self):
        # Longer than the time between two looks at a terminal.
        self.assertEqual(self.run_example(stdin=lines(["sleep 0.3"])), (0, b"", b""))

    @staticmethod
    def read_all(master):
        got = b""
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError: # EIO: the other side is closed
                return got
            if not piece:
                return got
            got += piece


if __name__ == "__main__":
    unittest.main()
