/* rp_tree_kill: ends the tree of a process that need not be ours, and makes sure.
 *
 * All members are stopped first, looking again until a look finds nobody new: who is stopped does
 * not fork, and as the system lists its processes in ascending order, one look mostly chases a
 * forking tree to its end. Then all are killed, the deepest first, and looked for until they are
 * gone and a last look finds nobody either. Nobody is ever signalled by his number: see identity.h.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/status.h"
#include "core/family_linux.h"

enum {
    AWAITED_MAX = 64,
    FREEZE_LOOKS_MAX = 64,
    END_LOOKS_MAX = 64,
    PAUSE_MS = 5 /* where no descriptor is left to wait with */
};

#define WHILE_NS (50 * RP_MILLISECOND)

/* A member that ends or cannot be signalled meanwhile is looked at again by the end. */
static void stop_member(rpi_family *family, rpi_kin *member)
{
    int pidfd = rpi_identity_open(&member->id);

    (void)family;
    if (pidfd < 0) {
        return;
    }
    member->id.unique = rpi_identity_unique(pidfd);
    (void)rpi_os.pidfd_send_signal(pidfd, SIGSTOP, 0);
    (void)rpi_os.close(pidfd); /* it only holds */
}

static void kill_member(rpi_family *family, rpi_kin *member)
{
    (void)family;
    if (!member->is_gone) {
        (void)rpi_identity_signal(&member->id, SIGKILL);
    }
}

static int freeze(rpi_family *family, uint64_t until_ns)
{
    int r;

    for (size_t i = 0; i < family->count; i++) {
        stop_member(family, &family->members[i]);
    }
    family->on_new = stop_member;
    r = rpi_family_look_all(family, FREEZE_LOOKS_MAX, until_ns);
    family->on_new = kill_member; /* who is found from now on is late */
    return r < 0 ? r : 0;
}

static int kill_all(rpi_family *family)
{
    uint32_t *order = rpi_family_order(family);

    if (order == NULL) {
        return -ENOMEM;
    }
    for (size_t i = family->count; i > 0; i--) {
        kill_member(family, &family->members[order[i - 1]]);
    }
    rpi_free(rpi_alloc_default(), order, family->count * sizeof *order);
    return 0;
}

static int milliseconds_until(uint64_t until_ns)
{
    const uint64_t now_ns = rpi_clock_now_ns();
    const uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;

    return left_ns > RP_SECOND ? 1000 : (int)((left_ns + 999999) / RP_MILLISECOND);
}

/* Waits until some that were alive are gone, or for a while. */
static void await_some(const rpi_family *family, uint64_t end_ns)
{
    const uint64_t while_ns = rpi_clock_after(rpi_clock_now_ns(), WHILE_NS);
    const uint64_t until_ns = while_ns < end_ns ? while_ns : end_ns;
    struct pollfd entries[AWAITED_MAX];
    size_t count = 0;
    size_t left;

    for (size_t i = 0; i < family->count && count < AWAITED_MAX; i++) {
        if (!family->members[i].is_gone) {
            entries[count] =
                (struct pollfd){.fd = rpi_identity_open(&family->members[i].id), .events = POLLIN};
            count += entries[count].fd >= 0;
        }
    }
    left = count;
    while (left > 0 && rpi_clock_now_ns() < until_ns) {
        if (rpi_os.poll(entries, count, milliseconds_until(until_ns)) < 0 && errno != EINTR) {
            break;
        }
        for (size_t i = 0; i < count; i++) {
            if (entries[i].fd >= 0 && entries[i].revents != 0) {
                (void)rpi_os.close(entries[i].fd); /* it only holds */
                entries[i].fd = -1;                /* which poll passes over */
                left--;
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i].fd >= 0) {
            (void)rpi_os.close(entries[i].fd);
        }
    }
    if (count == 0) {
        int timeout_ms = milliseconds_until(until_ns);

        (void)rpi_os.poll(NULL, 0, timeout_ms < PAUSE_MS ? timeout_ms : PAUSE_MS);
    }
}

/* The survivors, or an error. */
static int await_end(rpi_family *family, uint64_t until_ns)
{
    for (;;) {
        const bool is_late = rpi_clock_now_ns() >= until_ns;
        const size_t alive = rpi_family_count_alive(family);
        int r;

        if (alive == 0) { /* a new one, found just now, is being killed */
            r = rpi_family_look_all(family, is_late ? 1 : END_LOOKS_MAX, until_ns);
            if (r <= 0 || (is_late && rpi_family_count_alive(family) == 0)) {
                return r < 0 ? r : 0;
            }
            continue;
        }
        if (is_late) {
            return (int)alive;
        }
        await_some(family, until_ns);
        for (size_t i = 0; i < family->count; i++) { /* whoever could not be reached before */
            kill_member(family, &family->members[i]);
        }
    }
}

static int kill_family(rpi_family *family, uint64_t until_ns)
{
    int r;

    family->spares_self = true;
    r = rpi_family_look(family);
    if (r < 0) {
        return r;
    }
    if (family->includes_self) {
        return rpi_detail(RP_EINVAL, "the calling process is in this tree itself");
    }
    r = freeze(family, until_ns);
    if (r == 0) {
        r = kill_all(family);
    }
    if (r < 0) { /* at least nobody is left stopped, and what is known ends */
        for (size_t i = family->count; i > 0; i--) {
            kill_member(family, &family->members[i - 1]);
        }
        return r;
    }
    return await_end(family, until_ns);
}

int rpi_family_kill(const rpi_identity *root, uint64_t timeout_ns)
{
    const uint64_t until_ns = rpi_clock_after(rpi_clock_now_ns(), timeout_ns);
    rpi_family *family = NULL;
    int pidfd = rpi_identity_open(root); /* whether anybody can be signalled here at all */
    int r;

    if (pidfd < 0) {
        return pidfd == RP_ESRCH ? 0 : pidfd;
    }
    (void)rpi_os.close(pidfd); /* it only holds */
    r = rpi_family_open(root, &family);
    if (r == 0) {
        r = kill_family(family, until_ns);
        rpi_family_close(family);
    }
    return r;
}

int rp_tree_kill(const rp_identity *root, uint64_t timeout_ns)
{
    rpi_identity found;
    int r;

    rpi_detail_clear();
    if (root == NULL || root->pid <= 0) {
        return rpi_detail(RP_EINVAL, "root: no process number");
    }
    if (root->start_time_ms == 0 && root->unique == 0) {
        return rpi_detail(RP_EINVAL, "root: a number alone may be another process's by now");
    }
    r = rpi_identity_find(root, &found);
    if (r < 0) {
        return r == RP_ESRCH ? 0 : r;
    }
    return rpi_family_kill(&found, timeout_ns);
}
