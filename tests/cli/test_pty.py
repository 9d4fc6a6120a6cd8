"""--pty, --expect and --idle-exit: a command on a terminal of its own, by a person at a terminal (here: the test, on a
pseudo-terminal of its own) and without one; and, where tmux is installed, as tmux shows it."""

import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
import unittest

from support import PROGRAM, WATCHDOG_S, Case, of_kind, plain_start, python, shell

TIMED_OUT, FAILED, NOT_EXECUTABLE, NOT_FOUND = 124, 125, 126, 127


class Window:
    """A terminal with running-process in its foreground, in a session of its own, as a person has it."""

    def __init__(self, case, *arguments, rows=24, cols=80):
        self.case = case
        self.master, self.slave = os.openpty()
        self.resize(rows, cols)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""

        def enter():
            plain_start()
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        # The leader of the session is a shell, which outlives the program and reads what is typed afterwards.
        self.process = subprocess.Popen(["sh", "-c", '"$@"; code=$?; exec <&-; exit $code', "sh", PROGRAM, *arguments],
                                        stdin=self.slave, stdout=self.slave, stderr=self.slave, preexec_fn=enter)
        case.addCleanup(self.close)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def pid(self):
        """Of running-process."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            return int(file.read().split()[0])

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, keys):
        os.write(self.master, keys)

    def expect(self, wanted):
        while wanted not in self.seen:
            ready, _, _ = select.select([self.master], [], [], WATCHDOG_S)
            self.case.assertTrue(ready, f"{wanted!r} did not come, but {self.seen!r}")
            self.seen += os.read(self.master, 65536)
        self.seen = self.seen[self.seen.index(wanted) + len(wanted):]

    def end(self):
        """Its exit code; the terminal must be as it was."""
        code = self.process.wait(WATCHDOG_S)
        self.case.assertEqual(termios.tcgetattr(self.slave), self.before)
        return code


class Terminal(Case):
    def test_the_command_has_a_terminal_on_all_three_streams(self):
        code, out, err = self.run_cli("--pty", *shell("test -t 0 -a -t 1 -a -t 2 && tty && stty size"))
        self.assertEqual((code, err), (0, b""))
        self.assertRegex(out.decode(), r"^/dev/pts/\d+\r\n24 80\r\n$")

    def test_exit_codes_are_as_without(self):
        for code in (0, 1, 125, 255):
            self.assertEqual(self.run_cli("--pty", *shell(f"exit {code}"))[0], code)
        self.assertEqual(self.run_cli("--pty", *shell("kill -9 $$"))[0], 137)
        self.assertEqual(self.run_cli("--pty", "/nonexistent/program")[0], NOT_FOUND)
        self.assertEqual(self.run_cli("--pty", "/")[0], NOT_EXECUTABLE)
        self.assertEqual(self.run_cli("--pty", "--wall-timeout", "50ms", "sleep", "100")[0], TIMED_OUT)

    def test_output_is_what_the_terminal_makes_of_it(self):
        code, out, _ = self.run_cli("--pty", *shell("printf 'a\\nb\\033[1mc'; printf err >&2"))
        self.assertEqual((code, out), (0, b"a\r\nb\x1b[1mcerr"))

    def test_a_pipe_is_typed_and_its_end_is_the_end_of_file_key(self):
        code, out, _ = self.run_cli("--pty", *shell("stty -echo; echo ready; cat; echo end"), stdin=b"one\ntwo\n")
        self.assertEqual(code, 0)
        self.assertIn(b"one\r\ntwo\r\n", out)
        self.assertTrue(out.endswith(b"end\r\n"), out)

    def test_a_line_too_long_to_be_typed_is_told(self):
        code, _, err = self.run_cli("--pty", "cat", stdin=b"x" * 10000 + b"\n")
        self.assertEqual(code, FAILED)
        self.assertIn("longer than a terminal takes", self.one_line(err))

    def test_events_tell_of_the_terminal(self):
        code, _, _, events = self.run_events("--pty", *shell("echo line"))
        self.assertEqual(code, 0)
        self.assertTrue(of_kind(events, "start")[0]["pty"])
        self.assertEqual([event["text"] for event in of_kind(events, "output")], ["line"])


class Person(Case):
    def test_keys_output_size_and_restored_modes(self):
        window = Window(self, "--pty", "--", *shell("stty size; read a; echo \"got $a\"; read b; exit 7"),
                        rows=31, cols=101)
        window.expect(b"31 101\r\n")
        window.type(b"first\r")
        window.expect(b"got first\r\n")
        window.type(b"second\r")
        window.expect(b"second\r\n")
        self.assertEqual(window.end(), 7)

    def test_a_new_size_reaches_the_command(self):
        window = Window(self, "--pty", "--", *python("""
            import os, signal
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
            print("ready", flush=True)
            while os.get_terminal_size(0) != (90, 40):
                signal.sigwait({signal.SIGWINCH})
            print("resized", flush=True)
        """))
        window.expect(b"ready")
        window.resize(40, 90)
        window.expect(b"resized")
        self.assertEqual(window.end(), 0)

    def test_ctrl_c_is_the_commands(self):
        window = Window(self, "--pty", "--", *shell("trap 'echo caught; exit 4' INT; echo ready; read x"))
        window.expect(b"ready")
        window.type(b"\x03")
        window.expect(b"caught")
        self.assertEqual(window.end(), 4)

    def test_a_supervisor_that_is_killed_leaves_the_terminal_as_it_was(self):
        window = Window(self, "--pty", "--", *shell("stty raw -echo; echo ready; read x"))
        window.expect(b"ready")
        self.assertNotEqual(termios.tcgetattr(window.slave), window.before)
        os.kill(window.pid(), signal.SIGKILL)
        self.assertEqual(window.process.wait(WATCHDOG_S), 137)
        until = time.monotonic() + WATCHDOG_S
        while termios.tcgetattr(window.slave) != window.before:
            self.assertLess(time.monotonic(), until, "the terminal is not restored")

    def test_a_command_that_cannot_be_found_leaves_the_terminal_as_it_was(self):
        window = Window(self, "--pty", "--", "/nonexistent/program")
        window.expect(b"command not found\r\n")
        self.assertEqual(window.end(), NOT_FOUND)

    def test_a_signal_to_the_supervisor_reaches_the_command(self):
        window = Window(self, "--pty", "--", *shell("trap 'echo caught; exit 5' TERM; echo ready; read x; exit 6"))
        window.expect(b"ready")
        os.kill(window.pid(), signal.SIGTERM)
        window.expect(b"caught")
        self.assertEqual(window.end(), 5)


class Rules(Case):
    ASK = "printf 'name? '; read n; printf 'age? '; read a; echo \"$n is $a\""

    def test_rules_are_carried_out_in_order(self):
        for where in ((), ("--pty",)):
            code, out, _ = self.run_cli(*where, "--expect", "name\\? =>Ann\\n", "--expect", "age\\? =>\\x34\\x32\\n",
                                        *shell(self.ASK))
            self.assertEqual(code, 0)
            self.assertIn(b"Ann is 42", out)

    def test_escape_sequences_are_not_in_the_way(self):
        code, out, _ = self.run_cli("--pty", "--expect", "^Password: =>secret\\n", *shell(
            "printf '\\033[1mPass\\033[0mword: '; stty -echo; read p; echo got $p"))
        self.assertEqual(code, 0)
        self.assertTrue(out.endswith(b"got secret\r\n"), out)

    def test_actions_other_than_text(self):
        for action, wanted in (("interrupt", 130), ("terminate", 143), ("kill", 137)):
            for where in ((), ("--pty",)):
                code, _, _ = self.run_cli(*where, "--expect", f"ready=>{action}", *python(
                    "import time; print('ready', flush=True); time.sleep(60)"
                    if action != "interrupt" else
                    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_DFL);"
                    "print('ready', flush=True); time.sleep(60)"))
                self.assertEqual(code, wanted, (action, where))

    def test_an_empty_action_only_waits_and_words_can_be_written(self):
        code, out, _ = self.run_cli("--expect", "ready=>", "--expect", "more=>\\x6bill\\n", *shell(
            "echo ready; echo more; read x; echo \"[$x]\""))
        self.assertEqual((code, out.splitlines()[-1]), (0, b"[kill]"))

    def test_what_does_not_come_is_a_failure(self):
        code, _, err = self.run_cli("--expect", "never=>x", "true")
        self.assertEqual(code, FAILED)
        self.assertIn("it did not come: 'never'", self.one_line(err))
        code, _, _ = self.run_cli("--expect", "never=>x", *shell("exit 9"))
        self.assertEqual(code, 9) # its own failure tells more
        code, _, err = self.run_cli("--expect", "never=>x", "/nonexistent/program")
        self.assertEqual(code, NOT_FOUND)
        self.one_line(err)

    def test_what_cannot_be_a_rule_is_refused(self):
        for value, wanted in (("nothing", "PATTERN=>ACTION"), ("=>x", "PATTERN=>ACTION"), ("a=>\\q", "escape"),
                              ("a=>\\x4", "escape"), ("a=>\\", "escape"), ("", "PATTERN=>ACTION")):
            code, out, err = self.run_cli("--expect", value, "echo", "ran")
            self.assertEqual((code, out), (FAILED, b""), value)
            self.assertIn(wanted, self.one_line(err))
        code, out, err = self.run_cli("--expect", "a=>x", "--expect", "b(c=>y", "echo", "ran")
        self.assertEqual((code, out), (FAILED, b""))
        self.assertIn("'b(c': offset 3", self.one_line(err))

    def test_events_tell_of_matches(self):
        code, _, _, events = self.run_events("--expect", "na.e=>Ann\\n", "--expect", "age=>7\\n", *shell(self.ASK))
        self.assertEqual(code, 0)
        found = [(event["pattern"], event["matched"], event["action"]) for event in of_kind(events, "expect")]
        self.assertEqual(found, [("na.e", "name", "write"), ("age", "age", "write")])

    def test_the_end_of_input_waits_for_the_rules(self):
        code, out, _ = self.run_cli("--pty", "--expect", "name=>Ann\\n", *shell("sleep 0.1; " + self.ASK), stdin=b"")
        self.assertEqual(code, 0)
        self.assertIn(b"Ann is ", out)


class Quiet(Case):
    def test_a_quiet_command_is_ended_and_that_is_its_end(self):
        for where in ((), ("--pty",)):
            code, _, _, events = self.run_events(*where, "--idle-exit", "200ms", "sleep", "100")
            self.assertEqual(code, 0)
            self.assertGreaterEqual(of_kind(events, "idle")[0]["idle_ns"], 200000000)
            self.assertEqual(of_kind(events, "stop")[0]["step"], "terminate")
            self.assertEqual(of_kind(events, "exit")[0]["signal"], "SIGTERM")

    def test_one_that_ends_by_itself_has_its_own_code(self):
        self.assertEqual(self.run_cli("--idle-exit", "100s", *shell("exit 3"))[0], 3)

    def test_one_that_ignores_the_signal_is_killed(self):
        code, _, _, events = self.run_events("--idle-exit", "100ms", "-k", "100ms", "-s", "WINCH", "sleep", "100")
        self.assertEqual(code, 0)
        self.assertEqual(of_kind(events, "exit")[0]["signal"], "SIGKILL")

    def test_what_is_expected_and_did_not_come_is_a_failure(self):
        code, _, err = self.run_cli("--idle-exit", "100ms", "--expect", "never=>", "sleep", "100")
        self.assertEqual(code, FAILED)
        self.assertIn("never", self.one_line(err))


@unittest.skipUnless(shutil.which("tmux"), "tmux is not installed")
class Tmux(Case):
    """As a person sees it, in a terminal that is somebody else's work."""

    def tmux(self, *arguments):
        return subprocess.run(["tmux", "-L", self.server, "-f", "/dev/null", *arguments], check=True,
                              capture_output=True, timeout=WATCHDOG_S).stdout

    def setUp(self):
        super().setUp()
        self.server = f"rp-test-{os.getpid()}-{id(self)}"
        self.addCleanup(lambda: subprocess.run(["tmux", "-L", self.server, "kill-server"], capture_output=True,
                                               timeout=WATCHDOG_S, check=False))

    def see(self, wanted):
        until = time.monotonic() + WATCHDOG_S
        screen = b""
        while wanted not in screen:
            self.assertLess(time.monotonic(), until, screen.decode())
            screen = self.tmux("capture-pane", "-p", "-t", "w")
        return screen

    def test_the_screen_is_the_commands_and_then_the_shells(self):
        self.tmux("new-session", "-d", "-s", "w", "-x", "70", "-y", "15", "env PS1='$ ' sh")
        self.tmux("send-keys", "-t", "w", f"{PROGRAM} --pty sh -c 'stty size; read x; echo \"[$x]\"'", "Enter")
        self.see(b"15 70")
        self.tmux("send-keys", "-t", "w", "typed", "Enter")
        self.see(b"[typed]\n$")  # the shell has its terminal back, and asks
        self.tmux("send-keys", "-t", "w", "stty -a | grep -c ' echo '", "Enter")
        screen = self.see(b"\n1\n")
        self.assertIn(b"typed\n[typed]", screen)  # echoed once, by the command's terminal


if __name__ == "__main__":
    unittest.main()
