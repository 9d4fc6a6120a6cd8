"""minimake: builds what is out of date and nothing else, in order, and leaves nothing half done behind."""

import os
import pty
import select
import shutil
import signal
import subprocess
import unittest

from support import WATCHDOG_S, Case

COMPILER = """\
# What a compiler does, as far as a build sees it: it reads, writes, and tells which headers it has seen.
rule cc
  command = cat $in $$(sed -n 's/^include //p' $in) >$out && echo "$out: $in "$$(sed -n 's/^include //p' $in) >$out.d $
      && echo $in >>compiled
  depfile = $out.d
  deps = gcc
  description = CC $out
"""


class Build(Case):
    program = "minimake"

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.read()

    def exists(self, name):
        return os.path.lexists(os.path.join(self.folder, name))

    def manifest(self, text):
        self.write("build.ninja", text)

    def touch(self, name):
        """Newer than everything that stands there, whatever the clock of the files says."""
        newest = max(os.stat(os.path.join(folder, file)).st_mtime_ns
                     for folder, _, files in os.walk(self.folder) for file in files)
        os.utime(os.path.join(self.folder, name), ns=(newest + 1, newest + 1))

    def make(self, *arguments, **options):
        return self.run_example("-C", self.folder, *arguments, **options)

    def made(self, *arguments, code=0):
        """The lines that it says beside the folder's; with the exit status that is expected."""
        status, out, err = self.make(*arguments)
        self.assertEqual((status, err), (code, b""), out)
        return out.decode().splitlines()[1:]

    def refused(self, *arguments):
        status, out, err = self.make(*arguments)
        self.assertEqual((status, out.count(b"\n")), (1, 1), err)
        self.assertTrue(err.startswith(b"minimake: error: "), err)
        return err.decode()[len("minimake: error: "):].rstrip("\n")


NOTHING = ["minimake: no work to do."]


class Order(Build):
    def test_inputs_come_first(self):
        self.manifest("rule log\n  command = echo $out >>log && touch $out\n"
                      "build d: log b c\nbuild b: log a\nbuild c: log a || b\nbuild a: log\n")
        self.made("-j", "8")
        self.assertEqual(self.read("log").split(), ["a", "b", "c", "d"])
        self.assertEqual(self.made(), NOTHING)

    def test_no_more_than_n_at_a_time(self):
        self.manifest("rule log\n  command = echo + >>log; ls / >/dev/null; echo - >>log\n"
                      + "".join(f"build o{i}: log\n" for i in range(60)))
        self.made("-j", "3")
        running = most = 0
        for line in self.read("log").split():
            running += 1 if line == "+" else -1
            most = max(most, running)
        self.assertEqual(running, 0)
        self.assertLessEqual(most, 3)

    def test_a_pool_has_a_limit_of_its_own(self):
        self.manifest("pool two\n  depth = 2\n"
                      "rule log\n  command = echo + >>log; ls / >/dev/null; echo - >>log\n  pool = two\n"
                      + "".join(f"build o{i}: log\n" for i in range(60)))
        self.made("-j", "20")
        running = most = 0
        for line in self.read("log").split():
            running += 1 if line == "+" else -1
            most = max(most, running)
        self.assertEqual(running, 0)
        self.assertLessEqual(most, 2)

    def test_as_many_as_allowed_run_at_once(self):
        # Each waits until all three have begun: with two at a time this would never end.
        fifos = [self.make_fifo(f"fifo{i}")[1] for i in range(2)]
        self.manifest("rule sh\n  command = $what && touch $out\n"
                      f"build a: sh\n  what = echo a >{fifos[0]}; read x <{fifos[1]}\n"
                      f"build b: sh\n  what = read x <{fifos[0]}\n"
                      f"build c: sh\n  what = echo c >{fifos[1]}\n")
        self.assertEqual(len(self.made("-j", "3")), 3)

    def test_a_thousand_commands(self):
        self.manifest("rule w\n  command = echo $out $in >$out\n"
                      + "".join(f"build d{i % 10}/o{i}: w{f' d{(i - 10) % 10}/o{i - 10}' if i >= 10 else ''}\n"
                                for i in range(1000)))
        lines = self.made("-j", "50")
        self.assertEqual(len(lines), 1000)
        self.assertTrue(lines[-1].startswith("[1000/1000] "))
        self.assertEqual(self.read("d7/o997"), "d7/o997 d7/o987\n")
        self.assertEqual(self.made(), NOTHING)

    def test_a_long_chain_needs_no_stack(self):
        self.manifest("rule c\n  command = touch $out\nbuild o0: phony in\n"
                      + "".join(f"build o{i}: phony o{i - 1}\n" for i in range(1, 100000))
                      + "build end: c o99999\n")
        self.write("in", "")
        self.assertEqual(self.made(), ["[1/1] touch end"])

    def test_targets_and_defaults(self):
        self.manifest("rule c\n  command = touch $out\nbuild a: c\nbuild b: c\nbuild c: c a\ndefault b\n")
        self.made()
        self.assertEqual([self.exists(name) for name in "abc"], [False, True, False])
        self.made("c")
        self.assertEqual([self.exists(name) for name in "abc"], [True, True, True])
        self.assertEqual(self.refused("nothing"), "unknown target 'nothing'")


