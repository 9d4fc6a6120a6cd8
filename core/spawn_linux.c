/* The Linux side of the spawner: a site and its lanes, and one launch from its ends to its results.
 *
 * A launch opens its files and pipes, makes the child, and keeps our ends. Where descriptors lie
 * decides what a child costs, as its table is copied up to the highest one that it needs: our own
 * ends and the pidfd go up, so that the low numbers stay free for the next child's ends; a child's
 * end that lands high goes into a reserved slot (slots_linux.c) or to a thread with a table of its
 * own (spawn_private_linux.c).
 *
 * Every system call here counts: they are what a launch costs beyond the child itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/os.h"
#include "base/raw_linux.h"
#include "core/spawn_linux.h"

#define LOW_ENOUGH 256   /* a table copied up to here costs less than handing descriptors over */
#define SLOT_WORTH 32    /* so many descriptors above the slots cost what using them does */
#define KEPT_LOW 6       /* so many of ours above the slots cost a child less than moving them */
#define BASE_LAUNCHES 64 /* launches between two looks at the descriptor limit */
#define STATUS_MAX 2048  /* of /proc/self/status, up to SigIgn and beyond */
#define THREAD_STACK_SIZE ((size_t)512 * 1024)

/* A program that somebody has open for writing: usually a child of the host that has not come to
 * its exec yet. Pauses double from the first to the longest; 50 ms in all. */
#define BUSY_TRIES 16
#define BUSY_FIRST_NS 50000L
#define BUSY_LONGEST_NS 5000000L

/* One thread's means. */
typedef struct lane {
    rpi_maker maker;
    rpi_slots slots;
    rpi_private *twin; /* made when first needed */
    bool twin_refused;
    rpi_room room;      /* where our descriptors go */
    uint32_t room_left; /* launches until it is looked up again */
} lane;

struct rpi_spawn_site {
    const rp_allocator *allocator;
    uint32_t lane_count;
    rpi_spawn_ability ability;
    rpi_placeholder placeholder;
    int null_fd;   /* owned; -1: none */
    int kept_low;  /* our descriptors below it stay where they are */
    int status_fd; /* owned: /proc/self/status; -1: none */
    dev_t status_device;
    ino_t status_inode; /* by which it is known */
    pthread_mutex_t ignored_mutex;
    uint64_t ignored;          /* signals that the host ignores, bit n - 1 for signal n; */
    uint64_t ignored_taken_ns; /* as of then; under the mutex */
    lane lanes[];
};

static const char *const phase_names[RPI_PHASE_COUNT] = {
    [RPI_PHASE_OPEN] = "open",
    [RPI_PHASE_PIPE] = "pipe",
    [RPI_PHASE_TERMINAL] = "terminal",
    [RPI_PHASE_CLONE] = "clone",
    [RPI_PHASE_DESCRIPTORS] = "descriptors",
    [RPI_PHASE_CGROUP] = "cgroup",
    [RPI_PHASE_SETSID] = "setsid",
    [RPI_PHASE_SETPGID] = "setpgid",
    [RPI_PHASE_RLIMIT] = "rlimit",
    [RPI_PHASE_NICE] = "nice",
    [RPI_PHASE_IDS] = "ids",
    [RPI_PHASE_CHDIR] = "chdir",
    [RPI_PHASE_EXEC] = "exec",
};

/* ---- making the child where its descriptors are low ---- */

/* Puts what lies above the slots into them. Whether all of it is there now. */
static bool
fill_slots(const rpi_spawn_site *site, lane *own, rpi_child_plan *plan, unsigned *ret_used)
{
    const int highest = rpi_slots_highest(&own->slots);
    unsigned used = 0;
    bool all = highest >= 0;
    size_t i;

    for (i = 0; i < plan->map_count && all; i++) {
        rpi_child_map *map = &plan->maps[i];
        int slot = -1;

        if (map->from <= highest) {
            continue;
        }
        if (used < RPI_SLOT_COUNT) {
            slot = rpi_slots_put(&own->slots, &site->placeholder, used, map->from);
        }
        all = slot >= 0;
        if (all) {
            map->from = slot;
            used++;
        }
    }
    *ret_used = used;
    return all;
}

static void empty_slots(const rpi_spawn_site *site, lane *own, rpi_child_plan *plan, unsigned used)
{
    size_t i;

    for (i = 0; i < plan->map_count; i++) {
        plan->maps[i].from = plan->maps[i].source;
    }
    for (i = 0; i < used; i++) {
        rpi_slots_restore(&own->slots, &site->placeholder, (unsigned)i);
    }
}

/* Whether the lane has a thread with a table of its own. */
static bool has_twin(const rpi_spawn_site *site, lane *own)
{
    if (own->twin == NULL && !own->twin_refused) {
        own->twin_refused = rpi_private_open(site->allocator, &own->maker, &own->twin) < 0;
    }
    return own->twin != NULL;
}

