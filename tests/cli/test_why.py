"""--why: the tree of a process, what each waits in, and who has the other ends of its pipes and terminals."""

import os
import pty
import re
import signal
import subprocess
import sys
import unittest

from support import PROGRAM, WATCHDOG_S, Case, plain_start, python, shell

FAILED = 125


class Why(Case):
    def spawn(self, command, **options):
        process = subprocess.Popen(command, preexec_fn=plain_start, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   **options)
        self.addCleanup(self.end, process)
        return process

    def why(self, pid, **options):
        done = subprocess.run([PROGRAM, "--why", str(pid)], capture_output=True, timeout=WATCHDOG_S, check=False,
                              **options)
        return done.returncode, done.stdout.decode(), done.stderr

    def why_until(self, pid, wanted):
        """The text, as soon as the processes have come to where they wait."""
        for _ in range(10000):
            code, text, err = self.why(pid)
            self.assertEqual((code, err), (0, b""))
            if re.search(wanted, text):
                return text
        self.fail(text)

    def test_a_reader_of_a_pipe(self):
        process = self.spawn(["cat"])
        text = self.why_until(process.pid, r"Waits in: read of 0, pipe:\[\d+\] \(in the kernel: \w+\)|not told")
        lines = text.splitlines()
        self.assertEqual(lines[:3], [f"Process {process.pid} (cat)", "Status: sleeping", "Command: 'cat'"])
        inode = os.fstat(process.stdin.fileno()).st_ino
        ours = f"{os.getpid()} ({self.name_of(os.getpid())}) on {process.stdin.fileno()}"
        self.assertIn(f"    0 reads pipe:[{inode}], which is written by {ours}", lines)
        inode = os.fstat(process.stdout.fileno()).st_ino
        ours = f"{os.getpid()} ({self.name_of(os.getpid())}) on {process.stdout.fileno()}"
        self.assertIn(f"    1 writes pipe:[{inode}], which is read by {ours}", lines)
        self.assertNotIn("Child processes:", text)

    @staticmethod
    def name_of(pid):
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read()[:-1]

    def test_a_tree(self):
        process = self.spawn(shell("sleep 1000 | cat; :"))
        text = self.why_until(process.pid, r"(?s)\(sleep\).*\(cat\)")
        sleep, = re.findall(r"^  Child (\d+) \(sleep\)$", text, re.M)
        cat, = re.findall(r"^  Child (\d+) \(cat\)$", text, re.M)
        self.assertIn("\nChild processes:\n", text)
        self.assertRegex(text, rf"\n      1 writes pipe:\[\d+\], which is read by {cat} \(cat\) on 0\n")
        self.assertRegex(text, rf"\n      0 reads pipe:\[\d+\], which is written by {sleep} \(sleep\) on 1\n")
        os.kill(int(sleep), signal.SIGKILL)

    def test_an_end_that_nobody_has(self):
        ours, theirs = os.pipe()
        process = self.spawn(["cat"], pass_fds=(theirs,))
        os.close(ours)
        os.close(theirs)
        self.assertRegex(self.why(process.pid)[1],
                         rf"\n    {theirs} writes pipe:\[\d+\], which is read by nobody that can be seen\n")

    def test_a_terminal(self):
        master, slave = pty.openpty()
        number = int(os.ttyname(slave).rsplit("/", 1)[1])
        process = self.spawn(["sleep", "1000"], stderr=slave)
        os.close(slave)
        self.assertIn(f"    2 reads and writes /dev/pts/{number}, which is shown by {os.getpid()} "
                      f"({self.name_of(os.getpid())}) on {master}\n", self.why(process.pid)[1])
        self.assertIn(f"{master} shows /dev/pts/{number}, which is open in {process.pid} (sleep) on 2\n",
                      self.why(os.getpid())[1])
        os.close(master)

    def test_threads(self):
        process = self.spawn(python("""
            import os, threading
            for _ in range(20):
                threading.Thread(target=os.read, args=(0, 1), daemon=True).start()
            os.write(1, b"ready\\n")
            os.read(0, 1)
        """))
        self.expect(process.stdout, b"ready\n")
        text = self.why(process.pid)[1]
        self.assertEqual(len(re.findall(r"^Thread \d+ \(.+\) waits in: ", text, re.M)), 15)
        self.assertIn("\nAnd 5 more threads\n", text)

    def test_hostile_names(self):
        process = self.spawn(python("""
            import ctypes, os
            ctypes.CDLL(None).prctl(15, b"a)\\nStatus: \\x1b\\xff", 0, 0, 0)
            os.write(1, b"ready\\n")
            os.read(0, 1)
        """))
        self.expect(process.stdout, b"ready\n")
        text = self.why(process.pid)[1]
        self.assertEqual(text.splitlines()[0], f"Process {process.pid} (a)\\nStatus: \\x1b\ufffd)")
        self.assertEqual(len(re.findall(r"^Status: ", text, re.M)), 1)

    def test_a_zombie(self):
        process = self.spawn(["true"])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        code, text, _ = self.why(process.pid)
        self.assertEqual((code, text.splitlines()[1]), (0, "Status: zombie"))

    @unittest.skipUnless(os.getuid() == 0, "needs another user")
    def test_a_process_of_another_user(self):
        process = self.spawn(["sleep", "1000"])
        os.chmod(self.folder, 0o755)
        try:
            code, text, err = self.why(process.pid, user=65534, group=65534, extra_groups=[])
        except PermissionError:
            self.skipTest("the build folder is closed to other users")
        self.assertEqual((code, err), (0, b""))
        self.assertEqual(text.splitlines()[:2], [f"Process {process.pid} (sleep)", "Status: sleeping"])
        self.assertIn("Waits in: not told to us\n", text)
        self.assertIn("Pipes and terminals: not told to us\n", text)

    def test_nobody(self):
        process = self.spawn(["true"])
        process.wait(WATCHDOG_S)
        code, out, err = self.why(process.pid)
        self.assertEqual((code, out), (1, ""))
        self.assertEqual(self.one_line(err), f"could not get process info for PID {process.pid}: no such process")

    def test_an_answer_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, f"--why={os.getpid()}"], stdout=full, stderr=subprocess.PIPE, check=False,
                                  timeout=WATCHDOG_S)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("standard output", self.one_line(done.stderr))

    def test_what_it_does_not_take(self):
        for arguments in (["--why"], ["--why", "x"], ["--why=0"], ["--why", "-1"], ["--why", "99999999999"],
                          ["--why", "1", "true"], ["--why=1", "--json"], ["--json", "--why", "1"]):
            done = subprocess.run([PROGRAM, *arguments], capture_output=True, timeout=WATCHDOG_S, check=False)
            self.assertEqual((done.returncode, done.stdout), (FAILED, b""), arguments)
            self.one_line(done.stderr)


if __name__ == "__main__":
    unittest.main()