class Rebuild(Build):
    def project(self):
        self.write("a.c", "include a.h\ninclude both.h\n")
        self.write("b.c", "include both.h\n")
        self.write("c.c", "alone\n")
        for name in ("a.h", "both.h"):
            self.write(name, f"text of {name}\n")
        self.manifest(COMPILER + "rule link\n  command = cat $in >$out\n"
                      "build a.o: cc a.c\nbuild b.o: cc b.c\nbuild c.o: cc c.c\nbuild prog: link a.o b.o c.o\n")
        self.assertEqual(len(self.made()), 4)
        self.assertEqual(self.made(), NOTHING)

    def compiled_after(self, name):
        self.write("compiled", "")
        self.touch(name)
        self.made("-j", "1")
        self.assertEqual(self.made(), NOTHING)
        return sorted(self.read("compiled").split())

    def test_a_header_rebuilds_exactly_its_users(self):
        self.project()
        self.assertEqual(self.compiled_after("a.h"), ["a.c"])
        self.assertEqual(self.compiled_after("both.h"), ["a.c", "b.c"])
        self.assertEqual(self.compiled_after("c.c"), ["c.c"])
        self.assertEqual(self.compiled_after("prog"), [])

    def test_a_header_that_is_gone_is_a_reason_to_build(self):
        self.project()
        self.write("a.c", "include both.h\n")
        os.remove(os.path.join(self.folder, "a.h"))
        self.assertEqual(len(self.made()), 2)
        self.assertEqual(self.made(), NOTHING)

    def test_a_depfile_without_a_log_of_it(self):
        self.write("in", "x\n")
        self.write("odd name#1", "y\n")
        self.write("other", "z\n")
        self.write("told", "out : in \\\n ./odd\\ name\\#1 \\\n x/../other\n\nother:\n")
        self.manifest("rule c\n  command = cp $in $out && cp told $out.d\n  depfile = $out.d\nbuild out: c in\n")
        self.made()
        self.assertEqual(self.made(), NOTHING)
        for name in ("odd name#1", "other", "in"):
            self.touch(name)
            self.assertEqual(len(self.made()), 1, name)
            self.assertEqual(self.made(), NOTHING)
        os.remove(os.path.join(self.folder, "out.d"))
        self.assertEqual(len(self.made()), 1)

    def test_missing_outputs_and_changed_commands(self):
        text = "rule c\n  command = cp $in $out $flags\nbuild out/one | out/two: c in\n  flags = && cp in out/two\n"
        self.write("in", "")
        self.manifest(text)
        self.made()
        os.remove(os.path.join(self.folder, "out/two"))
        self.assertEqual(len(self.made()), 1)
        self.assertEqual(self.made(), NOTHING)
        self.manifest(text.replace("cp $in", "cp -f $in"))
        self.assertEqual(len(self.made()), 1)
        self.assertEqual(self.made(), NOTHING)

    def test_order_only_inputs_are_no_reason(self):
        self.write("in", "")
        self.manifest("rule c\n  command = touch $out\nbuild first: c in\nbuild out: c || first\n")
        self.made()
        self.touch("in")
        self.assertEqual(self.made(), ["[1/1] touch first"])
        self.assertEqual(self.made(), NOTHING)

    def test_restat_ends_what_an_unchanged_output_would_begin(self):
        self.write("in", "same\n")
        self.manifest("rule gen\n  command = cmp -s $in $out || cp $in $out\n  restat = 1\n"
                      "rule c\n  command = cp $in $out\n"
                      "build mid: gen in\nbuild out: c mid\nbuild last: c out\n")
        self.assertEqual(len(self.made()), 3)
        self.touch("in")
        self.assertEqual(len(self.made()), 1)
        self.assertEqual(self.made(), NOTHING)
        self.write("in", "other\n")
        self.touch("in")
        self.assertEqual(len(self.made()), 3)
        self.assertEqual(self.read("last"), "other\n")
        self.assertEqual(self.made(), NOTHING)

    def test_a_failed_run_is_done_again_though_its_output_is_new(self):
        self.write("in", "")
        self.manifest("rule c\n  command = touch $out; test -e good\nbuild out: c in\n")
        self.write("good", "")
        self.made()
        os.remove(os.path.join(self.folder, "good"))
        self.touch("in")
        self.made(code=1)
        self.write("good", "")
        self.assertEqual(len(self.made()), 1)

    def test_the_manifest_makes_itself_anew(self):
        self.write("source", "rule c\n  command = touch $out\nbuild one: c\n")
        rule = "rule again\n  command = cat source tail >build.ninja\n  generator = 1\nbuild build.ninja: again source\n"
        self.write("tail", rule)
        self.manifest(self.read("source") + rule)
        self.made()
        self.write("source", "rule c\n  command = touch $out\nbuild two: c\n")
        self.touch("source")
        self.made()
        self.assertTrue(self.exists("two"))
        self.assertEqual(self.made(), NOTHING)

    def test_a_dry_run_changes_nothing(self):
        self.write("in", "")
        self.manifest("rule c\n  command = touch $out\nbuild a: c in\nbuild b: c a\n")
        before = sorted(os.listdir(self.folder))
        self.assertEqual(self.made("-n"), ["[1/2] touch a", "[2/2] touch b"])
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_a_log_with_a_torn_end_is_used_as_far_as_it_goes(self):
        self.manifest("rule c\n  command = touch $out\nbuild a: c\nbuild b: c\n")
        self.made("-j", "1")
        log = self.read(".minimake_log")
        for size in range(len(log)):
            self.write(".minimake_log", log[:size])
            again = self.made("-j", "1")
            self.assertIn(len(again), (1, 2), log[:size])
            self.assertEqual(self.made(), NOTHING)

    def test_the_log_does_not_grow_for_ever(self):
        self.write("in", "")
        self.manifest("rule c\n  command = touch $out\nbuild a: c in\n")
        self.made()
        record = self.read(".minimake_log").splitlines(keepends=True)[-1]
        with open(os.path.join(self.folder, ".minimake_log"), "a", encoding="utf-8") as log:
            log.write(record * 5000)
        self.assertEqual(self.made(), NOTHING)
        self.assertEqual(self.read(".minimake_log").count("\n"), 3)


