/* What a loop tells its guard: lines of text through a socket, the guard's standard input. Words
 * are separated by blanks; a path stands last, as it may have some. Numbers are decimal.
 *
 *     + MARK SINCE PATH      a group, opened at SINCE (ticks since the boot), with the folder of
 * its cgroup, or "-"
 *     - MARK                 it is closed
 *     l MARK PID START       a child of it runs; not told of groups with a cgroup
 *     e MARK PID START       that one is gone, and nobody is left in its process group
 *
 * Descriptor 3 is a pidfd of the host, where it could make one. Either the end of the socket or the
 * end of the host lets the guard kill what it was told of; the host's own end counts because a copy
 * of the socket may live on in a process that the host has forked. */
#ifndef RPI_BASE_GUARD_H
#define RPI_BASE_GUARD_H

enum {
    RPI_GUARD_LINE = 0,
    RPI_GUARD_HOST = 3,
    RPI_GUARD_TEXT_MAX = 8192 /* bytes of one line, at most */
};

#endif
