/* See why.h. The tree is listed first; then each process of it is asked what its threads wait in,
 * and one look through the system says who has the other ends of all their pipes and terminals.
 * These are looks at different moments: what has ended meanwhile is left out. */
#include "cli/why.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rp/rp.h>

#include "cli/quote.h"

enum {
    THREADS_MAX = 16, /* shown of a process */
    OTHERS_MAX = 8    /* shown of who has the other end */
};

typedef struct member {
    rp_identity id;
    uint32_t depth;
    char name[64];
    char state[16];
    char *command;  /* owned */
    bool is_hidden; /* what it has open */
    size_t ends;    /* where its ends begin in the text of all ends, */
    size_t ends_size;
} member;

typedef struct report {
    rpi_cli_buffer members; /* of member */
    size_t count;
    rpi_cli_buffer ends; /* the lines about pipes, process after process */
    size_t process;      /* whose end was told last, */
    int64_t fd;          /* and which */
    size_t others;       /* of that end */
    rpi_cli_buffer *text;
    const member *asked; /* whose threads are told */
    size_t threads;
} report;

static member *member_at(const report *of, size_t index)
{
    return &((member *)(void *)of->members.data)[index]; /* as malloc aligns it */
}

static void add_number(rpi_cli_buffer *text, const char *before, int64_t number)
{
    char digits[32];

    (void)snprintf(digits, sizeof digits, "%" PRId64, number);
    rpi_cli_add_text(text, before);
    rpi_cli_add_text(text, digits);
}

/* "4711 (make)" */
static void add_process(rpi_cli_buffer *text, const char *before, int64_t pid, const char *name)
{
    add_number(text, before, pid);
    rpi_cli_add_text(text, " (");
    rpi_cli_add_escaped(text, name);
    rpi_cli_add_text(text, ")");
}

static void add_indent(rpi_cli_buffer *text, uint32_t depth)
{
    for (uint32_t i = 0; i < depth && i < 64; i++) {
        rpi_cli_add_text(text, "  ");
    }
}

// ---- the tree ----------------------------------------------------------------

static bool on_member(const rp_process_info *info, void *user)
{
    report *to = user;
    member one = {.id = info->id, .depth = info->depth};
    const size_t command_size = strlen(info->command) + 1;

    one.command = malloc(command_size);
    if (one.command == NULL) {
        to->members.failed = true;
        return false;
    }
    memcpy(one.command, info->command, command_size);
    (void)snprintf(one.name, sizeof one.name, "%s", info->name);
    (void)snprintf(one.state, sizeof one.state, "%s", info->state);
    rpi_cli_buffer_add(&to->members, &one, sizeof one);
    if (to->members.failed) {
        free(one.command);
        return false;
    }
    to->count++;
    return true;
}

// ---- pipes -------------------------------------------------------------------

static const char *access_of(const rp_end *end)
{
    if (end->is_master) {
        return " shows ";
    }
    if (end->reads && end->writes) {
        return " reads and writes ";
    }
    return end->reads ? " reads " : " writes ";
}

static const char *role_of(const rp_end *end)
{
    if (end->is_terminal) {
        return end->is_master ? ", which is open in " : ", which is shown by ";
    }
    if (end->reads && end->writes) {
        return ", whose other end has ";
    }
    return end->reads ? ", which is written by " : ", which is read by ";
}

/* Who has this end, behind its line so far. */
static void add_other(report *to, const rp_end *end)
{
    rpi_cli_buffer *text = &to->ends;

    to->others++;
    if (end->other == NULL) {
        rpi_cli_add_text(text, "nobody that can be seen");
    } else if (to->others == OTHERS_MAX + 1) {
        rpi_cli_add_text(text, ", and others");
    } else if (to->others <= OTHERS_MAX) {
        add_process(text, to->others > 1 ? ", " : "", end->other->id.pid, end->other->name);
        add_number(text, " on ", end->other_fd);
    }
}

static bool on_end(const rp_end *end, void *user)
{
    report *to = user;
    member *of = member_at(to, end->process);

    if (end->hidden) {
        of->is_hidden = strcmp(of->state, "zombie") != 0; /* which has nothing */
        return true;
    }
    if (to->others == 0 || to->process != end->process || to->fd != end->fd) {
        if (to->others > 0) {
            rpi_cli_add_text(&to->ends, "\n");
        }
        if (to->others == 0 || to->process != end->process) {
            member_at(to, to->process)->ends_size =
                to->ends.size - member_at(to, to->process)->ends;
            of->ends = to->ends.size;
        }
        to->process = end->process;
        to->fd = end->fd;
        to->others = 0;
        add_indent(&to->ends, of->depth + 1);
        add_number(&to->ends, "  ", end->fd);
        rpi_cli_add_text(&to->ends, access_of(end));
        rpi_cli_add_text(&to->ends, end->name);
        rpi_cli_add_text(&to->ends, role_of(end));
    }
    add_other(to, end);
    return !to->ends.failed;
}

