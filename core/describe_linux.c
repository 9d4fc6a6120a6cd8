/* See describe_linux.h. Called by find_linux.c, family_linux.c and holders_linux.c. */
#include "core/describe_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/os.h"
#include "core/environment.h"

int rpi_describer_open(rpi_describer **ret_describer)
{
    rpi_describer *describer = rpi_alloc_zero(rpi_alloc_default(), sizeof *describer);

    if (describer == NULL) {
        return -ENOMEM;
    }
    describer->folder = rpi_os.open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (describer->folder < 0) {
        const int r = -errno;

        rpi_free(rpi_alloc_default(), describer, sizeof *describer);
        return r;
    }
    describer->environment.allocator = rpi_alloc_default();
    describer->command.allocator = rpi_alloc_default();
    *ret_describer = describer;
    return 0;
}

void rpi_describer_close(rpi_describer *describer)
{
    (void)rpi_os.close(describer->folder); /* only read from */
    rpi_scratch_free(&describer->environment);
    rpi_scratch_free(&describer->command);
    rpi_free(rpi_alloc_default(), describer, sizeof *describer);
}

/* ---- originators ------------------------------------------------------------------------ */

int rpi_describe_originator(rpi_describer *describer, int64_t pid, const char **ret_value)
{
    size_t size = 0;
    int r = rpi_proc_whole_read(describer->folder, pid, "environ", &describer->environment, &size);

    if (r == 0) {
        *ret_value =
            rpi_proc_environment_find(describer->environment.text, size, RPI_ORIGINATOR_NAME);
        *ret_value = *ret_value != NULL ? *ret_value : "";
    }
    return r;
}

int64_t rpi_originator_pid(const char *value)
{
    const char *colon = strrchr(value, ':');
    int64_t pid = 0;

    if (colon == NULL || colon == value || colon[1] == '\0') {
        return 0;
    }
    for (const char *at = colon + 1; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') {
            return 0;
        }
        pid = pid * 10 + (*at - '0');
        if (pid > UINT32_MAX) {
            return 0;
        }
    }
    return pid;
}

bool rpi_lived_at(int64_t pid, uint64_t start_ticks)
{
    rpi_proc_stat stat;

    return rpi_proc_stat_read(pid, &stat) == 0 && stat.start_ticks <= start_ticks &&
           rpi_proc_is_alive(&stat);
}

/* ---- all of it -------------------------------------------------------------------------- */

/* The arguments with blanks between them; the name where there are none. */
static int describe_command(rpi_describer *describer, int64_t pid, const char **ret_command)
{
    size_t size = 0;
    int r = rpi_proc_whole_read(describer->folder, pid, "cmdline", &describer->command, &size);
    char *text = describer->command.text;

    if (r < 0) {
        return r;
    }
    while (size > 0 && text[size - 1] == '\0') {
        size--;
    }
    for (size_t i = 0; i < size; i++) {
        text[i] = text[i] != '\0' ? text[i] : ' ';
    }
    *ret_command = size > 0 ? text : describer->name;
    return 0;
}

static const char *describe_cwd(rpi_describer *describer, int64_t pid)
{
    char path[64];
    ssize_t size;

    (void)snprintf(path, sizeof path, "/proc/%lld/cwd", (long long)pid);
    size = rpi_os.readlink(path, describer->cwd, sizeof describer->cwd - 1);
    describer->cwd[size > 0 ? size : 0] = '\0';
    return describer->cwd;
}

int rpi_describe(rpi_describer *describer, const rpi_identity *of, rp_process_info *ret_info)
{
    rpi_proc_stat stat;
    rp_process_info info = {.kind = ""};
    int r = rpi_describe_originator(describer, of->pid, &info.originator);

    r = r < 0 ? r : describe_command(describer, of->pid, &info.command);
    if (r < 0) {
        return r;
    }
    info.cwd = describe_cwd(describer, of->pid);
    /* Last: if it is still there, all that was read before is its own. */
    r = rpi_proc_stat_read_named(of->pid, &stat, describer->name);
    if (r < 0) {
        return r;
    }
    if (!rpi_identity_fits(of, &stat)) {
        return RP_ESRCH;
    }
    info.id = rpi_identity_public(of);
    info.parent_pid = stat.parent;
    info.parent_alive = stat.parent > 0 && rpi_lived_at(stat.parent, stat.start_ticks);
    info.name = describer->name;
    info.state = rpi_proc_state_word(stat.state);
    *ret_info = info;
    return 0;
}
