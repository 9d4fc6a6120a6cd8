"""What passes through running-process: every byte, as it comes, whatever the descriptors are and however slow their readers."""

import fcntl
import os
import random
import signal
import socket
import subprocess
import threading
import unittest

from support import WATCHDOG_S, Case, python, shell

BYTES = 5 * 1024 * 1024
FAILED = 125

# Copies one file to each stream, both at once.
BOTH = shell('cat "$0" & cat "$1" >&2; wait')


class Bytes(Case):
    def random_file(self, name, seed):
        data = random.Random(seed).randbytes(BYTES)
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(data)
        return path, data

    def both_files(self):
        return self.random_file("one", 1), self.random_file("two", 2)

    def test_both_streams_arrive_unchanged(self):
        (one, one_data), (two, two_data) = self.both_files()
        code, out, err = self.run_cli(*BOTH, one, two)
        self.assertEqual(code, 0)
        self.assertTrue(out == one_data)
        self.assertTrue(err == two_data)

    def test_both_streams_into_files(self):
        (one, one_data), (two, two_data) = self.both_files()
        with open(self.path("out"), "wb+") as out, open(self.path("err"), "wb+") as err:
            self.assertEqual(self.run_cli(*BOTH, one, two, stdout=out, stderr=err)[0], 0)
            out.seek(0)
            err.seek(0)
            self.assertTrue(out.read() == one_data)
            self.assertTrue(err.read() == two_data)

    def test_a_socket_as_output(self):
        path, data = self.random_file("one", 3)
        ours, theirs = socket.socketpair()
        process = self.start("cat", path, stdout=theirs)
        theirs.close()
        got = bytearray()
        with ours:
            ours.settimeout(WATCHDOG_S)
            while piece := ours.recv(1 << 16):
                got += piece
        self.assertTrue(got == data)
        self.assertEqual(process.wait(WATCHDOG_S), 0)

    def test_one_pipe_for_both_keeps_the_order(self):
        code = """
            import os, sys
            for turn in range(200):
                os.write(1 + turn % 2, b"%d\\n" % turn)
                sys.stdin.buffer.raw.read(1)
        """
        process = self.start(*python(code), stderr=subprocess.STDOUT)
        for turn in range(200):
            self.expect(process.stdout, b"%d\n" % turn)
            os.write(process.stdin.fileno(), b".")
        self.assertEqual(process.wait(WATCHDOG_S), 0)

    def test_standard_input_reaches_the_command(self):
        data = random.Random(4).randbytes(1 << 20)
        self.assertEqual(self.run_cli("cat", stdin=data), (0, data, b""))

    def test_output_comes_before_its_newline_and_before_the_exit(self):
        process = self.start(*shell('printf "name> "; read name; printf "hi %s" "$name" >&2; read end'))
        self.expect(process.stdout, b"name> ")
        os.write(process.stdin.fileno(), b"joe\n")
        self.expect(process.stderr, b"hi joe")
        self.assertIsNone(process.poll())
        process.stdin.close()
        self.assertEqual(process.wait(WATCHDOG_S), 1) # read met the end of file

    def test_a_blank_line_a_lone_return_and_nul_stay(self):
        data = b"\n\n\r\r\n\0a\xff\xfe"
        self.assertEqual(self.run_cli("cat", stdin=data), (0, data, b""))


class Descriptors(Case):
    def test_the_flags_of_a_shared_descriptor_are_left_alone(self):
        for flag in (0, os.O_NONBLOCK):
            read_end, write_end = os.pipe()
            fcntl.fcntl(write_end, fcntl.F_SETFL, flag)
            before = fcntl.fcntl(write_end, fcntl.F_GETFL)
            process = self.start(*shell("head -c 300000 /dev/zero; read end"), stdout=write_end)
            with os.fdopen(read_end, "rb", buffering=0) as reader:
                self.assertEqual(self.read_exactly(reader, 300000), bytes(300000))
                self.assertEqual(fcntl.fcntl(write_end, fcntl.F_GETFL), before)
                os.close(write_end)
                process.stdin.close()
                self.assertEqual(reader.read(), b"")
            self.assertEqual(process.wait(WATCHDOG_S), 1)

    def test_closed_standard_descriptors(self):
        def closing(*fds):
            def preexec():
                for fd in fds:
                    os.close(fd)
            return preexec

        quiet = shell("exit 5")
        self.assertEqual(self.run_cli(*quiet, preexec=closing(0, 1, 2))[0], 5)
        self.assertEqual(self.run_cli(*shell("echo a >&2; exit 5"), preexec=closing(1)), (5, b"", b"a\n"))
        self.assertEqual(self.run_cli(*shell("cat; exit 5"), preexec=closing(0))[0], 5)
        code, _, err = self.run_cli("echo", "x", preexec=closing(1))
        self.assertEqual(code, FAILED)
        self.assertIn("standard output", self.one_line(err))

    def test_a_full_device_is_told_and_counts_as_failure(self):
        with open("/dev/full", "wb") as full:
            code, _, err = self.run_cli("echo", "x", stdout=full)
            self.assertEqual(code, FAILED)
            self.assertIn("standard output: ", self.one_line(err))
            code, _, err = self.run_cli(*shell("echo x; exit 3"), stdout=full)
            self.assertEqual(code, 3)
            self.assertIn("standard output: ", self.one_line(err))


