#!/usr/bin/env python3
"""Compares examples/minimake with ninja on the same manifests: wall time, and processor time of the tool and all its commands.

    ./dev bench list                                                            builds what is needed
    bench/minimake.py --minimake build/release/examples/minimake                10,000 trivial commands
    bench/minimake.py --minimake ... --project DIR --rounds 5                   a build folder that CMake has made for ninja

In each round both run in turn, the first one changing; ratios are made inside a round and then summed up as median
[min .. max]. More than 1 is better for minimake. A project is cleaned before each run, and its compiler cache is off. Exit
status 1: something did not build."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

CASES = {  # what one trivial command is; ninja hands both to the shell, minimake starts a plain one itself
    "shell": ":",
    "program": shutil.which("true") or "/bin/true",
}
LOGS = (".ninja_log", ".ninja_deps", ".minimake_log")


def remove_logs(folder):
    for name in LOGS:
        try:
            os.remove(os.path.join(folder, name))
        except FileNotFoundError:
            pass


def run(command, folder):
    """Wall and processor seconds; of the tool alone and of what it has waited for."""
    environment = {**os.environ, "CCACHE_DISABLE": "1"}
    began = time.monotonic()
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} in {folder}: exit status {process.returncode}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime


def compare(tools, folder, jobs, rounds, prepare):
    """The rounds: a list of (ninja, minimake), each (wall, processor)."""
    results = []
    for number in range(rounds):
        figures = {}
        for name in sorted(tools, reverse=number % 2 == 1):
            prepare(folder)
            figures[name] = run([tools[name], f"-j{jobs}"], folder)
        results.append((figures["ninja"], figures["minimake"]))
    return results


def spread(numbers, form):
    return f"{statistics.median(numbers):{form}} [{min(numbers):{form}} .. {max(numbers):{form}}]"


def row(name, results):
    cells = [name]
    for kind in (0, 1):
        cells.append(spread([ninja[kind] for ninja, _ in results], ".2f"))
        cells.append(spread([ours[kind] for _, ours in results], ".2f"))
        cells.append(spread([ninja[kind] / ours[kind] for ninja, ours in results], ".2f"))
    print("| " + " | ".join(cells) + " |", flush=True)


def trivial(tools, arguments):
    for name in arguments.cases:
        with tempfile.TemporaryDirectory(prefix="minimake-bench-") as folder:
            with open(os.path.join(folder, "build.ninja"), "w", encoding="ascii") as file:
                file.write(f"rule run\n  command = {CASES[name]}\n  description = $out\n")
                file.writelines(f"build out{i}: run\n" for i in range(arguments.count))
            for jobs in arguments.jobs:
                row(f"{arguments.count} x {name}, -j{jobs}",
                    compare(tools, folder, jobs, arguments.rounds, remove_logs))


def project(tools, arguments):
    def clean(folder):
        subprocess.run([tools["ninja"], "-t", "clean"], cwd=folder, stdout=subprocess.DEVNULL, check=True)
        remove_logs(folder)

    for jobs in arguments.jobs:
        row(f"{os.path.basename(os.path.abspath(arguments.project))}, -j{jobs}",
            compare(tools, arguments.project, jobs, arguments.rounds, clean))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minimake", required=True)
    parser.add_argument("--ninja", default="ninja")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--jobs", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--count", type=int, default=10000, help="trivial commands")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), help="kinds of trivial commands")
    parser.add_argument("--project", help="a build folder, in place of trivial commands")
    arguments = parser.parse_args()
    tools = {}
    for name in ("ninja", "minimake"):
        path = shutil.which(getattr(arguments, name))
        if path is None:
            sys.exit(f"{getattr(arguments, name)}: not found")
        tools[name] = os.path.abspath(path)
    print("| | ninja, s | minimake, s | wall: ninja / minimake | ninja, cpu s | minimake, cpu s | cpu: ninja / minimake |")
    print("|---|---|---|---|---|---|---|")
    if arguments.project:
        project(tools, arguments)
    else:
        trivial(tools, arguments)


if __name__ == "__main__":
    main()