static void
make_low(const rpi_spawn_site *site, lane *own, rpi_child_plan *plan, rpi_made *ret_made)
{
    const int slot = rpi_slots_highest(&own->slots);
    unsigned used = 0;
    bool done = false;
    int highest = 0;

    rpi_plan_finish(plan, -1);
    highest = rpi_plan_highest(plan);
    if (slot >= 0 && highest > slot + SLOT_WORTH) {
        if (fill_slots(site, own, plan, &used)) {
            rpi_plan_finish(plan, -1);
            rpi_make_child(&own->maker, plan, ret_made);
            done = true;
        }
        empty_slots(site, own, plan, used);
        rpi_plan_finish(plan, -1);
    }
    if (!done && highest > LOW_ENOUGH) {
        done = has_twin(site, own) && rpi_private_make_child(&own->twin, plan, ret_made) == 0;
    }
    if (!done) {
        rpi_make_child(&own->maker, plan, ret_made); // correct anyway, only not at flat cost
    }
}

/* The child of a plan, tried again while its program is busy. */
static void
make_child(const rpi_spawn_site *site, lane *own, rpi_child_plan *plan, rpi_made *ret_made)
{
    const bool by_table =
        (site->ability.method == RPI_SPAWN_CLONE3 || site->ability.method == RPI_SPAWN_CLONE) &&
        site->ability.has_close_range; // else the table is copied, wherever the ends lie
    struct timespec pause = {0, BUSY_FIRST_NS};
    int tries = BUSY_TRIES;

    for (;;) {
        if (by_table) {
            make_low(site, own, plan, ret_made);
        } else {
            rpi_plan_finish(plan, -1);
            rpi_make_child(&own->maker, plan, ret_made);
        }
        if (ret_made->error != -ETXTBSY || tries-- == 0) {
            return;
        }
        (void)nanosleep(&pause, NULL); // cut short by a signal: the next one comes
        pause.tv_nsec = pause.tv_nsec * 2 > BUSY_LONGEST_NS ? BUSY_LONGEST_NS : pause.tv_nsec * 2;
    }
}

/* ---- a launch ---- */

/* Whether descriptor `status_fd` still is what was opened: a host may close descriptors that it
 * does not know, and use their numbers again. */
static bool has_status(const rpi_spawn_site *site)
{
    struct stat status;

    return site->status_fd >= 0 && rpi_os.fstat(site->status_fd, &status) == 0 &&
           status.st_ino == site->status_inode && status.st_dev == site->status_device;
}

