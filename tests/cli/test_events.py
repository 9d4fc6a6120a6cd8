"""The events of --json: each line valid, each field there, and true."""

import os
import re
import signal
import time
import unittest

from support import REPORTER, WATCHDOG_S, Case, of_kind, python, shell

FAILED, NOT_FOUND = 125, 127


class Events(Case):
    def test_a_whole_life_in_its_order(self):
        before_ms = time.time_ns() // 1_000_000
        command = shell("echo one; echo two >&2; exit 3")
        code, out, err, events = self.run_events("--timeout=9", *command)
        self.assertEqual((code, out, err), (3, b"one\n", b"two\n"))
        kinds = [event["event"] for event in events]
        self.assertEqual(kinds[:2], ["schema", "start"])
        self.assertEqual(kinds[-1], "exit")
        self.assertEqual(sorted(kinds), sorted(["schema", "start", "output", "output", "eos", "eos",
                                                "exited", "exit"]))
        self.assertGreaterEqual(events[0]["time_ms"], before_ms)
        start, last = events[1], events[-1]
        self.assertEqual(start["command"], command)
        self.assertEqual((start["idle_timeout_ns"], start["wall_timeout_ns"]), (9_000_000_000, None))
        self.assertGreater(start["pid"], 1)
        self.assertEqual((last["exit_code"], last["kind"], last["code"]), (3, "exited", 3))
        self.assertEqual((last["signal"], last["error"], last["reason"]), (None, None, None))
        self.assertEqual((last["out_bytes"], last["err_bytes"], last["abnormal"]), (4, 4, True))
        points = [last[name] for name in ("queued_at_ns", "launched_at_ns", "started_at_ns",
                                          "exited_at_ns", "done_at_ns")]
        self.assertEqual(points, sorted(points))

    def test_lines_of_output(self):
        data = b'plain\n"q\\\t\x01\x7f\n\xff\xc3\xa4\xc3\n\r\na\rb\nend'
        code, out, _, events = self.run_events("cat", stdin=data)
        self.assertEqual((code, out), (0, data))
        lines = of_kind(events, "output")
        self.assertEqual([line["text"] for line in lines],
                         ["plain", '"q\\\t\x01\x7f', "\ufffd\xe4\ufffd", "", "a\rb", "end"])
        self.assertEqual([line["bytes"] for line in lines], [5, 6, 4, 0, 3, 3])
        self.assertEqual([line["unended"] for line in lines], [False] * 5 + [True])
        self.assertEqual({line["stream"] for line in lines}, {"stdout"})
        numbers = [line["seq"] for line in lines]
        self.assertEqual(numbers, sorted(numbers))

    def test_a_line_of_megabytes_comes_in_pieces(self):
        size = 3 << 20
        code, out, _, events = self.run_events("head", "-c", str(size), "/dev/zero")
        self.assertEqual((code, len(out)), (0, size))
        lines = of_kind(events, "output")
        self.assertGreater(len(lines), 1)
        self.assertEqual([line["partial"] for line in lines[:-1]], [True] * (len(lines) - 1))
        self.assertEqual("".join(line["text"] for line in lines), "\0" * size)

    def test_many_lines(self):
        code, _, err, events = self.run_events(*shell("seq 200000 >&2"))
        self.assertEqual(code, 0)
        text = "".join(line["text"] + "\n" for line in of_kind(events, "output"))
        self.assertTrue(text.encode() == err)

    def test_a_timeout_and_its_steps(self):
        code, _, _, events = self.run_events("--idle-timeout=0.3", "--signal=HUP", "sleep", "1000")
        self.assertEqual(code, 124)
        timeout, stop, last = of_kind(events, "timeout")[0], of_kind(events, "stop")[0], events[-1]
        self.assertEqual((timeout["kind"], timeout["limit_ns"]), ("idle", 300_000_000))
        self.assertEqual((stop["step"], stop["signal"]), ("terminate", "SIGHUP"))
        self.assertEqual((last["signal"], last["code"], last["exit_code"]), ("SIGHUP", -1, 124))
        self.assertEqual((last["reason"], last["step"]), ("idle_timeout", "terminate"))
        self.assertGreaterEqual(timeout["at_ns"] - last["started_at_ns"], 300_000_000)

    def test_signals_are_told(self):
        process = self.start("--json", *REPORTER)
        self.expect(process.stdout, b"ready\n")
        process.send_signal(signal.SIGINT)
        self.expect(process.stdout, b"SIGINT\n")
        process.send_signal(signal.SIGINT)
        err = process.stderr.read()
        self.assertEqual(process.wait(WATCHDOG_S), 128 + signal.SIGKILL)
        signals = of_kind(self.events_of(err), "signal")
        self.assertEqual([(event["signal"], event["relay"]) for event in signals],
                         [("SIGINT", "sent"), ("SIGINT", "kill")])

    def test_a_launch_that_failed(self):
        code, out, _, events = self.run_events("/no/such/command")
        self.assertEqual((code, out), (NOT_FOUND, b""))
        self.assertEqual([event["event"] for event in events], ["schema", "exit"])
        last = events[-1]
        self.assertEqual((last["kind"], last["error"], last["phase"], last["exit_code"]),
                         ("spawn_failed", "RP_ENOENT", "exec", NOT_FOUND))
        self.assertIsNone(last["started_at_ns"])

    def test_a_command_that_was_refused(self):
        code, out, _, events = self.run_events("-C", "/no/such/folder", "true")
        self.assertEqual((code, out), (FAILED, b""))
        self.assertEqual([event["event"] for event in events], ["schema", "exit"])
        last = events[-1]
        self.assertEqual((last["kind"], last["error"], last["exit_code"]),
                         ("spawn_failed", "RP_ENOENT", FAILED))

    def test_a_command_that_is_no_utf8(self):
        _, out, _, events = self.run_events("echo", os.fsdecode(b"a\xffb"))
        self.assertEqual(out, b"a\xffb\n")
        self.assertEqual(events[1]["command"], ["echo", "a\ufffdb"])


