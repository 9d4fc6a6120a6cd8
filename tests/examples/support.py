"""What the tests of the examples share: running one to its end, and watching one that runs.

Nothing here sleeps. A test waits for bytes, for an exit, for a fifo or a pidfd; WATCHDOG_S only ends a test that hangs.
"""

import os
import select
import shlex
import signal
import subprocess
import tempfile
import unittest

FOLDER = os.environ.get("RP_EXAMPLES", "")
WATCHDOG_S = 60


def plain_start():
    """In the child: as from an interactive shell, whatever the test runner ignores or blocks."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


class Case(unittest.TestCase):
    maxDiff = 2000
    program = ""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="rp-examples-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start(self, *arguments, **options):
        """The example with pipes on all three streams, unless said otherwise; killed when the test ends."""
        for stream in ("stdin", "stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        process = subprocess.Popen(
            [os.path.join(FOLDER, self.program), *arguments], preexec_fn=plain_start, **options)
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

    def run_example(self, *arguments, stdin=b"", **options):
        """Runs it to its end: (exit code, stdout, stderr)."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(stdin, timeout=WATCHDOG_S)
        return process.returncode, out, err

    def make_fifo(self, name):
        """A fifo: its path, and the path as a word for the shell."""
        path = os.path.join(self.folder, name)
        os.mkfifo(path)
        return path, shlex.quote(path)

    def read_until(self, descriptor, wanted):
        """Bytes as they come, until `wanted` is among them; all of them."""
        got = b""
        while wanted not in got:
            ready, _, _ = select.select([descriptor], [], [], WATCHDOG_S)
            self.assertTrue(ready, f"nothing more came after {got!r}")
            piece = os.read(descriptor, 4096)
            self.assertNotEqual(piece, b"", f"the stream ended after {got!r}")
            got += piece
        return got
