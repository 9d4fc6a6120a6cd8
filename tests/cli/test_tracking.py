"""Tracking through the programs: what running-process writes down of its command, and what running-process-cleanup makes of
what is left when it was killed."""

import json
import os
import signal
import sqlite3
import subprocess
import unittest

from support import WATCHDOG_S, Case, python, shell

CLEANUP = os.environ.get("RP_CLEANUP", "")
WAITER = python("""
    import os
    os.write(1, b"%d\\n" % os.getpid())
    os.read(0, 1)
""")


class Tracking(Case):
    def setUp(self):
        super().setUp()
        self.database = self.path("db/tracked.sqlite3")
        self.environment = dict(os.environ, RUNNING_PROCESS_PID_DB=self.database)

    def cleanup(self, *arguments, **changes):
        done = subprocess.run([CLEANUP, *arguments], env=dict(self.environment, **changes), capture_output=True,
                              timeout=WATCHDOG_S, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def start_tracked(self, *command, **changes):
        """A supervisor and the number of its command, which has been written down."""
        supervisor = self.start("--", *(command or WAITER), env=dict(self.environment, **changes))
        pid = self.read_number(supervisor.stdout)
        return supervisor, pid

    def rows(self):
        if not os.path.exists(self.database):
            return []
        connection = sqlite3.connect(self.database, timeout=WATCHDOG_S)
        try:
            return connection.execute("SELECT pid, kind, command FROM tracked_processes").fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return [] # being made at this moment
        finally:
            connection.close()

    def await_row(self, supervisor):
        while not self.rows():
            self.assertIsNone(supervisor.poll())

    def leave_one(self):
        """A command whose supervisor was killed: (its number, a pidfd of it)."""
        supervisor, pid = self.start_tracked(*python("""
            import os, signal
            os.write(1, b"%d\\n" % os.getpid())
            signal.pause()
        """))
        self.await_row(supervisor)
        pidfd = os.pidfd_open(pid)
        supervisor.kill()
        supervisor.wait()
        return pid, pidfd

    def test_a_command_is_written_down_while_it_runs(self):
        supervisor, pid = self.start_tracked()
        self.await_row(supervisor)
        (row,) = self.rows()
        self.assertEqual(row[:2], (pid, "subprocess"))
        self.assertIn("os.getpid()", row[2])
        supervisor.communicate(b"x", timeout=WATCHDOG_S)
        self.assertEqual(supervisor.returncode, 0)
        self.assertEqual(self.rows(), [])

    def test_it_is_not_where_the_environment_says_so(self):
        for value in ("1", "true"):
            supervisor, _ = self.start_tracked(RUNNING_PROCESS_NO_TRACKING=value)
            supervisor.communicate(b"x", timeout=WATCHDOG_S)
            self.assertFalse(os.path.exists(self.database))

    def test_clean_up_lists_and_with_confirm_kills(self):
        pid, pidfd = self.leave_one()
        code, out, err = self.cleanup("tracked")
        lines = out.splitlines()
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(lines[:2], [f"tracked_pid_db={self.database}", "would_kill_processes=1"])
        self.assertTrue(lines[2].startswith(f"pid={pid} kind=subprocess command="), lines)
        self.assertEqual(len(lines), 3)
        os.kill(pid, 0)
        code, out, err = self.cleanup("tracked", "--confirm")
        lines = out.splitlines()
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(lines[:2], [f"tracked_pid_db={self.database}", "killed_processes=1"])
        self.assertTrue(lines[2].startswith(f"pid={pid} kind=subprocess command="), lines)
        self.wait_gone(pidfd)
        code, out, err = self.cleanup("tracked", "--confirm")
        self.assertEqual((code, out, err), (0, f"tracked_pid_db={self.database}\nkilled_processes=0\n", ""))

    def test_clean_up_answers_in_json(self):
        pid, pidfd = self.leave_one()
        code, out, _ = self.cleanup("tracked", "--json")
        answer = json.loads(out)
        self.assertEqual(code, 0)
        self.assertEqual(answer["tracked_pid_db"], self.database)
        self.assertEqual((answer["confirmed"], answer["would_kill_processes"]), (False, 1))
        (process,) = answer["processes"]
        self.assertEqual(set(process), {"pid", "created_at_ms", "kind", "command", "cwd", "originator"})
        self.assertEqual(process["pid"], pid)
        self.assertEqual(self.cleanup("tracked", "--json", "--confirm")[0], 0)
        self.wait_gone(pidfd)
        self.assertEqual(json.loads(self.cleanup("--json", "tracked", "--confirm")[1]),
                         {"tracked_pid_db": self.database, "confirmed": True, "processes": [], "killed_processes": 0})

    def test_clean_up_spares_a_stranger_with_the_number(self):
        supervisor, pid = self.start_tracked(RUNNING_PROCESS_NO_TRACKING="1")
        os.makedirs(os.path.dirname(self.database))
        connection = sqlite3.connect(self.database)
        connection.execute("CREATE TABLE tracked_processes (pid INTEGER, created_at_ms INTEGER, kind TEXT, command TEXT,"
                           " cwd TEXT DEFAULT '', originator TEXT DEFAULT '', containment TEXT DEFAULT 'contained',"
                           " registered_at REAL, PRIMARY KEY (pid, created_at_ms))")
        connection.execute("INSERT INTO tracked_processes VALUES (?, 1000, 'pty', 'gone', '', '', 'contained', 1.0)", (pid,))
        connection.commit()
        connection.close()
        code, out, err = self.cleanup("tracked", "--confirm")
        self.assertEqual((code, out, err), (0, f"tracked_pid_db={self.database}\nkilled_processes=0\n", ""))
        self.assertEqual(self.rows(), [])
        supervisor.communicate(b"x", timeout=WATCHDOG_S)
        self.assertEqual(supervisor.returncode, 0)

    def test_a_line_stays_a_line(self):
        _, pidfd = self.leave_one()
        _, out, _ = self.cleanup("tracked")
        self.assertEqual(out.count("\n"), 3, "the command has line ends in it")
        self.assertEqual(self.cleanup("tracked", "--confirm")[0], 0)
        self.wait_gone(pidfd)

    def test_a_command_runs_where_there_can_be_no_database(self):
        os.mkdir(self.path("db"))
        os.mkdir(self.database)
        supervisor = self.start("--", *shell("exit 3"), env=self.environment)
        _, err = supervisor.communicate(timeout=WATCHDOG_S)
        self.assertEqual(supervisor.returncode, 3)
        self.assertEqual(err.decode(), f"running-process: the command is not tracked: {self.database} is a folder\n")
        code, out, err = self.cleanup("tracked")
        self.assertEqual((code, out), (1, ""))
        self.assertEqual(err, f"running-process-cleanup: {self.database} is a folder\n")

    def test_a_damaged_database_is_told_of_once_and_not_touched(self):
        os.mkdir(self.path("db"))
        with open(self.database, "wb") as file:
            file.write(b"no database\n" * 100)
        supervisor, _ = self.start_tracked()
        supervisor.stdin.flush()
        self.wait_readable(supervisor.stderr)
        _, err = supervisor.communicate(b"x", timeout=WATCHDOG_S)
        self.assertEqual(supervisor.returncode, 0)
        self.assertEqual(err.count(b"\n"), 1, err)
        self.assertIn(b"tracking in " + self.database.encode(), err)
        code, _, err = self.cleanup("tracked", "--confirm")
        self.assertEqual(code, 1)
        self.assertIn("not a database", err)
        with open(self.database, "rb") as file:
            self.assertEqual(file.read(), b"no database\n" * 100)

    def test_wrong_usage_is_said_in_one_line(self):
        for arguments in ((), ("tracked", "--what"), ("tracked", "more"), ("everything",), ("--confirm",)):
            code, out, err = self.cleanup(*arguments)
            self.assertEqual((code, out, err.count("\n")), (2, "", 1), arguments)
            self.assertTrue(err.startswith("running-process-cleanup: "))

    def test_help_and_version(self):
        code, out, err = self.cleanup("--help")
        self.assertEqual((code, err), (0, ""))
        self.assertTrue(all(len(line) <= 80 for line in out.splitlines()))
        self.assertIn("--confirm", out)
        self.assertEqual(self.cleanup("--version")[0], 0)


if __name__ == "__main__":
    signal.alarm(4 * WATCHDOG_S)
    unittest.main()