static void open_status(rpi_spawn_site *site)
{
    struct stat status;

    site->status_fd = rpi_os.open("/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
    if (site->status_fd >= 0) {
        site->status_fd = rpi_move_out_of_stdio(site->status_fd);
    }
    if (site->status_fd < 0) {
        return;
    }
    if (rpi_os.fstat(site->status_fd, &status) < 0) {
        rpi_close(site->status_fd); // it could not be told from another one later
        site->status_fd = -1;
        return;
    }
    site->status_device = status.st_dev;
    site->status_inode = status.st_ino;
}

/* The ignored signals from "SigIgn:" of our status: two calls instead of one a signal, and half of
 * their time. Whether it was there. */
static bool read_ignored(const rpi_spawn_site *site, uint64_t *ret_ignored)
{
    static const char name[] = "\nSigIgn:";
    char text[STATUS_MAX];
    const char *at = NULL;
    char *end = NULL;
    ssize_t size = -1;

    if (has_status(site)) {
        size = rpi_os.pread(site->status_fd, text, sizeof text - 1, 0);
    }
    if (size <= 0) {
        return false;
    }
    text[size] = '\0';
    at = strstr(text, name);
    if (at == NULL) {
        return false;
    }
    at += sizeof name - 1;
    *ret_ignored = strtoull(at, &end, 16);
    return *end == '\n' && end - at >= 17; // a tab and all sixteen digits
}

/* The same by a call a signal. */
static uint64_t ask_ignored(void)
{
    uint64_t ignored = 0;
    int number;

    for (number = 1; number <= RPI_RAW_SIGNAL_MAX; number++) {
        if (rpi_raw_handler(number) == RPI_RAW_IGNORED) {
            ignored |= UINT64_C(1) << (number - 1);
        }
    }
    return ignored;
}

/* The signals that a child made for a launch of that time must set to default, as exec keeps
 * ignored ones. One answer serves all launches that were queued before it. */
static uint64_t ignored_signals(rpi_spawn_site *site, uint64_t queued_ns)
{
    uint64_t ignored = 0;

    (void)pthread_mutex_lock(&site->ignored_mutex); // cannot fail: a plain mutex
    if (site->ignored_taken_ns <= queued_ns) {
        site->ignored_taken_ns = rpi_clock_now_ns();
        if (!read_ignored(site, &ignored)) {
            ignored = ask_ignored();
        }
        site->ignored = ignored & ~(UINT64_C(1) << (SIGHUP - 1));
    }
    ignored = site->ignored;
    (void)pthread_mutex_unlock(&site->ignored_mutex);
    return ignored;
}

static void fail_launch(rpi_launch *launch, int error, rpi_phase phase)
{
    int i;

    for (i = 0; i < 3; i++) {
        rpi_close(launch->pipes[i]);
        launch->pipes[i] = -1;
    }
    rpi_close(launch->slave);
    launch->slave = -1;
    launch->pid = 0;
    launch->pidfd = -1;
    launch->error = error;
    launch->phase = phase_names[phase];
}

/* With its ends open. */
static void
make_and_hold(rpi_spawn_site *site, lane *own, rpi_launch *launch, const rpi_ends *opened)
{
    rpi_child_plan plan;
    rpi_made made;
    int r = rpi_plan_init(&plan, launch, opened->fds, site->allocator);

    if (r < 0) {
        fail_launch(launch, r, RPI_PHASE_CLONE);
        return;
    }
    if (site->ability.method == RPI_SPAWN_CLONE3) {
        plan.reset_signals = ignored_signals(site, launch->queued_ns);
    }
    make_child(site, own, &plan, &made);
    rpi_plan_fini(&plan);
    if (made.error < 0) {
        fail_launch(launch, made.error, made.phase);
        return;
    }
    launch->started_ns = rpi_clock_now_ns();
    launch->pid = made.pid;
    r = rpi_move_up(&own->room, made.pidfd);
    launch->pidfd = r;
    if (r < 0 && made.pidfd >= 0) {
        // It landed in 0 to 2, which the host has closed, and there is no other place.
        (void)rpi_os.kill((pid_t)made.pid, SIGKILL); // not reaped yet: the number is its own
        rpi_reap_failed(made.pid, -1);
        fail_launch(launch, r, RPI_PHASE_CLONE);
    }
}

void rpi_spawn_carry_out(rpi_spawn_site *site, uint32_t number, rpi_launch *launch)
{
    lane *own = &site->lanes[number];
    rpi_phase phase = RPI_PHASE_NONE;
    rpi_ends opened;
    int r = 0;

    if (own->room_left-- == 0) {
        own->room = (rpi_room){.low = site->kept_low, .high = rpi_high_look_up()};
        own->room_left = BASE_LAUNCHES;
    }
    launch->error = 0;
    launch->phase = NULL;
    launch->started_ns = 0;
    launch->launched_ns = rpi_clock_now_ns();
    r = rpi_ends_open(site->null_fd, &own->room, launch, &opened, &phase);
    if (r < 0) {
        fail_launch(launch, r, phase);
        return;
    }
    make_and_hold(site, own, launch, &opened);
    rpi_ends_close(&opened);
}

/* ---- site ---- */

/* The method that RP_SPAWN names, UNKNOWN when it is not set; -EINVAL. */
static int method_from_environment(rpi_spawn_method *ret_method)
{
    static const struct {
        const char *name;
        rpi_spawn_method method;
    } names[] = {
        {"clone3", RPI_SPAWN_CLONE3},
        {"clone", RPI_SPAWN_CLONE},
        {"posix_spawn", RPI_SPAWN_POSIX_SPAWN},
        {"fork", RPI_SPAWN_FORK},
    };
    const char *value = getenv("RP_SPAWN");
    size_t i;

    *ret_method = RPI_SPAWN_UNKNOWN;
    if (value == NULL || *value == '\0') {
        return 0;
    }
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i].name) == 0) {
            *ret_method = names[i].method;
            return 0;
        }
    }
    return -EINVAL;
}

static int choose_ability(rpi_spawn_method method, rpi_spawn_ability *ret_ability)
{
    int r = 0;

    if (method == RPI_SPAWN_UNKNOWN) {
        r = method_from_environment(&method);
        if (r < 0) {
            return r;
        }
    }
    *ret_ability = rpi_spawn_probe();
    if (method != RPI_SPAWN_UNKNOWN) {
        ret_ability->method = method;
    }
    return ret_ability->method == RPI_SPAWN_UNKNOWN ? RP_EUNSUPPORTED : 0;
}

/* Slots for every lane; none where the whole table is low, or where they would not be. 0 or -errno.
 */
