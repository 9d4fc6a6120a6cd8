"""The command line of running-process: what it takes, what it refuses, and the environment it gives to the command."""

import os
import unittest

from support import Case, python, shell

FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127


class Answers(Case):
    def test_help_fits_one_screen(self):
        code, out, err = self.run_cli("--help")
        self.assertEqual((code, err), (0, b""))
        lines = out.decode("ascii").splitlines()
        self.assertLessEqual(len(lines), 23) # and the prompt
        self.assertLessEqual(max(map(len, lines)), 80)

    def test_help_names_every_option_and_says_what_timeout_means(self):
        text = self.run_cli("-h")[1].decode()
        for option in ("--timeout", "--idle-timeout", "--wall-timeout", "-k, --kill-after",
                       "-s, --signal", "--json", "-C, --cwd", "-n, --nice", "--env", "--unset",
                       "--version", "--pty", "--expect", "--idle-exit", "--find-leaks", "--kill-leaks", "--stack-dump-dir",
                       "--no-auto-stack-dumping", "--why PID"):
            self.assertIn(option, text)
        first = next(line for line in text.splitlines() if " --timeout" in line)
        self.assertIn("inactivity", first)

    def test_version_names_the_features(self):
        code, out, err = self.run_cli("--version", "--no-such-option")
        self.assertEqual((code, err), (0, b""))
        self.assertRegex(out.decode(), r"^running-process \d+\.\d+\.\d+ \([+-]uring( [+-]\w+)+\)\n$")

    def test_an_answer_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            code, _, err = self.run_cli("--help", stdout=full)
        self.assertEqual(code, FAILED)
        self.assertIn("standard output", self.one_line(err))


class Refusals(Case):
    def refused(self, *arguments):
        code, out, err = self.run_cli(*arguments)
        self.assertEqual((code, out), (FAILED, b""))
        return self.one_line(err)

    def test_no_command(self):
        for arguments in ([], ["--"], ["--timeout", "5"], ["--timeout", "5", "--"]):
            self.assertEqual(self.refused(*arguments), "a command is required after --")

    def test_unknown_options_are_named(self):
        for option in ("--no-such", "--time", "--timeouts", "-x", "--find-leak"):
            self.assertTrue(self.refused(option, "true").startswith(option + " "))

    def test_values_that_are_missing_or_too_many(self):
        for option in ("--timeout", "--wall-timeout", "-k", "-s", "-C", "-n", "--env", "--unset"):
            self.assertEqual(self.refused(option), f"{option} needs a value")
        self.assertEqual(self.refused("--help=x"), "--help takes no value")

    def test_bad_values_name_their_option(self):
        durations = ("", "x", "-1", "+1", "1x", "1.", ".", "1 s", "1e3", "inf", "nan", "0x10", "1.5.5",
                     "99999999999999999999", "40000d")
        for option in ("--timeout", "--idle-timeout", "--wall-timeout", "--kill-after"):
            for value in durations:
                message = self.refused(f"{option}={value}", "true")
                self.assertTrue(message.startswith(f"{option}: "), message)
                self.assertTrue(message.endswith(f"'{value}'"), message)
        bad = {"--signal": ("", "0", "-9", "65", "NOSUCH", "SIG", "9x"),
               "--nice": ("", "x", "20", "-21", "1.5", "--5"),
               "--env": ("", "NAME", "=value"),
               "--unset": ("", "NAME=value")}
        for option, values in bad.items():
            for value in values:
                message = self.refused(f"{option}={value}", "true")
                self.assertTrue(message.startswith(f"{option}: "), message)

    def test_options_without_effect(self):
        for option in ("--signal=INT", "--kill-after=1"):
            name = option.split("=", maxsplit=1)[0]
            self.assertEqual(self.refused(option, "true"),
                             f"{name} has no effect without --timeout, --wall-timeout or --idle-exit")

    def test_targets_of_events_that_cannot_be_written(self):
        self.assertTrue(self.refused("--json=", "true").startswith("--json "))
        for target in ("99", "99999999999999999999", "0", "/no/such/folder/file", self.folder):
            message = self.refused(f"--json={target}", "true")
            self.assertTrue(message.startswith("--json: "), message)
            self.assertTrue(message.endswith(f"'{target}'"), message)

    def test_a_directory_that_is_not_there(self):
        self.assertIn("no/such/folder", self.refused("-C", "/no/such/folder", "true"))

    def test_a_message_stays_one_line(self):
        self.assertIn("a?b", self.refused("--timeout=a\nb", "true"))