static int find_ends(report *to)
{
    rp_identity *processes = calloc(to->count, sizeof *processes);
    int r;

    if (processes == NULL) {
        return RP_ENOMEM;
    }
    for (size_t i = 0; i < to->count; i++) {
        processes[i] = member_at(to, i)->id;
    }
    r = rp_describe_ends(processes, to->count, on_end, to);
    free(processes);
    if (to->others > 0) {
        member *last = member_at(to, to->process);

        rpi_cli_add_text(&to->ends, "\n");
        last->ends_size = to->ends.size - last->ends;
    }
    return r < 0 ? r : 0;
}

// ---- threads -----------------------------------------------------------------

static void add_wait(rpi_cli_buffer *text, const rp_wait_info *wait)
{
    if (wait->hidden) {
        rpi_cli_add_text(text, "not told to us");
    } else if (wait->call[0] == '\0') {
        rpi_cli_add_text(text, strcmp(wait->state, "running") == 0 ? "nothing: it runs"
                                                                   : "no system call");
    } else {
        rpi_cli_add_text(text, wait->call);
    }
    if (wait->fd >= 0) {
        add_number(text, " of ", wait->fd);
    }
    if (wait->opened[0] != '\0') {
        rpi_cli_add_text(text, ", ");
        rpi_cli_add_escaped(text, wait->opened);
    }
    if (wait->place[0] != '\0') {
        rpi_cli_add_text(text, " (in the kernel: ");
        rpi_cli_add_escaped(text, wait->place);
        rpi_cli_add_text(text, ")");
    }
    rpi_cli_add_text(text, "\n");
}

static bool on_wait(const rp_wait_info *wait, void *user)
{
    report *to = user;

    to->threads++;
    if (to->threads > THREADS_MAX) {
        return true;
    }
    add_indent(to->text, to->asked->depth > 0 ? to->asked->depth + 1 : 0);
    if (to->threads == 1) {
        rpi_cli_add_text(to->text, "Waits in: ");
    } else {
        add_process(to->text, "Thread ", wait->thread, wait->name);
        rpi_cli_add_text(to->text, " waits in: ");
    }
    add_wait(to->text, wait);
    return true;
}

// ---- all of it ---------------------------------------------------------------

static void add_details(report *to, const member *of)
{
    const uint32_t depth = of->depth > 0 ? of->depth + 1 : 0;

    add_indent(to->text, depth);
    rpi_cli_add_text(to->text, "Status: ");
    rpi_cli_add_text(to->text, of->state);
    rpi_cli_add_text(to->text, "\n");
    add_indent(to->text, depth);
    rpi_cli_add_text(to->text, "Command: ");
    rpi_cli_add_quoted(to->text, of->command);
    rpi_cli_add_text(to->text, "\n");
    to->asked = of;
    to->threads = 0;
    if (rp_describe_waits(&of->id, on_wait, to) == RP_EACCES) {
        add_indent(to->text, depth);
        rpi_cli_add_text(to->text, "Waits in: not told to us\n");
    }
    if (to->threads > THREADS_MAX) {
        add_indent(to->text, depth);
        add_number(to->text, "And ", (int64_t)to->threads - THREADS_MAX);
        rpi_cli_add_text(to->text, " more threads\n");
    }
    if (of->is_hidden) {
        add_indent(to->text, depth);
        rpi_cli_add_text(to->text, "Pipes and terminals: not told to us\n");
    }
    if (of->ends_size > 0) {
        add_indent(to->text, depth);
        rpi_cli_add_text(to->text, "Pipes and terminals:\n");
        rpi_cli_buffer_add(to->text, to->ends.data + of->ends, of->ends_size);
    }
}

static void compose(report *to)
{
    for (size_t i = 0; i < to->count; i++) {
        const member *of = member_at(to, i);

        if (i == 0) {
            add_process(to->text, "Process ", of->id.pid, of->name);
        } else {
            if (i == 1) {
                rpi_cli_add_text(to->text, "Child processes:\n");
            }
            add_indent(to->text, of->depth);
            add_process(to->text, "Child ", of->id.pid, of->name);
        }
        rpi_cli_add_text(to->text, "\n");
        add_details(to, of);
    }
}

int rpi_cli_why(int64_t pid, rpi_cli_buffer *text)
{
    report to = {.text = text};
    rp_identity root;
    int r = rp_identify(pid, &root);

    r = r < 0 ? r : rp_tree_each(&root, on_member, &to);
    if (r == 0) {
        r = RP_ESRCH; /* it ended while it was looked at */
    }
    r = r < 0 ? r : find_ends(&to);
    if (r == 0) {
        compose(&to);
    }
    if (r == 0 && (to.members.failed || to.ends.failed || text->failed)) {
        r = RP_ENOMEM;
    }
    for (size_t i = 0; i < to.count; i++) {
        free(member_at(&to, i)->command);
    }
    rpi_cli_buffer_fini(&to.members);
    rpi_cli_buffer_fini(&to.ends);
    return r;
}
