"""idle_agent: a question once the program is quiet, and what it says until it is quiet again."""

import unittest

from support import Case

# Greets, then answers each line in two pieces.
AGENT = "stty -echo; echo hello; while read q; do echo \"you said $q\"; echo 'and that is all'; done"


class IdleAgent(Case):
    program = "idle_agent"

    def test_takes_the_answer_and_stops_the_program(self):
        code, out, err = self.run_example("2000", "six times seven", "sh", "-c", AGENT)
        self.assertEqual((code, err), (0, b""))
        self.assertIn(b"you said six times seven\r\nand that is all\r\n", out)

    def test_a_program_that_ends_has_not_answered(self):
        code, _, err = self.run_example("2000", "q", "sh", "-c", "echo bye")
        self.assertEqual((code, err), (1, b""))

    def test_bad_usage(self):
        for arguments in ((), ("x", "q", "true"), ("0", "q", "true"), ("5", "q")):
            self.assertEqual(self.run_example(*arguments)[0], 2)


if __name__ == "__main__":
    unittest.main()