class Commands(Case):
    def test_not_found(self):
        for command in ("no-such-command-of-rp", "/no/such/file", "./no-such-file"):
            code, out, err = self.run_cli(command)
            self.assertEqual((code, out), (NOT_FOUND, b""))
            self.assertEqual(self.one_line(err), f"{command}: command not found")

    def test_not_executable(self):
        path = self.path("plain")
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n")
        os.chmod(path, 0o644)
        for command in (path, self.folder):
            code, out, err = self.run_cli(command)
            self.assertEqual((code, out), (NOT_EXECUTABLE, b""))
            self.assertIn(command, self.one_line(err))

    def test_everything_after_the_command_is_its_own(self):
        for arguments in (["printf", "%s,", "--timeout", "x", "--", "-h"],
                          ["--", "printf", "%s,", "--timeout", "x", "--", "-h"]):
            self.assertEqual(self.run_cli(*arguments), (0, b"--timeout,x,--,-h,", b""))

    def test_options_in_each_spelling(self):
        for arguments in (["--timeout", "100"], ["--timeout=100s"], ["--idle-timeout=1.5m"],
                          ["--wall-timeout", "1h", "-k5"], ["--wall-timeout=.5d", "-k", "0"],
                          ["--timeout=300000ms", "-s", "INT", "--signal=sigint", "-s2"],
                          ["--timeout=0"], ["--env", "A=", "--env=B=c=d", "--unset", "C"]):
            self.assertEqual(self.run_cli(*arguments, "echo", "ok"), (0, b"ok\n", b""))

    def test_the_directory(self):
        out = self.run_cli("-C", self.folder, "pwd")[1]
        self.assertEqual(out.decode().strip(), os.path.realpath(self.folder))

    def test_the_niceness(self):
        code, out, err = self.run_cli("--nice=19", *python("import os; print(os.nice(0))"))
        self.assertEqual((code, out, err), (0, b"19\n", b""))

    def test_the_environment(self):
        names = ("IN_RUNNING_PROCESS", "PYTHONFAULTHANDLER", "RUNNING_PROCESS_ORIGINATOR", "RP_KEPT")
        code = "import os, sys; print([os.environ.get(name) for name in sys.argv[1:]])"

        def environment(*options, **variables):
            base = {key: value for key, value in os.environ.items() if key not in names}
            out = self.run_cli(*options, *python(code, *names), env=base | variables)[1]
            return out.decode().strip()

        self.assertEqual(environment(RUNNING_PROCESS_ORIGINATOR="TOOL:1", RP_KEPT="yes"),
                         "['running-process-cli', '1', None, 'yes']")
        self.assertEqual(environment(PYTHONFAULTHANDLER="0"),
                         "['running-process-cli', '0', None, None]")
        self.assertEqual(environment("--env=RP_KEPT=a", "--env", "RP_KEPT=b", "--unset=IN_RUNNING_PROCESS"),
                         "[None, '1', None, 'b']")
        self.assertEqual(environment("--env=RP_KEPT=a", "--unset=RP_KEPT"),
                         "['running-process-cli', '1', None, None]")

    def test_the_search_path_is_the_commands(self):
        path = self.path("rp-only-here")
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho found\n")
        os.chmod(path, 0o755)
        self.assertEqual(self.run_cli(f"--env=PATH={self.folder}:/bin:/usr/bin", "rp-only-here"),
                         (0, b"found\n", b""))

    def test_nothing_else_of_ours_reaches_the_command(self):
        read_end, write_end = os.pipe()
        code = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:-1])"
        out = self.run_cli(*python(code), pass_fds=(read_end, write_end))[1]
        os.close(read_end)
        os.close(write_end)
        self.assertEqual(out, b"[0, 1, 2]\n")


class Codes(Case):
    def test_the_commands_code_is_ours(self):
        for code in (0, 1, 3, 124, 255):
            self.assertEqual(self.run_cli(*shell(f"exit {code}")), (code, b"", b""))

    def test_a_signal_death_is_128_and_the_signal(self):
        for number in (1, 2, 6, 9, 15):
            self.assertEqual(self.run_cli(*shell(f"ulimit -c 0; kill -{number} $$")), (128 + number, b"", b""))


if __name__ == "__main__":
    unittest.main()
