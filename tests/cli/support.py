"""What the tests of running-process share: starting it, watching it, and small commands for it to supervise.

Nothing here sleeps. A test waits for bytes, for an exit, or for a pidfd; WATCHDOG_S only ends a test that hangs.
"""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest

PROGRAM = os.environ.get("RP_CLI", "")
WATCHDOG_S = 60

SCHEMA_KEYS = {
    "schema": {"version", "program", "program_version", "time_ms"},
    "start": {"pid", "command", "cwd", "idle_timeout_ns", "wall_timeout_ns", "idle_exit_ns",
              "kill_after_ns", "pty"},
    "output": {"stream", "seq", "bytes", "text", "partial", "unended"},
    "eos": {"stream"},
    "signal": {"signal", "number", "relay"},
    "expect": {"pattern", "matched", "offset", "action"},
    "idle": {"idle_ns"},
    "timeout": {"kind", "limit_ns"},
    "stop": {"step", "signal", "number"},
    "diagnostics": {"reason", "path"},
    "leaks": {"count", "processes"},
    "leaks_killed": {"survivors", "spared"},
    "exited": {"kind", "code", "signal", "signal_number"},
    "exit": {
        "exit_code", "kind", "code", "signal", "signal_number", "error", "system_error", "phase",
        "reason", "step", "interrupts", "abnormal", "interrupted", "core_dumped", "possible_oom",
        "oom_killed", "holders", "survivors", "summary", "queued_at_ns", "launched_at_ns",
        "started_at_ns", "first_output_at_ns", "exited_at_ns", "done_at_ns", "user_ns",
        "system_ns", "max_rss_bytes", "minor_faults", "major_faults", "voluntary_switches",
        "involuntary_switches", "in_bytes", "out_bytes", "err_bytes",
    },
}


def plain_start():
    """In the child: as from an interactive shell, whatever the test runner ignores or blocks."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def python(code, *arguments):
    """A command that runs `code`; without site packages, so that it starts fast."""
    return [sys.executable, "-I", "-S", "-c", textwrap.dedent(code), *arguments]


def shell(line, *arguments):
    return ["sh", "-c", line, *arguments]


# Says "ready", then the name of each signal that comes; a line of input ends it with the code in it, its end with 0.
# The signals come through a pipe: a Python handler would wait for a read that began a moment before it.
REPORTER = python("""
    import os, select, signal
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    signal.set_wakeup_fd(theirs)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        signal.signal(number, lambda number, frame: None)
    os.write(1, b"ready\\n")
    while True:
        ready, _, _ = select.select([0, ours], [], [])
        if ours in ready:
            os.write(1, signal.Signals(os.read(ours, 1)[0]).name.encode() + b"\\n")
        elif 0 in ready:
            raise SystemExit(int(os.read(0, 100) or 0))
""")


class Case(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="rp-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, *arguments, preexec=plain_start, dumps=False, **options):
        """The supervisor with pipes on all three streams, unless said otherwise; killed when the test ends.

        Without diagnostics of bad ends, unless they are what the test is about: most tests end badly."""
        if not dumps:
            arguments = ("--no-auto-stack-dumping", *arguments)
        for stream in ("stdin", "stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        process = subprocess.Popen([PROGRAM, *arguments], preexec_fn=preexec, **options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    pass # a reader that is gone: the test is over

    def run_cli(self, *arguments, stdin=b"", **options):
        """Runs it to its end: (exit code, stdout, stderr)."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(stdin, timeout=WATCHDOG_S)
        return process.returncode, out, err

    def read_exactly(self, stream, size):
        """Bytes as they come: fails when the stream ends or nothing comes."""
        got = b""
        while len(got) < size:
            self.wait_readable(stream)
            piece = os.read(stream.fileno(), size - len(got))
            self.assertNotEqual(piece, b"", f"the stream ended after {got!r}")
            got += piece
        return got

    def expect(self, stream, wanted):
        self.assertEqual(self.read_exactly(stream, len(wanted)), wanted)

    def wait_readable(self, stream):
        ready, _, _ = select.select([stream], [], [], WATCHDOG_S)
        self.assertTrue(ready, "nothing came")

    def read_number(self, stream):
        """A line that holds a number."""
        line = b""
        while not line.endswith(b"\n"):
            line += self.read_exactly(stream, 1)
        return int(line)

    def wait_gone(self, pidfd):
        self.wait_readable(pidfd)
        os.close(pidfd)

    def events_of(self, text):
        """Parses events and holds each to the schema."""
        events = [json.loads(line) for line in text.decode("utf-8").splitlines()]
        self.assertTrue(text.endswith(b"\n"))
        self.assertEqual(events[0]["event"], "schema")
        self.assertEqual(events[0]["version"], 1)
        for event in events:
            keys = SCHEMA_KEYS[event["event"]] | {"event", "at_ns"}
            self.assertEqual(set(event), keys)
            self.assertIsInstance(event["at_ns"], int)
        return events

    def run_events(self, *arguments, **options):
        """Runs it with --json into a file: (exit code, stdout, stderr, events)."""
        path = self.path("events")
        code, out, err = self.run_cli(f"--json={path}", *arguments, **options)
        with open(path, "rb") as file:
            return code, out, err, self.events_of(file.read())

    def one_line(self, err):
        """Standard error is one line of ours; that line without its prefix."""
        text = err.decode()
        self.assertTrue(text.startswith("running-process: "), text)
        self.assertEqual(text.count("\n"), 1, text)
        self.assertTrue(text.endswith("\n"), text)
        return text[len("running-process: "):-1]


def of_kind(events, kind):
    return [event for event in events if event["event"] == kind]
