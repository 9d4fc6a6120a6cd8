"""pty_shell: a shell inside a terminal, as somebody at that terminal has it."""

import fcntl
import os
import struct
import subprocess
import termios
import unittest

from support import FOLDER, WATCHDOG_S, Case, plain_start


class PtyShell(Case):
    program = "pty_shell"

    def setUp(self):
        super().setUp()
        self.master, self.slave = os.openpty()
        self.addCleanup(os.close, self.master)
        self.addCleanup(os.close, self.slave)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 70, 0, 0))
        self.before = termios.tcgetattr(self.slave)

    def start_at_terminal(self, *arguments):
        def enter():
            plain_start()
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        process = subprocess.Popen([os.path.join(FOLDER, self.program), *arguments], stdin=self.slave,
                                   stdout=self.slave, stderr=self.slave, preexec_fn=enter)
        self.addCleanup(self.end, process)
        return process

    def test_keys_and_output_go_through(self):
        process = self.start_at_terminal("sh", "-c", "stty size; read line; echo \"[$line]\"; exit 3")
        self.read_until(self.master, b"20 70\r\n")
        os.write(self.master, b"typed\r")
        self.read_until(self.master, b"[typed]\r\n")
        self.assertEqual(process.wait(WATCHDOG_S), 3)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def test_the_key_leaves_it(self):
        process = self.start_at_terminal("sh", "-c", "echo ready; read line; exit 3")
        self.read_until(self.master, b"ready\r\n")
        os.write(self.master, b"\x1d")
        self.read_until(self.master, b"left\r\n")
        self.assertEqual(process.wait(WATCHDOG_S), 0)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def test_tells_that_a_program_is_missing(self):
        process = self.start_at_terminal("/nonexistent/program")
        self.read_until(self.master, b"no such file or directory\r\n")
        self.assertEqual(process.wait(WATCHDOG_S), 127)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def test_is_refused_without_a_terminal(self):
        code, _, err = self.run_example("true")
        self.assertEqual(code, 125)
        self.assertIn(b"standard input is not a terminal", err)


if __name__ == "__main__":
    unittest.main()