class Language(Build):
    def test_variables_escapes_and_scopes(self):
        self.write("rules.ninja", "rule say\n  command = printf '%s|' $words '${in}' $out $\n    >$out\n")
        self.write("sub.ninja", "name = inner\nbuild ${name}.out: say\n  words = $name $outer\n")
        self.manifest("# a comment\nouter = a$ b\nname = outer\ninclude rules.ninja\n\nsubninja sub.ninja\n"
                      "build $name.out: say a$ b c$:d || e\n  # another\n  words = $$1 ${name}x $\n      end\n")
        for name in ("a b", "c:d", "e"):
            self.write(name, "")
        self.made()
        self.assertEqual(self.read("inner.out"), "inner|a|b||inner.out|")
        # What is "$1" here is empty for the shell.
        self.assertEqual(self.read("outer.out").split("|")[:2], ["outerx", "end"])

    def test_paths_with_characters_of_the_shell(self):
        self.write("it's a $name", "text\n")
        self.manifest("rule c\n  command = cp $in $out\nbuild out$ $$x: c it's$ a$ $$name\n")
        self.made()
        self.assertEqual(self.read("out $x"), "text\n")

    def test_paths_are_the_same_however_they_are_written(self):
        up = "d/../../" + os.path.basename(self.folder) + "/up"
        self.manifest(f"rule c\n  command = touch $out\nbuild d/./x/../a: c\nbuild b: c .//d/a\nbuild {up}: c b\n")
        self.assertEqual(len(self.made()), 3)
        self.assertEqual(self.made(), NOTHING)
        self.assertTrue(self.exists("d/a"))

    def test_a_response_file_is_there_while_the_command_runs(self):
        text = ("rule c\n  command = cp $out.rsp $out; test -e good\n  rspfile = $out.rsp\n"
                "  rspfile_content = $in_newline\nbuild out: c a b\n")
        for name in ("a", "b"):
            self.write(name, "")
        self.manifest(text)
        self.made(code=1)
        self.assertTrue(self.exists("out.rsp"), "kept, to look at")
        self.write("good", "")
        self.made()
        self.assertEqual(self.read("out"), "a\nb")
        self.assertFalse(self.exists("out.rsp"))

    def test_a_plain_command_runs_without_a_shell(self):
        self.manifest("rule env\n  command = /bin/sh tell $out a=b\n"
                      "rule gone\n  command = ./no/such program\n"
                      "build parent: env\nbuild x: gone\n")
        self.write("tell", "ps -o comm= -p $PPID >$1; echo $2 >>$1\n")
        self.made("parent")
        self.assertEqual(self.read("parent"), "minimake\na=b\n")
        lines = self.made("x", code=1)
        self.assertEqual(lines[1:3], ["FAILED: x ", "./no/such program"])
        self.assertIn("could not be started", lines[3])

    def test_what_is_wrong_is_told_with_its_place(self):
        rule = "rule c\n  command = touch $out\n"
        for text, message in (
                ("build a: c\n", "1: unknown build rule 'c'"),
                (rule + "build a: c\nbuild b: c\nbuild x | a: c\n  v = 1\n", "5: multiple rules generate a"),
                (rule + rule, "3: duplicate rule 'c'"),
                ("rule c\n  description = x\n", "3: expected 'command =' line"),
                ("rule c\n  command = x\n  colour = red\n", "4: unexpected variable 'colour'"),
                ("rule c\n  command = x\n  dyndep = y\n", "4: dyndep is not supported"),
                (rule + "build a: c\n  deps = msvc\n", "3: unknown deps type 'msvc'"),
                (rule + "build a: c\n  pool = x\n", "3: unknown pool name 'x'"),
                (rule + "build a: c |@ b\n", "3: validations (|@) are not supported"),
                (rule + "build a c\n", "3: expected ':'"),
                (rule + "build : c\n", "3: expected path"),
                (rule + "default x\n", "3: unknown target 'x'"),
                ("x = a$%\n", "1: bad $-escape (literal $ must be written as $$)"),
                ("x\n", "1: expected '='"),
                ("  x = 1\n", "1: unexpected indent"),
                ("\tx = 1\n", "1: tabs are not allowed, use spaces"),
                ("pool p\n  depth = -1\n", "3: invalid pool depth"),
                ("include nowhere\n", "1: loading 'nowhere': No such file or directory"),
                ("include build.ninja\n", "1: includes are nested too deeply"),
                ("x = 1\0\n", "1: unexpected NUL byte")):
            self.manifest(text)
            self.assertEqual(self.refused(), f"build.ninja:{message}")
        self.assertEqual(self.refused("-f", "none"), "loading 'none': No such file or directory")

    def test_graphs_that_cannot_be_built(self):
        rule = "rule c\n  command = touch $out\n"
        for text, message in (
                (rule + "build a: c b\nbuild b: c c\nbuild c: c a\n", "dependency cycle: a -> b -> c -> a"),
                (rule + "build x: c b\nbuild b: c c\nbuild c: c b\n", "dependency cycle: b -> c -> b"),
                (rule + "build a: c a\n", "dependency cycle: a -> a"),
                (rule + "build a: c in\n", "'in', needed by 'a', missing and no known rule to make it"),
                (rule + "build a: c || in\n", "'in', needed by 'a', missing and no known rule to make it"),
                ("rule c\n  command = $depfile\n  depfile = $command\nbuild a: c\n", "cycle in rule variables: depfile")):
            self.manifest(text)
            self.assertEqual(self.refused(), message)

    def test_bad_usage(self):
        for arguments in (("-j", "x"), ("-j", "-1"), ("-k",), ("-x",), ("-j", "99999999999999999999999")):
            code, out, err = self.run_example(*arguments)
            self.assertEqual((code, out), (1, b""))
            self.assertIn(b"usage: minimake", err)
        code, out, _ = self.run_example("-h")
        self.assertEqual((code, out[:15]), (0, b"usage: minimake"))