class Targets(Case):
    def test_standard_error_is_the_default(self):
        code, out, err = self.run_cli("--json", "echo", "x")
        self.assertEqual((code, out), (0, b"x\n"))
        self.events_of(err)

    def test_one_pipe_for_output_and_events_cuts_neither(self):
        code, out, _ = self.run_cli("--json=1", *shell("seq 10000"))
        self.assertEqual(code, 0)
        events = re.compile(rb'{"event":.*}\n')
        self.events_of(b"".join(events.findall(out)))
        self.assertEqual(events.sub(b"", out), b"".join(b"%d\n" % number for number in range(1, 10001)))

    def test_a_descriptor_of_the_caller_and_not_of_the_command(self):
        read_end, write_end = os.pipe()
        code = "import os, sys; os.fstat(int(sys.argv[1]))"
        process = self.start(f"--json={write_end}", *python(code, str(write_end)), pass_fds=(write_end,))
        os.close(write_end)
        with os.fdopen(read_end, "rb") as reader:
            events = self.events_of(reader.read())
        self.assertEqual(process.wait(WATCHDOG_S), 1) # a bad descriptor, over there
        self.assertEqual(events[-1]["exit_code"], 1)

    def test_a_file_is_truncated(self):
        path = self.path("events")
        with open(path, "wb") as file:
            file.write(b"old\n" * 10000)
        self.assertEqual(self.run_events("true")[0], 0)

    def test_a_reader_of_events_that_leaves_disturbs_nothing(self):
        read_end, write_end = os.pipe()
        os.close(read_end)
        code, out, err = self.run_cli(f"--json={write_end}", *shell("seq 1000; exit 6"),
                                      pass_fds=(write_end,))
        os.close(write_end)
        self.assertEqual((code, err), (6, b""))
        self.assertEqual(len(out.splitlines()), 1000)

    def test_events_that_cannot_be_written_are_a_failure(self):
        code, out, err = self.run_cli("--json=/dev/full", "echo", "x")
        self.assertEqual((code, out), (FAILED, b"x\n"))
        self.assertTrue(self.one_line(err).startswith("--json: "))


if __name__ == "__main__":
    unittest.main()
