/* Between the files that make children on Windows: spawn_windows.c and pty_windows.c. */
#ifndef RPI_CORE_SPAWN_WINDOWS_H
#define RPI_CORE_SPAWN_WINDOWS_H

#include <stdbool.h>

#include "base/os_windows.h"

/** A pipe: our end overlapped, the child's plain and inheritable. 0 or an error. */
int rpi_pipe_make(bool we_read, HANDLE *ret_ours, HANDLE *ret_childs);

#endif