class Failures(Build):
    def test_nothing_new_is_started_and_what_runs_is_waited_for(self):
        # The failure comes when the other runs for sure; the other ends when the failure was told.
        path, word = self.make_fifo("go")
        began, began_word = self.make_fifo("began")
        self.manifest("rule sh\n  command = $what\n"
                      f"build slow: sh\n  what = echo >{began_word}; read x <{word}; touch slow\n"
                      f"build bad: sh\n  what = read x <{began_word}; echo complaint; exit 3\n"
                      "build user: sh bad\n  what = touch user\nbuild next: sh\n  what = touch next\n")
        process = self.start("-C", self.folder, "-j", "2")
        self.read_until(process.stdout.fileno(), b"\ncomplaint\n")
        with open(path, "w", encoding="ascii") as go:
            go.write("\n")
        out, err = process.communicate(timeout=WATCHDOG_S)
        self.assertEqual((process.returncode, err), (1, b""))
        self.assertTrue(out.endswith(b"minimake: build stopped: subcommand failed.\n"), out)
        self.assertEqual([self.exists(name) for name in ("slow", "next", "user")], [True, False, False])
        self.assertTrue(os.path.exists(began))

    def test_a_failure_shows_outputs_command_and_what_it_said(self):
        self.manifest("rule sh\n  command = echo first; echo second >&2; exit 1\nbuild a b | c: sh\n")
        self.assertEqual(self.made(code=1),
                         ["[1/1] echo first; echo second >&2; exit 1", "FAILED: a b c ",
                          "echo first; echo second >&2; exit 1", "first", "second",
                          "minimake: build stopped: subcommand failed."])

    def test_k_goes_on_as_far_as_it_may(self):
        self.manifest("rule bad\n  command = echo x >>ran; false\nrule good\n  command = touch $out\n"
                      + "".join(f"build bad{i}: bad\n" for i in range(6))
                      + "build good: good\nbuild user: good bad0\n")
        for keep, failed, why in (("1", 1, "subcommand failed"), ("3", 3, "subcommands failed"),
                                  ("0", 6, "cannot make progress due to previous errors"),
                                  ("7", 6, "cannot make progress due to previous errors")):
            self.write("ran", "")
            lines = self.made("-k", keep, "-j", "1", code=1)
            self.assertEqual(lines[-1], f"minimake: build stopped: {why}.")
            self.assertEqual(len(self.read("ran").split()), failed)
        self.assertTrue(self.exists("good"))
        self.assertFalse(self.exists("user"))

    def test_a_reader_that_is_gone_ends_it(self):
        self.manifest("rule c\n  command = touch $out\nbuild a: c\nbuild b: c a\n")
        ours, theirs = os.pipe()
        os.close(ours)
        code, _, err = self.make("-j", "1", stdout=theirs)
        os.close(theirs)
        self.assertEqual((code, err), (1, b"minimake: error: output: Broken pipe\n"))


