"""hello: its lines, its exit status, and what it says when nothing can be run."""

import signal
import unittest

from support import Case


class Hello(Case):
    program = "hello"

    def test_greets_without_arguments(self):
        code, out, err = self.run_example()
        self.assertEqual(out, b"out: hello, world\nProcess exited normally with return code 0\n")
        self.assertEqual((code, err), (0, b""))

    def test_shows_the_lines_of_both_streams(self):
        code, out, err = self.run_example("sh", "-c", "echo one; echo two >&2; echo; printf three; exit 7")
        lines = out.splitlines()
        self.assertEqual([line for line in lines if line.startswith(b"out")], [b"out: one", b"out: ", b"out: three"])
        self.assertEqual([line for line in lines if line.startswith(b"err")], [b"err: two"])
        self.assertEqual(lines[-1], b"Process exited abnormally with return code 7")
        self.assertEqual((code, err), (7, b""))

    def test_ends_as_a_shell_would_after_a_signal(self):
        code, out, _ = self.run_example("sh", "-c", "kill -TERM $$")
        self.assertEqual(code, 128 + signal.SIGTERM)
        self.assertIn(b"SIGTERM", out)

    def test_tells_that_a_program_is_missing(self):
        code, out, err = self.run_example("/nonexistent/program")
        self.assertEqual(out, b"Process could not be started: exec: no such file or directory\n")
        self.assertEqual((code, err), (127, b""))

    def test_tells_what_the_library_refuses(self):
        code, out, err = self.run_example("")
        self.assertEqual((code, out), (125, b""))
        self.assertRegex(err, rb"^hello: invalid argument: .+\n$")


if __name__ == "__main__":
    unittest.main()
