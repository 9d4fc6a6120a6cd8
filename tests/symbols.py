#!/usr/bin/env python3
"""Holds three lists equal: what the public headers declare with RP_API, what tests/symbols.txt names (the linker's version
script is made of it), and what the shared library really exports. In the static library, where nothing hides what files
share, all names begin with rp_ or rpi_. Run by ctest; `--write` makes the list anew from the headers, for whoever adds a
function."""

import argparse
import pathlib
import re
import subprocess
import sys

DECLARATION = re.compile(r"^RP_API\b[^;{]*?\b(rp_\w+)\s*\(", re.MULTILINE)


def declared(folder):
    """The functions that the headers of a folder declare; comments are cut first, as they name functions too."""
    names = []
    for header in sorted(pathlib.Path(folder).glob("*.h")):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
        names += DECLARATION.findall(text)
    return names


def listed(path):
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def exported(nm, library):
    """The dynamic symbols, without the absolute one that names the version node."""
    command = [nm, "--dynamic", "--defined-only", library]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in output.splitlines()]
    return [row[-1].split("@")[0] for row in rows if len(row) >= 3 and row[-2] != "A"]


def global_names(nm, archive):
    """What the static library adds to the names of a program that links it."""
    command = [nm, "--extern-only", "--defined-only", archive]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split()[-1] for line in output.splitlines() if len(line.split()) == 3]


def differences(name_a, a, name_b, b):
    lines = [f"{name}: in {name_a}, not in {name_b}" for name in sorted(set(a) - set(b))]
    return lines + [f"{name}: in {name_b}, not in {name_a}" for name in sorted(set(b) - set(a))]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--list", required=True)
    parser.add_argument("--include", required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--archive")
    parser.add_argument("library", nargs="?")
    arguments = parser.parse_args()

    in_headers = declared(arguments.include)
    if arguments.write:
        text = "# Every exported function, sorted. tests/symbols.py --write makes this list from the headers.\n"
        pathlib.Path(arguments.list).write_text(text + "\n".join(sorted(in_headers)) + "\n", encoding="utf-8")
        return 0
    if not arguments.library or not arguments.archive:
        parser.error("the libraries are missing")

    in_list = listed(arguments.list)
    in_library = exported(arguments.nm, arguments.library)
    problems = differences("the headers", in_headers, "the list", in_list)
    problems += differences("the list", in_list, "the library", in_library)
    if in_list != sorted(set(in_list)):
        problems.append("the list is not sorted, or names a function twice")
    if not in_library:
        problems.append("the library exports nothing")
    names = [name for name in global_names(arguments.nm, arguments.archive) if not name.startswith("__odr_asan")]
    problems += [f"{name}: a global name without rp_ or rpi_" for name in names if not re.match(r"rpi?_", name)]
    if not set(in_list) <= set(names):
        problems.append("the static library lacks functions of the list")
    print("\n".join(problems) if problems else f"{len(in_library)} functions declared, listed and exported")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
