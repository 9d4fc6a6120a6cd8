#!/usr/bin/env python3
"""Prints what share of each room's lines and branches the tests have run, from gcovr's JSON summary, as a Markdown table,
and below it the files of which they run least."""
import collections
import json
import sys

WORST = 12


def percent(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "-"


def main(path):
    with open(path, encoding="utf-8") as file:
        files = json.load(file)["files"]
    rooms = collections.defaultdict(collections.Counter)
    for entry in files:
        for room in (entry["filename"].split("/")[0] + "/", "all"):
            for key in ("line_total", "line_covered", "branch_total", "branch_covered"):
                rooms[room][key] += entry[key]
    print("| room | lines | run | branches taken |\n|---|---|---|---|")
    for room in sorted(rooms, key=lambda name: (name == "all", name)):
        row = rooms[room]
        print(f"| {room} | {row['line_total']:,} | {percent(row['line_covered'], row['line_total'])}"
              f" | {percent(row['branch_covered'], row['branch_total'])} |")
    print("\nRun least:")
    worst = sorted(files, key=lambda entry: entry["line_covered"] - entry["line_total"])[:WORST]
    for entry in worst:
        missed = entry["line_total"] - entry["line_covered"]
        print(f"  {entry['filename']}: {missed} of {entry['line_total']} lines not run")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
