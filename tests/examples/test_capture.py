"""capture: input in, both streams out, and how it ended."""

import unittest

from support import Case


class Capture(Case):
    program = "capture"

    def test_shows_all_that_came_of_a_command(self):
        code, out, err = self.run_example("pear\napple\n", "sh", "-c", "sort; printf done >&2")
        self.assertTrue(out.startswith(
            b"stdout, 11 bytes:\napple\npear\nstderr, 4 bytes:\ndone\nProcess exited normally with return code 0\nit took "),
            out)
        self.assertEqual((code, err), (0, b""))

    def test_serves_all_streams_at_once(self):
        # More than the pipes hold on every side, and no order in which one could be served after the other.
        text = "0123456789" * 10000
        code, out, err = self.run_example(text, "sh", "-c", 'tee /dev/stderr')
        self.assertIn(f"stdout, 100000 bytes:\n{text}\n".encode(), out)
        self.assertIn(f"stderr, 100000 bytes:\n{text}\n".encode(), out)
        self.assertEqual((code, err), (0, b""))

    def test_empty_input_is_an_end_of_file(self):
        code, out, _ = self.run_example("", "wc", "-c")
        self.assertRegex(out, rb"(?m)^ *0$")
        self.assertEqual(code, 0)

    def test_tells_a_failure(self):
        code, out, _ = self.run_example("", "sh", "-c", "exit 3")
        self.assertIn(b"Process exited abnormally with return code 3\n", out)
        self.assertEqual(code, 1)

    def test_a_program_that_is_missing_is_a_result(self):
        code, out, err = self.run_example("", "/nonexistent/program")
        self.assertIn(b"Process could not be started: exec: no such file or directory\n", out)
        self.assertEqual((code, err), (1, b""))

    def test_tells_what_the_library_refuses(self):
        code, out, err = self.run_example("", "")
        self.assertEqual((code, out), (1, b""))
        self.assertRegex(err, rb"^capture: invalid argument: .+\n$")

    def test_bad_usage(self):
        for arguments in ((), ("input",)):
            code, out, err = self.run_example(*arguments)
            self.assertEqual((code, out), (2, b""))
            self.assertEqual(err, b"usage: capture INPUT COMMAND [ARGUMENT...]\n")

    def test_tells_that_its_own_output_is_full(self):
        with open("/dev/full", "wb") as full:
            code, _, err = self.run_example("", "true", stdout=full)
        self.assertEqual((code, err), (1, b"capture: cannot write\n"))


if __name__ == "__main__":
    unittest.main()
