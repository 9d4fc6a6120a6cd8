"""pty_round_trip through pexpect: PROGRAM TRIPS; prints the nanoseconds of each trip, a line each."""
import sys
import time

import pexpect

child = pexpect.spawn(sys.argv[1], ["reply"], timeout=30)
child.delaybeforesend = None  # as its manual advises where speed counts
child.expect_exact("> ")
spans = []
for _ in range(int(sys.argv[2])):
    begin = time.perf_counter_ns()
    child.send("x\n")
    child.expect_exact("> ")
    spans.append(time.perf_counter_ns() - begin)
child.send("q\n")
child.expect(pexpect.EOF)
print("\n".join(map(str, spans)))
