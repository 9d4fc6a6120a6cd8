"""The programs of the README and of the manual: each is compiled as a stranger would, and run.

In the README a ```text block behind a ```c block is what it prints, and a ```console block is run line by line and prints what
stands there. The manual pages are looked through by mandoc where that is installed.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(os.environ["RP_ROOT"])
MANUAL = ROOT / "docs" / "man"
COMPILE = shlex.split(os.environ["RP_COMPILE"])
LINK = shlex.split(os.environ["RP_LINK"])
CLI = os.environ.get("RP_CLI", "")
WATCHDOG_S = 60
EXAMPLES_PROMISED = 7

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DISPLAY = re.compile(r"^\.Bd -literal\n(#include.*?)^\.Ed$", re.MULTILINE | re.DOTALL)


def blocks():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [(match.group(1), match.group(2)) for match in BLOCK.finditer(text)]


class Programs(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="rp-readme-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def build_and_run(self, text):
        source = self.folder / "example.c"
        program = self.folder / "example"
        source.write_text(text, encoding="utf-8")
        built = subprocess.run([*COMPILE, str(source), "-o", str(program), *LINK],
                               capture_output=True, text=True, timeout=WATCHDOG_S, check=False)
        self.assertEqual((built.returncode, built.stderr), (0, ""))
        return subprocess.run([str(program)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=WATCHDOG_S, check=False)

    def test_each_program_prints_what_stands_behind_it(self):
        found = blocks()
        examples = [(text, found[place + 1]) for place, (kind, text) in enumerate(found) if kind == "c"]
        self.assertEqual(len(examples), EXAMPLES_PROMISED)
        for text, (kind, expected) in examples:
            with self.subTest(expected=expected):
                self.assertEqual(kind, "text", "no output stands behind the program")
                ran = self.build_and_run(text)
                self.assertEqual((ran.stdout, ran.stderr, ran.returncode), (expected, "", 0))

    def test_the_program_of_the_manual_runs(self):
        programs = DISPLAY.findall((MANUAL / "running-process.7").read_text(encoding="utf-8"))
        self.assertEqual(len(programs), 1)
        ran = self.build_and_run(programs[0].replace("\\e", "\\"))
        self.assertIn("tmp", ran.stdout.splitlines())
        self.assertEqual((ran.stderr, ran.returncode), ("", 0))

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_the_manual_pages_are_clean(self):
        for page in sorted(MANUAL.iterdir()):
            looked = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)],
                                    capture_output=True, text=True, timeout=WATCHDOG_S, check=False)
            self.assertEqual((looked.stdout, looked.returncode), ("", 0))

    @unittest.skipUnless(CLI, "the program is not built")
    def test_each_session_prints_what_stands_there(self):
        sessions = [text for kind, text in blocks() if kind == "console"]
        self.assertTrue(sessions)
        for session in sessions:
            script = "status=0\n"
            for line in session.splitlines():
                if line.startswith("$ "): # $? is the command's before, not that of our printf
                    script += f"printf '%s\\n' {shlex.quote(line)}\n(exit $status)\n{line[2:]}\nstatus=$?\n"
            ran = subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, timeout=WATCHDOG_S, check=False, cwd=self.folder,
                                 env={**os.environ, "PATH": f"{os.path.dirname(CLI)}:{os.environ['PATH']}"})
            self.assertEqual(ran.stdout, session)


if __name__ == "__main__":
    unittest.main()
