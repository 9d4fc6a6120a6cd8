"""embed_epoll: the host's own events go on while children run, and theirs arrive beside them."""

import unittest

from support import WATCHDOG_S, Case


class Embed(Case):
    program = "embed_epoll"

    def test_children_and_the_hosts_timer_work_side_by_side(self):
        # The child ends only because the host's timer went on meanwhile: we let it go at the third tick.
        path, word = self.make_fifo("go")
        process = self.start(f"echo waiting; read line <{word}; echo released")
        got = self.read_until(process.stdout.fileno(), b"tick 3, 1 running\n")
        with open(path, "w", encoding="ascii") as go:
            go.write("now\n")
        rest, err = process.communicate(timeout=WATCHDOG_S)
        out = got + rest
        self.assertRegex(out, rb"(?m)^\d+ out: waiting$")
        self.assertRegex(out, rb"(?m)^\d+ out: released$")
        self.assertLess(out.index(b"out: waiting"), out.index(b"tick 3"))
        self.assertLess(out.index(b"tick 3"), out.index(b"out: released"))
        self.assertEqual((process.returncode, err), (0, b""))

    def test_many_children_at_once(self):
        code, out, err = self.run_example(*[f"echo {number}; echo {number} >&2" for number in range(200)])
        for stream in (b"out", b"err"):
            numbers = [int(line.split()[-1]) for line in out.splitlines() if b" " + stream + b": " in line]
            self.assertEqual(sorted(numbers), list(range(200)))
        self.assertEqual(out.count(b"Process exited normally"), 200)
        self.assertEqual((code, err), (0, b""))

    def test_a_failure_shows_in_the_exit_status(self):
        code, out, _ = self.run_example("true", "exit 4")
        self.assertIn(b"exited abnormally with return code 4", out)
        self.assertEqual(code, 1)

    def test_bad_usage(self):
        code, out, err = self.run_example()
        self.assertEqual((code, out, err), (2, b"", b"usage: embed_epoll COMMAND...\n"))


if __name__ == "__main__":
    unittest.main()
