#!/usr/bin/env python3
"""Judges the thin runner (runner.h) by its sample: what each case becomes, the counts, names on the command line, codes."""
import subprocess
import sys

SAMPLE = sys.argv[1]
LAUNCHER = sys.argv[2:]

PASSED = {"staged/init_comes_first", "plain/passes", "plain/each_process_begins_anew", "plain/has_to_crash",
          "plain/leaves", "many/are_even#0", "many/are_even#2"}
FAILED = {"plain/fails", "plain/fails_and_goes_on", "plain/fails_on_text", "plain/is_said_to_fail", "plain/crashes",
          "plain/does_not_crash_as_it_has_to", "plain/leaves_too_early", "plain/hangs", "many/are_even#1"}
SKIPPED = {"plain/skips", "plain/is_disabled"}


def run(*arguments):
    done = subprocess.run([*LAUNCHER, SAMPLE, *arguments], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout.splitlines()


def expect(what, is_so):
    if not is_so:
        print(f"wrong: {what}")
        sys.exit(1)


def verdicts(lines):
    found = {"passed": set(), "FAILED": set(), "skipped": set()}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word in found and "/" in rest:
            found[word].add(rest.split(" ")[0].rstrip(":"))
    return found


def main():
    code, lines = run()
    found = verdicts(lines)
    text = "\n".join(lines)
    expect(f"passed {found['passed'] ^ PASSED}", found["passed"] == PASSED)
    expect(f"failed {found['FAILED'] ^ FAILED}", found["FAILED"] == FAILED)
    expect(f"skipped {found['skipped'] ^ SKIPPED}", found["skipped"] == SKIPPED)
    expect("the last line", lines[-1] == f"{len(PASSED)} passed, {len(FAILED)} failed")
    expect("the skips are counted", lines[-2] == f"{len(SKIPPED)} skipped")
    expect("the exit code of a failure", code == 1)
    expect("the reason of a skip", "there is no moon here" in text)
    expect("the message of a failure", "stage is 0" in text and "stage == 7" in text)
    expect("an assertion ends the case", "not reached" not in text)
    expect("an expectation does not", "goes on" in text)
    expect("texts are shown", '"some"' in text and '"other"' in text)
    expect("a crash is told", any("plain/crashes" in line and "signal" in line for line in lines))
    expect("a hang is told", any("plain/hangs" in line and "hung" in line for line in lines))
    expect("fini ran", "fini after stage 2" in text)

    code, lines = run("plain/passes")
    expect("one case by name", code == 0 and lines[-1] == "1 passed, 0 failed")
    code, lines = run("many/are_even")
    expect("all of a parameterized test", code == 1 and lines[-1] == "2 passed, 1 failed")
    code, lines = run("many/are_even#2", "staged/*")
    expect("one of it, and a pattern", code == 0 and lines[-1] == "2 passed, 0 failed")
    code, lines = run("plain/sk*")
    expect("only skipped", code == 0 and lines[-1] == "0 passed, 0 failed")
    code, lines = run("nobody/*")
    expect("nothing ran", code == 1 and lines[-1] == "0 passed, 0 failed")
    code, lines = run("--list")
    expect("the list", code == 0 and set(lines) == PASSED | FAILED | SKIPPED)
    code, lines = run("--list", "staged/*")
    expect("part of the list", lines == ["staged/init_comes_first"])
    expect("an unknown option", run("--nonsense")[0] == 2)
    print("the runner judges as it should")


main()