class Output(Build):
    def test_the_output_of_a_command_stays_together_in_the_order_of_its_writes(self):
        self.manifest("rule c\n  command = for n in $$(seq 100); do echo $out $$n; echo $out $$n >&2; done\n"
                      "  description = step\n" + "".join(f"build o{i}: c\n" for i in range(40)))
        lines = self.made("-j", "40")
        self.assertEqual(len(lines), 40 * 201)
        for place in range(0, len(lines), 201):
            self.assertTrue(lines[place].endswith("] step"))
            block = [line.split() for line in lines[place + 1:place + 201]]
            self.assertEqual({name for name, _ in block}, {block[0][0]})
            self.assertEqual([int(number) for _, number in block], [n for n in range(1, 101) for _ in range(2)])

    def test_a_grandchild_that_holds_the_output_is_not_waited_for(self):
        path, word = self.make_fifo("hold")
        self.manifest(f"rule c\n  command = cat {word} & echo $$! >pid; touch $out\nbuild a: c\n")
        writer = os.open(path, os.O_RDWR)
        self.addCleanup(os.close, writer)
        self.assertEqual(len(self.made()), 1)
        os.kill(int(self.read("pid")), signal.SIGKILL)

    def test_a_terminal_has_one_line_of_status(self):
        self.manifest("rule c\n  command = $what\n  description = DESC $out " + "x" * 100 + "\n"
                      "build a: c\n  what = true\nbuild b: c a\n  what = echo output\n")
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        process = self.start("-C", self.folder, stdout=slave)
        os.close(slave)
        got = self.read_until(master, b"output\r\n")
        self.assertEqual(process.wait(WATCHDOG_S), 0)
        self.assertTrue(got.startswith(b"minimake: Entering directory `" + self.folder.encode() + b"'\r\n\r[0/2] DESC a x"), got)
        self.assertIn(b"x...x", got)
        self.assertIn(b"\x1b[K\r\noutput\r\n", got)
        for piece in got.split(b"\r")[3:]:
            self.assertLessEqual(len(piece.removesuffix(b"\x1b[K")), 80)

    def test_the_console_pool_has_the_terminal(self):
        path, word = self.make_fifo("go")
        self.manifest("rule console\n  command = test -t 0 && test -t 1 && test -t 2 && echo asked; read x; echo got $$x; "
                      f"echo >{word}; read x; touch $out\n  pool = console\n"
                      f"rule other\n  command = read x <{word}; echo other; echo >done\n"
                      "build a: console\nbuild b: other\n")
        os.mkfifo(os.path.join(self.folder, "done"))
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        process = self.start("-C", self.folder, "-j", "2", stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.read_until(master, b"asked\r\n")
        os.write(master, b"answer\n")
        with open(os.path.join(self.folder, "done"), encoding="ascii") as done:
            done.read() # the other has written, and minimake keeps it
        os.write(master, b"end\n")
        got = self.read_until(master, b"other\r\n")
        self.assertIn(b"got answer", got)
        self.assertEqual(process.wait(WATCHDOG_S), 0)
        self.assertTrue(os.path.exists(path))


class Signals(Build):
    def end_by(self, number):
        path, word = self.make_fifo(f"pid{number}")
        self.write("old", "")
        self.manifest("rule c\n  command = $what\n"
                      f"build half{number} old: c\n  what = echo half >half{number}; sleep 1000 & echo $$! >{word}; wait\n"
                      f"build after: c half{number}\n  what = touch after\n")
        process = self.start("-C", self.folder)
        with open(path, encoding="ascii") as fifo:
            pidfd = os.pidfd_open(int(fifo.readline()))
        process.send_signal(number)
        out, err = process.communicate(timeout=WATCHDOG_S)
        self.assertEqual((process.returncode, err), (130, b""))
        self.assertTrue(out.endswith(b"\nminimake: build stopped: interrupted by user.\n"), out)
        ready, _, _ = select.select([pidfd], [], [], WATCHDOG_S)
        os.close(pidfd)
        self.assertTrue(ready, "the command's child is still there")
        self.assertEqual([self.exists(name) for name in (f"half{number}", "old", "after")], [False, True, False])

    def test_a_signal_ends_all_and_takes_back_what_is_half_written(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.end_by(number)

    @unittest.skipUnless(shutil.which("setsid"), "no setsid, which makes a terminal the controlling one")
    def test_ctrl_c_on_a_terminal_reaches_a_console_command_once(self):
        self.manifest("rule c\n  command = trap 'echo told >>told; exit 1' INT; echo half >$out; echo asked; read x\n"
                      "  pool = console\nbuild out: c\n")
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        program = os.path.join(os.environ["RP_EXAMPLES"], self.program)
        process = subprocess.Popen(["setsid", "--ctty", "--wait", program, "-C", self.folder],
                                   stdin=slave, stdout=slave, stderr=slave)
        self.addCleanup(self.end, process)
        os.close(slave)
        self.read_until(master, b"\r\nasked\r\n")
        os.write(master, b"\x03")
        self.read_until(master, b"minimake: build stopped: interrupted by user.\r\n")
        self.assertEqual(process.wait(WATCHDOG_S), 130)
        self.assertFalse(self.exists("out"))
        self.assertEqual(self.read("told"), "told\n")

    def test_who_ignores_signals_is_ended_all_the_same(self):
        path, word = self.make_fifo("pid")
        self.manifest(f"rule c\n  command = trap '' INT TERM; echo $$$$ >{word}; while :; do sleep 1000; done\nbuild a: c\n")
        process = self.start("-C", self.folder)
        with open(path, encoding="ascii") as fifo:
            pid = int(fifo.readline())
        pidfd = os.pidfd_open(pid)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(WATCHDOG_S), 130)
        ready, _, _ = select.select([pidfd], [], [], WATCHDOG_S)
        os.close(pidfd)
        self.assertTrue(ready)


class Real(Build):
    def test_a_project_of_cmake(self):
        if subprocess.run(["cmake", "--version"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no cmake")
        self.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.16)\nproject(p C)\n"
                   "configure_file(in.h.in gen.h)\nadd_library(l STATIC a.c b.c)\nadd_executable(prog main.c)\n"
                   "target_include_directories(l PUBLIC ${CMAKE_CURRENT_BINARY_DIR} \"${CMAKE_CURRENT_SOURCE_DIR}/odd name\")\n"
                   "target_link_libraries(prog PRIVATE l)\n")
        self.write("in.h.in", "#define VALUE 1\n")
        self.write("odd name/odd.h", "int a(void);\nint b(void);\n")
        self.write("a.c", '#include "gen.h"\n#include "odd.h"\nint a(void)\n{\n    return VALUE;\n}\n')
        self.write("b.c", '#include "odd.h"\nint b(void)\n{\n    return a();\n}\n')
        self.write("main.c", '#include "odd.h"\nint main(void)\n{\n    return a() + b();\n}\n')
        built = os.path.join(self.folder, "built")
        done = subprocess.run(["cmake", "-G", "Ninja", "-B", built, "-S", self.folder], capture_output=True, check=False)
        if done.returncode != 0 and b"CMAKE_MAKE_PROGRAM" in done.stderr:
            self.skipTest("no ninja, which CMake asks for")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.folder = built
        self.assertEqual(len(self.made()), 5)
        self.assertEqual(subprocess.run([os.path.join(built, "prog")], check=False).returncode, 2)
        self.assertEqual(self.made(), NOTHING)
        self.touch("../odd name/odd.h")
        self.assertEqual(len(self.made()), 5)
        self.touch("gen.h")
        self.assertEqual(len(self.made()), 3)
        self.write("../in.h.in", "#define VALUE 3\n")
        self.touch("../in.h.in")
        self.make()
        self.assertEqual(subprocess.run([os.path.join(built, "prog")], check=False).returncode, 6)
        self.assertEqual(self.made(), NOTHING)


if __name__ == "__main__":
    unittest.main()
