/* What a job does where the system holds nobody for us: it looks through all processes
 * (base/members.h). And who survived, as the caller is told. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/os.h"
#include "core/describe_linux.h"
#include "core/group.h"

enum {
    TEXTS_SIZE = 512, /* of one survivor, on average; what is longer is cut */
    PAUSE_MS = 20     /* between looks that fail */
};

rp_grade rpi_group_scan_grade(void)
{
    uint64_t start_ticks = 0;
    const int pidfd = rpi_os.pidfd_open((pid_t)rpi_os_pid(), 0);

    if (pidfd < 0) {
        return RP_GRADE_GROUP; /* nobody could be signalled without danger for others */
    }
    (void)rpi_os.close(pidfd); /* it only holds */
    return rpi_proc_start_read(rpi_os_pid(), &start_ticks) < 0 ? RP_GRADE_GROUP : RP_GRADE_SCAN;
}

/* ---- who survived -------------------------------------------------------------------- */

/* Where the next survivor goes: his struct and his texts, behind those of the others. */
typedef struct writer {
    rpi_survivors *to;
    char *text; /* the next free byte */
    size_t left;
} writer;

static const char *copy(writer *at, const char *text)
{
    const size_t length = strlen(text) < at->left ? strlen(text) : at->left - 1;
    char *copied = at->text;

    memcpy(copied, text, length);
    copied[length] = '\0';
    at->text += length < at->left - 1 ? length + 1 : length;
    at->left -= length < at->left - 1 ? length + 1 : length;
    return copied;
}

/* Somebody of whom no more can be read is told by his number. */
static void write_survivor(rpi_describer *describer, const rpi_seen *seen, writer *at)
{
    const rpi_identity wanted = {.pid = seen->pid, .start_ticks = seen->start_ticks};
    rp_survivor *survivor = &at->to->list[at->to->count];
    rpi_identity now;
    rp_process_info info = {.id = {.pid = seen->pid},
                            .parent_pid = seen->parent,
                            .name = "",
                            .command = "",
                            .cwd = "",
                            .kind = "",
                            .originator = "",
                            .state = "unknown"};

    if (rpi_identity_of(seen->pid, &now) < 0 || now.start_ticks != seen->start_ticks) {
        now = wanted;
    }
    (void)rpi_describe(describer, &now, &info); /* failed: as said above */
    *survivor = info;
    survivor->name = copy(at, info.name);
    survivor->command = copy(at, info.command);
    survivor->cwd = copy(at, info.cwd);
    survivor->kind = "";
    survivor->originator = copy(at, info.originator);
    survivor->state = copy(at, info.state);
    at->to->count++;
}

int rpi_survivors_list(rpi_survivors *survivors, const rpi_members *members, size_t count)
{
    const size_t list_size = count * sizeof(rp_survivor);
    const size_t size = list_size + count * TEXTS_SIZE;
    rpi_describer *describer = NULL;
    writer at = {.to = survivors, .left = count * TEXTS_SIZE};

    if (rpi_describer_open(&describer) < 0) {
        return -ENOMEM;
    }
    survivors->list = rpi_alloc_zero(members->allocator, size);
    if (survivors->list == NULL) {
        rpi_describer_close(describer);
        return -ENOMEM;
    }
    survivors->block_size = size;
    at.text = (char *)survivors->list + list_size;
    for (size_t i = 0; i < members->seen_count && survivors->count < count; i++) {
        const rpi_seen *seen = &members->seen[i];

        if (seen->is_member && seen->is_alive) {
            write_survivor(describer, seen, &at);
        }
    }
    rpi_describer_close(describer);
    return (int)survivors->count;
}

void rpi_survivors_fini(rpi_survivors *survivors, const rp_allocator *allocator)
{
    rpi_free(allocator, survivors->list, survivors->block_size);
    *survivors = (rpi_survivors){NULL, 0, 0};
}

/* ---- the job ---------------------------------------------------------------------------- */

/* The members as they would be at grade SCAN: 0 or -errno. */
static int widen(const rpi_members *members, rpi_members *wide)
{
    int r = 0;

    rpi_members_init(wide, members->allocator, members->mark);
    wide->since_ticks = members->since_ticks;
    for (size_t i = 0; r == 0 && i < members->known_count; i++) {
        const rpi_known *known = &members->known[i];

        r = rpi_members_add(wide, known->pid, known->start_ticks, known->seen_ticks);
    }
    return r;
}

/* At grade GROUP: who has left the process groups is not killed, but told. It is looked before,
 * too: some are known by their parents alone, which this may end. */
static int end_groups(rpi_group_job *job)
{
    rpi_members wide;
    int seen = widen(&job->members, &wide);
    int r;

    seen = seen < 0 ? seen : rpi_members_settle(&wide);
    r = rpi_members_end(&job->members, &job->until_ns);
    r = r < 0 ? r : seen; /* then it cannot be told who is left */
    r = r < 0 ? r : rpi_members_settle(&wide);
    r = r <= 0 ? r : rpi_survivors_list(&job->survivors, &wide, (size_t)r);
    rpi_members_fini(&wide);
    return r;
}

static int end_members(rpi_group_job *job)
{
    int r;

    if (job->members.only_groups) {
        return end_groups(job);
    }
    r = rpi_members_end(&job->members, &job->until_ns);
    return r <= 0 ? r : rpi_survivors_list(&job->survivors, &job->members, (size_t)r);
}

void rpi_group_job_scan(rpi_group_job *job)
{
    int r = end_members(job);

    /* No descriptor or memory to look with: others may let go of theirs. */
    while (r < 0 && rpi_clock_now_ns() < atomic_load(&job->until_ns)) {
        (void)rpi_os.poll(NULL, 0, PAUSE_MS);
        r = end_members(job);
    }
    job->result = r;
}
