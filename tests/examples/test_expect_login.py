"""expect_login: answers what is asked, where nobody sees the password."""

import unittest

from support import Case

# A login as programs have it: the password is read without echo, which is switched off just after the question.
LOGIN = """
printf 'login: '; read name
printf '\\033[1mPassword:\\033[0m '; stty -echo; read word; stty echo; echo
if [ "$name/$word" = ada/secret ]; then echo "Welcome, $name"; else echo 'Login incorrect'; exit 1; fi
echo "$*"; exit 7
"""


class ExpectLogin(Case):
    program = "expect_login"

    def test_logs_in_and_shows_the_rest(self):
        code, out, err = self.run_example("ada", "secret", "sh", "-c", LOGIN, "sh", "and the rest")
        self.assertEqual((code, err), (7, b""))
        self.assertEqual(out, b", ada\r\nand the rest\r\n")

    def test_tells_that_the_login_was_refused(self):
        code, out, err = self.run_example("ada", "wrong", "sh", "-c", LOGIN)
        self.assertEqual((code, out, err), (1, b"the login was refused\n", b""))

    def test_tells_what_came_instead(self):
        code, out, err = self.run_example("ada", "secret", "sh", "-c", "echo no route to host")
        self.assertEqual((code, out), (1, b""))
        self.assertIn(b"no route to host", err)
        self.assertIn(b"end of stream", err)

    def test_bad_usage(self):
        self.assertEqual(self.run_example("ada", "secret")[0], 2)


if __name__ == "__main__":
    unittest.main()
