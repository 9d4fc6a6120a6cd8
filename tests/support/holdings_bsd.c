/* What a test process has and how its children are, on FreeBSD and macOS. See stage.h. */
#ifdef __FreeBSD__
#define __BSD_VISIBLE 1
#endif
#include <fcntl.h>
#include <sys/types.h>

#include <sys/sysctl.h>
#ifdef __FreeBSD__
#include <sys/user.h>
#endif
#include <unistd.h>

#include "base/os.h"
#include "tests/support/check.h"
#include "tests/support/stage.h"

enum {
    DESCRIPTORS_LOOKED_AT = 8192
};

stage_holdings stage_count(void)
{
    stage_holdings found = {.descriptors = 0, .threads = 0}; // threads are not counted here

    for (int fd = 0; fd < DESCRIPTORS_LOOKED_AT; fd++) {
        found.descriptors += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    }
    return found;
}

char stage_state(int64_t pid)
{
    int name[4] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, (int)pid};
    struct kinfo_proc process;
    size_t size = sizeof process;

    if (sysctl(name, 4, &process, &size, NULL, 0) < 0 || size == 0) {
        return 'X';
    }
#ifdef RPI_OS_FREEBSD
    return process.ki_stat == SSLEEP ? 'S' : (process.ki_stat == SZOMB ? 'Z' : 'R');
#else
    return process.kp_proc.p_stat == SSLEEP ? 'S' : (process.kp_proc.p_stat == SZOMB ? 'Z' : 'R');
#endif
}
