/* A cgroup (Linux, version 2) as what holds a group of processes: made below the one that the
 * caller is in, filled by children that are born in it, emptied by one write, removed. Below it
 * there may be others, made by members; they go with it. The folder's path names it.
 *
 * Used by core/, also in threads of its own, and by the guard program. */
#ifndef RPI_BASE_CGROUP_H
#define RPI_BASE_CGROUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RPI_CGROUP_PATH_SIZE = 4096
};

/* ---- cgroup_place_linux.c ---- */

/** The path of a cgroup called `name`, below our own or beside it, see there: 0; RP_EUNSUPPORTED:
 * no cgroup v2 is mounted here; -ENAMETOOLONG. */
int rpi_cgroup_name(const char *name, char ret_path[RPI_CGROUP_PATH_SIZE]);

/** Lets those below it have this controller: 0, also where they do; RP_EUNSUPPORTED: it does not
 * have it itself; -EBUSY: processes are in it; RP_EACCES, ... */
int rpi_cgroup_offer(const char *path, const char *controller);

/** Whether it is the root of all, not of a namespace only. */
bool rpi_cgroup_is_root(const char *path);

/** Whether a word stands in one of its files, among blanks. */
bool rpi_cgroup_lists(const char *path, const char *file, const char *word);

/** Whether one could be made now, by making one. */
bool rpi_cgroup_is_usable(void);

/* ---- cgroup_linux.c ---- */

/** "folder/name": whether it fits. */
bool rpi_cgroup_join(char path[RPI_CGROUP_PATH_SIZE], const char *folder, const char *name);

/** Makes it, and tries whether a child of ours can enter. 0; RP_EUNSUPPORTED: too old a kernel
 * (before 5.14); RP_EACCES, RP_EPERM, ...: our own is not delegated to us, or mounted for reading
 * only. */
int rpi_cgroup_make(const char *path);

/** Kills all who are in it at this moment, and keeps who is just being born from escaping. 0, or
 * -errno; -ENOENT: it is gone. */
int rpi_cgroup_kill(const char *path);

/** Whether anybody is in it or below: 1, 0, or -errno. A zombie is nobody. */
int rpi_cgroup_is_populated(const char *path);

/** Kills, and again, until nobody is left or `*until_ns` of the monotonic clock, which another
 * thread may bring nearer. As rpi_cgroup_is_populated. */
int rpi_cgroup_end(const char *path, const _Atomic uint64_t *until_ns);

/** Removes it and those below: 0, also when it is gone; -EBUSY: somebody is in it; -errno. */
int rpi_cgroup_remove(const char *path);

/** Reads one of its files, cut at the size and terminated: bytes, or -errno. */
int rpi_cgroup_read(const char *path, const char *file, char *text, size_t text_size);

/** Writes one of its files: 0 or -errno. */
int rpi_cgroup_write(const char *path, const char *file, const char *text);

/** The number behind `name` at the beginning of a line of such a text, or UINT64_MAX. With an empty
 * name: the first one. */
uint64_t rpi_cgroup_number(const char *text, const char *name);

/** Calls `each` for everybody who is in it or below. 0 or -errno. */
int rpi_cgroup_each(const char *path, void (*each)(int64_t pid, void *user), void *user);

#endif