class Readers(Case):
    def test_a_reader_that_leaves_ends_a_flood_by_sigpipe(self):
        process = self.start("yes")
        self.expect(process.stdout, b"y\n")
        process.stdout.close()
        self.assertEqual(process.wait(WATCHDOG_S), 128 + signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), b"")

    def test_a_reader_that_leaves_is_an_error_to_a_command_that_ignores_sigpipe(self):
        code = """
            import os, signal
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            try:
                while True:
                    os.write(1, b"x" * 4096)
            except BrokenPipeError:
                os.write(2, b"broken")
                raise SystemExit(7)
        """
        process = self.start(*python(code))
        self.expect(process.stdout, b"x")
        process.stdout.close()
        self.expect(process.stderr, b"broken")
        self.assertEqual(process.wait(WATCHDOG_S), 7)

    def test_the_other_stream_goes_on_when_one_reader_leaves(self):
        process = self.start(*shell("yes; echo code $? >&2; read end; echo more >&2; exit 4"))
        self.expect(process.stdout, b"y\n")
        process.stdout.close()
        self.expect(process.stderr, b"code 141\n")
        os.write(process.stdin.fileno(), b"\n")
        self.expect(process.stderr, b"more\n")
        self.assertEqual(process.wait(WATCHDOG_S), 4)

    def test_a_sleeping_reader_loses_nothing_and_holds_up_no_timeout(self):
        read_end, write_end = os.pipe()
        process = self.start(f"--json={write_end}", "--wall-timeout=1", "yes", pass_fds=(write_end,))
        os.close(write_end)
        with os.fdopen(read_end, "rb") as events:
            text = b""
            for line in events: # standard output is not read yet: the end is seen all the same
                text += line
                if b'"event":"exited"' in line:
                    break
            self.assertIn(b'"event":"exited"', text)
            self.assertIsNone(process.poll())
            rest = []
            reader = threading.Thread(target=lambda: rest.append(events.read()))
            reader.start()
            out = process.stdout.read()
            reader.join(WATCHDOG_S)
        self.assertEqual(process.wait(WATCHDOG_S), 124)
        last = self.events_of(text + rest[0])[-1]
        self.assertEqual((last["event"], last["reason"]), ("exit", "wall_timeout"))
        self.assertEqual(len(out), last["out_bytes"])
        self.assertTrue(out == (b"y\n" * (len(out) // 2 + 1))[:len(out)])

    def test_a_command_that_waits_for_a_sleeping_reader_is_not_inactive(self):
        read_end, write_end = os.pipe()
        process = self.start(f"--json={write_end}", "--idle-timeout=0.3", "--wall-timeout=2", "yes",
                             pass_fds=(write_end,))
        os.close(write_end)
        with os.fdopen(read_end, "rb") as events:
            for line in events:
                if b'"event":"exited"' in line:
                    break
            reader = threading.Thread(target=events.read)
            reader.start()
            process.stdout.read()
            self.assertEqual(process.wait(WATCHDOG_S), 124)
            reader.join(WATCHDOG_S)
        self.assertEqual(self.one_line(process.stderr.read()), "timed out after 2 s")

    def test_a_signal_ends_the_wait_for_a_sleeping_reader(self):
        read_end, write_end = os.pipe()
        process = self.start(f"--json={write_end}", "head", "-c", "1000000", "/dev/zero",
                             pass_fds=(write_end,))
        os.close(write_end)
        # The command waits for room in its pipe: SIGTERM ends it; its last bytes have nowhere to go: the second ends us.
        with os.fdopen(read_end, "rb") as events:
            for line in events:
                if b'"event":"start"' in line:
                    break
            self.wait_readable(process.stdout)
            process.send_signal(signal.SIGTERM)
            for line in events:
                if b'"event":"exited"' in line:
                    break
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(WATCHDOG_S), 128 + signal.SIGTERM)


class Grandchildren(Case):
    def test_one_that_holds_the_output_delays_nothing(self):
        path = self.path("pid")
        code, out, err, events = self.run_events(
            *shell('sleep 1000 & echo $! >"$0"; echo done', path))
        with open(path, encoding="ascii") as file:
            pid = int(file.read())
        os.kill(pid, signal.SIGKILL) # it was still there: else this fails
        self.assertEqual((code, out, err), (0, b"done\n", b""))
        self.assertGreaterEqual(events[-1]["holders"], 1)


if __name__ == "__main__":
    unittest.main()