static int reserve_slots(rpi_spawn_site *site)
{
    struct rlimit limit;
    uint32_t i;
    int r = 0;

    if (rpi_os.getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= LOW_ENOUGH) {
        return 0;
    }
    r = rpi_placeholder_open(&site->placeholder);
    for (i = 0; i < site->lane_count && r == 0; i++) {
        r = rpi_slots_open(&site->lanes[i].slots, &site->placeholder);
        if (r == 0 && rpi_slots_highest(&site->lanes[i].slots) > LOW_ENOUGH) {
            rpi_slots_close(&site->lanes[i].slots, &site->placeholder);
            break;
        }
        site->kept_low = rpi_slots_highest(&site->lanes[i].slots) + 1 + KEPT_LOW;
    }
    return r;
}

int rpi_spawn_site_open(const rp_allocator *allocator,
                        rpi_spawn_method method,
                        uint32_t lane_count,
                        rpi_spawn_site **ret_site)
{
    const size_t size = sizeof(rpi_spawn_site) + lane_count * sizeof(lane);
    rpi_spawn_site *site = rpi_alloc_zero(allocator, size);
    uint32_t i;
    int r = -ENOMEM;

    if (site == NULL) {
        return r;
    }
    site->allocator = allocator;
    site->lane_count = lane_count;
    site->placeholder.fd = -1;
    site->null_fd = -1;
    site->status_fd = -1;
    for (i = 0; i < lane_count; i++) {
        site->lanes[i].slots = (rpi_slots){{-1, -1, -1}};
    }
    r = -pthread_mutex_init(&site->ignored_mutex, NULL);
    if (r < 0) {
        rpi_free(allocator, site, size);
        return r;
    }
    r = choose_ability(method, &site->ability);
    if (r < 0) {
        goto fail;
    }
    for (i = 0; i < lane_count; i++) {
        site->lanes[i].maker.method = site->ability.method;
        site->lanes[i].maker.has_close_range = site->ability.has_close_range;
        site->lanes[i].maker.signals_blocked = i > 0; // a spawner thread's; lane 0 is the host's
    }
    site->null_fd = rpi_os.open("/dev/null", O_RDWR | O_CLOEXEC, 0);
    if (site->null_fd >= 0) { // without one, launches that need it say so
        site->null_fd = rpi_move_out_of_stdio(site->null_fd);
    }
    if (site->ability.method == RPI_SPAWN_CLONE3) {
        open_status(site);
    }
    r = site->null_fd == -EMFILE ? -EMFILE : reserve_slots(site);
    if (r < 0) {
        goto fail;
    }
    *ret_site = site;
    return 0;

fail:
    rpi_spawn_site_close(site);
    return r;
}

static void close_site(rpi_spawn_site *site, bool forked)
{
    uint32_t i;

    for (i = 0; i < site->lane_count; i++) {
        lane *own = &site->lanes[i];

        if (forked) {
            rpi_private_close_forked(own->twin);
        } else {
            rpi_private_close(own->twin);
        }
        rpi_slots_close(&own->slots, &site->placeholder);
        rpi_maker_fini(&own->maker);
    }
    rpi_placeholder_close(&site->placeholder);
    if (rpi_is_null_device(site->null_fd)) {
        (void)rpi_os.close(site->null_fd); // its result says nothing about a device
    }
    if (has_status(site)) {
        (void)rpi_os.close(site->status_fd); // its result says nothing about /proc
    }
    if (!forked) { // there a thread that does not exist may hold it
        (void)pthread_mutex_destroy(&site->ignored_mutex); // cannot fail: nobody holds it
    }
    rpi_free(site->allocator, site, sizeof *site + site->lane_count * sizeof(lane));
}

void rpi_spawn_site_close(rpi_spawn_site *site)
{
    if (site != NULL) {
        close_site(site, false);
    }
}

void rpi_spawn_site_close_forked(rpi_spawn_site *site)
{
    if (site != NULL) {
        close_site(site, true);
    }
}

rpi_spawn_method rpi_spawn_site_method(const rpi_spawn_site *site)
{
    return site->ability.method;
}

/* ---- threads ---- */

int rpi_spawn_thread_start(void *(*run)(void *), void *argument, pthread_t *ret_thread)
{
    sigset_t all;
    sigset_t old;
    int r = 0;

    // A thread inherits the mask. The C library's own two stay open: a host's setgid() needs them.
    (void)sigfillset(&all); // cannot fail
    r = pthread_sigmask(SIG_SETMASK, &all, &old);
    if (r == 0) {
        r = rpi_os.thread_start(run, argument, THREAD_STACK_SIZE, ret_thread);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL); // cannot fail: it was the mask
    }
    return -r;
}

uint32_t rpi_spawn_processors(void)
{
    cpu_set_t set;
    long count = 0;

    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        count = CPU_COUNT(&set);
    } else {
        count = sysconf(_SC_NPROCESSORS_ONLN); // more processors than the set has room for
    }
    return count < 1 ? 1 : (uint32_t)count;
}
