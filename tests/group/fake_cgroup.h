/* A tree of cgroups made of plain folders and files, for what this machine's kernel may not offer:
 * controllers, and events when the test says so. It stands behind rpi_os: what the library makes
 * there gets the files that the kernel would give it, controllers as the folder above hands them
 * down; and the calling process is where the test says. Nobody is held, counted or killed. One at a
 * time; before the loop is opened. */
#ifndef RPI_TESTS_GROUP_FAKE_CGROUP_H
#define RPI_TESTS_GROUP_FAKE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** `own`: of the calling process, "/" or "/leaf". `controllers`: what the root has, "memory pids ".
 * `is_root`: of all; else of a namespace. */
void fake_cgroup_open(const char *own, const char *controllers, bool is_root);
void fake_cgroup_close(void);

/** The path of the last folder made; asserts that there was one. */
const char *fake_cgroup_last(void);

/** How many folders made there are still there. */
unsigned int fake_cgroup_count(void);

/** Writes a file of one of its folders, over what is in it, as the kernel would change it. */
void fake_cgroup_set(const char *folder, const char *file, const char *text);

/** Asserts that a file begins with this text, as it was written. */
void fake_cgroup_check(const char *folder, const char *file, const char *text);

#endif
