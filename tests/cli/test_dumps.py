"""Diagnostics of bad ends: the file with what is known, the debuggers' logs at a timeout, and what may go wrong with them."""

import datetime
import glob
import json
import os
import re
import shutil
import signal
import stat
import unittest

from support import REPORTER, WATCHDOG_S, Case, of_kind, python, shell

TIMED_OUT = 124
STREAM_KEYS = ["chunk_count", "closed", "last_chunk_utc", "tail_text", "tail_truncated", "total_bytes"]
OUTPUT_KEYS = ["idle_for_seconds", "last_output_utc", "returncode", "started_utc", "stderr", "stdout",
               "tail_limit_bytes", "timed_out"]
KEYS = ["child_output", "command", "pid", "reason", "returncode", "timeout_seconds", "timestamp_utc"]
TAIL = 16384


class Dumps(Case):
    def setUp(self):
        super().setUp()
        self.dumps = self.path("some/where")
        self.bin = self.path("bin")
        os.mkdir(self.bin)

    def run_dumping(self, *arguments, path=None, **options):
        """(exit code, stdout, stderr), with the folder for the files given as an option."""
        environment = {**os.environ, "PATH": path or os.environ["PATH"]}
        return self.run_cli(f"--stack-dump-dir={self.dumps}", *arguments, dumps=True, env=environment, **options)

    def files(self):
        return sorted(os.listdir(self.dumps)) if os.path.isdir(self.dumps) else []

    def record(self):
        """The one file of JSON, checked for its form."""
        path, = glob.glob(glob.escape(self.dumps) + "/*.json")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        record = json.loads(text)
        self.assertEqual(text, json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False).replace(
            f'"timeout_seconds": {record["timeout_seconds"]}', '"timeout_seconds": '
            + re.search(r'"timeout_seconds": ([\w.]+)', text)[1]).replace(
                f'"idle_for_seconds": {record["child_output"]["idle_for_seconds"]}', '"idle_for_seconds": '
                + re.search(r'"idle_for_seconds": ([\w.]+)', text)[1]) + "\n")
        self.assertEqual(list(record), KEYS)
        self.assertEqual(list(record["child_output"]), OUTPUT_KEYS)
        for stream in ("stdout", "stderr"):
            self.assertEqual(list(record["child_output"][stream]), STREAM_KEYS)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertRegex(os.path.basename(path),
                         rf"^\d{{8}}T\d{{6}}Z-pid{record['pid']}-{record['reason']}\.json$")
        self.assertEqual(record["child_output"]["tail_limit_bytes"], TAIL)
        return path, record

    def tool(self, name, script):
        """A debugger of ours, first on the PATH."""
        path = os.path.join(self.bin, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!{shutil.which('sh')}\n{script}\n")
        os.chmod(path, 0o755)

    def only_ours(self):
        """A PATH without debuggers but ours."""
        for name in ("sh", "sleep", "cat"):
            os.symlink(shutil.which(name), os.path.join(self.bin, name))
        return self.bin

    def test_an_abnormal_exit(self):
        before = datetime.datetime.now(datetime.timezone.utc)
        command = shell("echo out; echo err >&2; exit 3")
        code, out, err = self.run_dumping(*command)
        path, record = self.record()
        self.assertEqual((code, out), (3, b"out\n"))
        self.assertEqual(err.decode(), f"err\n[running-process] abnormal-exit diagnostics written to {path}\n")
        self.assertEqual(self.files(), [os.path.basename(path)], "nobody is left for a debugger to look at")
        self.assertEqual((record["reason"], record["returncode"], record["command"]), ("abnormal-exit", 3, command))
        self.assertIsNone(record["timeout_seconds"])
        output = record["child_output"]
        self.assertEqual((output["returncode"], output["timed_out"]), (3, False))
        self.assertEqual((output["stdout"]["tail_text"], output["stderr"]["tail_text"]), ("out\n", "err\n"))
        self.assertEqual((output["stdout"]["total_bytes"], output["stdout"]["chunk_count"]), (4, 1))
        self.assertTrue(output["stdout"]["closed"])
        times = [datetime.datetime.fromisoformat(text) for text in
                 (output["started_utc"], output["stdout"]["last_chunk_utc"], record["timestamp_utc"])]
        self.assertEqual(times, sorted(times))
        self.assertLess(abs(times[0] - before), datetime.timedelta(minutes=2))

    def test_death_by_a_signal(self):
        code, _, _ = self.run_dumping(*shell("kill -9 $$"))
        _, record = self.record()
        self.assertEqual((code, record["returncode"]), (137, -9))
        self.assertIsNone(record["child_output"]["last_output_utc"])

    def test_ends_that_have_none(self):
        for arguments in (["true"], ["--no-auto-stack-dumping", "false"], ["/no/such/command"],
                          ["--idle-exit=0.2", "sleep", "1000"],
                          ["--no-auto-stack-dumping", "--timeout=0.1", "sleep", "1000"]):
            self.run_dumping(*arguments)
            self.assertEqual(self.files(), [], arguments)

    def test_an_interrupt_has_none(self):
        process = self.start(f"--stack-dump-dir={self.dumps}", *shell("echo ready; exec sleep 1000"), dumps=True)
        self.expect(process.stdout, b"ready\n")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WATCHDOG_S)
        self.assertEqual((process.returncode, self.files()), (130, []))

    def test_tails_are_the_last_bytes_and_valid_text(self):
        code, _, _ = self.run_dumping(*python("""
            import os, sys
            os.write(1, b"x" + b"\\xc3\\xa4" * 20000)
            os.write(2, b"a\\xff\\x00b")
            raise SystemExit(1)
        """))
        self.assertEqual(code, 1)
        output = self.record()[1]["child_output"]
        self.assertTrue(output["stdout"]["tail_truncated"])
        self.assertEqual(output["stdout"]["total_bytes"], 40001)
        self.assertEqual(output["stdout"]["tail_text"], "\xe4" * (TAIL // 2))
        self.assertFalse(output["stderr"]["tail_truncated"])
        self.assertEqual(output["stderr"]["tail_text"], "a\ufffd\0b")

    def test_a_tail_that_begins_within_a_character(self):
        self.run_dumping(*python("""
            import os
            os.write(1, b"\\xc3\\xa4" * 20000 + b"x")
            raise SystemExit(1)
        """))
        tail = self.record()[1]["child_output"]["stdout"]["tail_text"]
        self.assertEqual(tail, "\xe4" * (TAIL // 2 - 1) + "x")

    def test_where_the_files_go(self):
        environment = {**os.environ, "RUNNING_PROCESS_STACK_DUMP_DIR": self.path("from the environment")}
        self.run_cli("false", dumps=True, env=environment)
        self.assertEqual(len(os.listdir(self.path("from the environment"))), 1)
        self.run_cli("--stack-dump-dir", self.dumps, "false", dumps=True, env=environment)
        self.assertEqual(len(self.files()), 1)
        environment["RUNNING_PROCESS_STACK_DUMP_DIR"] = ""
        self.run_cli("false", dumps=True, env=environment, cwd=self.folder)
        self.assertEqual(len(os.listdir(self.path("logs/running-process"))), 1)

    def test_a_folder_that_cannot_be_written(self):
        with open(self.path("some"), "wb"):
            pass
        for arguments, code in ((["false"], 1), (["--timeout=0.1", "sleep", "1000"], TIMED_OUT)):
            got, out, err = self.run_dumping(*arguments)
            self.assertEqual((got, out), (code, b""))
            warning = err.decode().splitlines()[0]
            self.assertTrue(warning.startswith("running-process: diagnostics cannot be written: "), warning)
            self.assertEqual(err.count(b"diagnostics"), 1)

    def test_a_folder_that_is_none(self):
        code, _, err = self.run_cli("--stack-dump-dir=/dev/full", "false", dumps=True)
        self.assertEqual(code, 1)
        self.one_line(err)

    def test_a_timeout_is_looked_at_before_the_kill(self):
        self.tool("gdb", 'for last; do :; done; echo "looks at $(cat /proc/$last/comm)"; echo oops >&2; exit 7')
        self.tool("py-spy", 'echo "$@"')
        code, out, err = self.run_dumping("--timeout=0.3", *shell("echo begun; sleep 1000 & wait"),
                                          path=self.only_ours())
        path, record = self.record()
        self.assertEqual((code, out), (TIMED_OUT, b"begun\n"))
        self.assertEqual(err.decode(), f"[running-process] timeout diagnostics written to {path}\n"
                                       "running-process: timed out: no output for 0.3 s\n")
        self.assertEqual((record["reason"], record["returncode"], record["timeout_seconds"]), ("timeout", None, 0.3))
        self.assertGreaterEqual(record["child_output"]["idle_for_seconds"], 0.3)
        self.assertTrue(record["child_output"]["timed_out"])
        self.assertFalse(record["child_output"]["stdout"]["closed"])
        stem = path[:-len(".json")]
        with open(stem + ".native-debugger.log", encoding="utf-8") as file:
            log = file.read()
        self.assertRegex(log, rf"^# process {record['pid']} 'sh'\n\$ gdb -nx .* -p {record['pid']}\nexit_code=7\n\n"
                              r"\[stdout\]\nlooks at sh\n\n\[stderr\]\noops\n\n# process \d+ 'sleep'\n")
        self.assertIn("looks at sleep\n", log)
        with open(stem + ".py-spy.log", encoding="utf-8") as file:
            self.assertIn(f"exit_code=0\n\n[stdout]\ndump --pid {record['pid']}\n", file.read())

    def test_without_debuggers(self):
        self.run_dumping("--wall-timeout=0.2", "sleep", "1000", path=self.only_ours())
        path, record = self.record()
        self.assertEqual(record["timeout_seconds"], 0.2)
        for suffix, text in ((".py-spy.log", "py-spy unavailable on PATH\n"),
                             (".native-debugger.log", "native debugger unavailable on PATH\n")):
            with open(path[:-len(".json")] + suffix, encoding="utf-8") as file:
                self.assertEqual(file.read(), text)

    def test_lldb_where_there_is_no_gdb(self):
        self.tool("lldb", "echo stacks")
        self.run_dumping("--timeout=0.2", "sleep", "1000", path=self.only_ours())
        path, _ = self.record()
        with open(path[:-len(".json")] + ".native-debugger.log", encoding="utf-8") as file:
            self.assertRegex(file.read(), r"\$ lldb .*\nexit_code=0\n\n\[stdout\]\nstacks\n")

    def test_a_command_that_ends_meanwhile(self):
        # The debugger waits for ever: the command's own end is what ends it, long before its time is over.
        fifo = self.path("looking")
        os.mkfifo(fifo)
        with os.fdopen(os.open(fifo, os.O_RDWR), "rb", buffering=0) as looking:
            self.tool("gdb", f"echo x >{fifo}; exec sleep 1000")
            process = self.start(f"--stack-dump-dir={self.dumps}", "--timeout=0.2", *REPORTER, dumps=True,
                                 env={**os.environ, "PATH": self.only_ours()})
            self.expect(process.stdout, b"ready\n")
            self.expect(looking, b"x\n")
            process.stdin.write(b"5\n")
            process.stdin.flush()
            _, err = process.communicate(timeout=WATCHDOG_S)
        self.assertEqual(process.returncode, TIMED_OUT, err)
        self.assertEqual(len(self.files()), 3)

    def test_output_that_comes_while_it_is_looked_at(self):
        self.tool("gdb", "for last; do :; done; kill -USR1 $last; exit 0")
        process = self.start(f"--stack-dump-dir={self.dumps}", "--timeout=0.2", *REPORTER, dumps=True,
                             env={**os.environ, "PATH": self.only_ours()})
        out = process.stdout.read() # standard input stays open: its end would end the command
        process.wait(WATCHDOG_S)
        self.assertIn(b"SIGUSR1\n", out)
        self.assertEqual(process.returncode, TIMED_OUT)

    @unittest.skipUnless(shutil.which("gdb"), "there is no gdb")
    def test_real_stacks(self):
        self.run_dumping("--timeout=0.3", "sleep", "1000")
        path, _ = self.record()
        with open(path[:-len(".json")] + ".native-debugger.log", encoding="utf-8") as file:
            log = file.read()
        if "ptrace: Operation not permitted" in log:
            self.skipTest("processes may not be traced here")
        self.assertIn("#0 ", log)
        self.assertIn("nanosleep", log)

    def test_events(self):
        _, _, _, events = self.run_events(f"--stack-dump-dir={self.dumps}", *shell("exit 4"), dumps=True)
        path, _ = self.record()
        event, = of_kind(events, "diagnostics")
        self.assertEqual((event["reason"], event["path"]), ("abnormal-exit", path))


if __name__ == "__main__":
    unittest.main()
