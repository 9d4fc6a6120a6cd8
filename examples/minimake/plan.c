/* What has to be done for a target. Steps are judged from their inputs upwards, each once: by what
 * stands on the disk, by the log, and by what compilers have told of before. What may have to run
 * is linked to those that wait for it.
 *
 * A step runs for a reason of its own (is_due), or because something that it depends on has
 * changed; whether that came true is known only when its inputs are settled, as a restat rule may
 * leave its outputs as they were. Until then it only may run (may_run). */
#include "examples/minimake/graph.h"

#include <stdlib.h>

typedef struct visit { /* of a step, through the output by which it was reached */
    mm_file *file;
    size_t next; /* of its inputs */
} visit;

typedef struct visits {
    visit *items;
    size_t count, room;
} visits;

/* ---- one step ---------------------------------------------------------------- */

/* Inputs that were found take their place behind those that are declared. */
static void insert_found(mm_graph *graph, mm_step *step, const mm_files *found)
{
    mm_files ins = {0};

    if (found->count == 0) {
        return;
    }
    for (size_t i = 0; i < step->declared; i++) {
        mm_files_add(graph, &ins, step->ins.items[i]);
    }
    for (size_t i = 0; i < found->count; i++) {
        mm_files_add(graph, &ins, found->items[i]);
    }
    for (size_t i = step->declared; i < step->ins.count; i++) {
        mm_files_add(graph, &ins, step->ins.items[i]);
    }
    step->ins = ins;
    step->real = step->declared + found->count;
}

/* Before its inputs are looked at. */
static void open_step(mm_graph *graph, mm_step *step)
{
    const mm_record *record = step->outs.items[0]->record;
    mm_files found = {0};
    mm_text path = {0};

    step->is_open = true;
    for (size_t i = 0; i < step->outs.count; i++) {
        step->outs.items[i]->mtime_ns = mm_mtime_ns(step->outs.items[i]->name.data);
    }
    if (step->keeps_deps) {
        if (record == NULL) {
            step->is_due = true;
        } else {
            insert_found(graph, step, &record->found);
        }
    } else if (mm_variable(&path, step, "depfile", false) && path.size > 0) {
        step->is_due = !mm_depfile_read(graph, path.data, &found);
        insert_found(graph, step, &found);
    }
    mm_text_free(&path);
}

/* The rules are ninja's. */
static bool is_out_of_date(const mm_step *step, int64_t newest_ns)
{
    const mm_record *record = step->outs.items[0]->record;
    mm_text scratch = {0};
    bool is_late = false;

    for (size_t i = 0; i < step->outs.count; i++) {
        int64_t mtime_ns = step->outs.items[i]->mtime_ns;

        if (mtime_ns == MM_MISSING) {
            return true;
        }
        /* Outputs that a restat rule left alone are older than its inputs. */
        is_late = is_late || (mtime_ns < newest_ns && !(step->restat && record != NULL));
    }
    if (is_late) {
        return true;
    }
    if (record == NULL) {
        return !step->generator;
    }
    if (record->time_ns < newest_ns) {
        return true; /* outputs may be newer all the same: from a run that failed */
    }
    if (!step->generator) {
        is_late = mm_command_hash(step, &scratch) != record->hash;
        mm_text_free(&scratch);
    }
    return is_late;
}

static bool judge_phony(mm_step *step, int64_t newest_ns)
{
    bool is_missing = false;

    for (size_t i = 0; i < step->outs.count; i++) {
        mm_file *out = step->outs.items[i];

        if (out->mtime_ns == MM_MISSING) {
            is_missing = true;
            out->mtime_ns = newest_ns; /* it is its inputs */
        }
    }
    return is_missing && step->ins.count == 0;
}

static void wait_for(mm_graph *graph, mm_step *step, mm_step *input)
{
    mm_user *user = mm_new(graph, sizeof *user);

    *user = (mm_user){.step = step, .next = input->users};
    input->users = user;
    step->waits_for++;
}

/* When all inputs are judged. */
static void judge_step(mm_graph *graph, mm_step *step)
{
    int64_t newest_ns = 0;

    for (size_t i = 0; i < step->ins.count; i++) {
        const mm_file *file = step->ins.items[i];
        mm_step *maker = file->maker;
        bool is_real = i < step->real;

        if (maker != NULL && maker->is_pending) {
            wait_for(graph, step, maker);
            step->may_run = step->may_run || (is_real && maker->may_run);
        }
        if (is_real && file->mtime_ns > newest_ns) {
            newest_ns = file->mtime_ns;
        }
        if (is_real && maker == NULL && file->mtime_ns == MM_MISSING) {
            step->is_due = true; /* one that was found, and is gone */
        }
    }
    if (step->rule == NULL) {
        step->is_due = judge_phony(step, newest_ns);
    } else {
        step->is_due = step->is_due || is_out_of_date(step, newest_ns);
    }
    step->may_run = step->may_run || step->is_due;
    step->is_pending = step->may_run || step->waits_for > 0;
    step->is_judged = true;
    if (step->is_pending && step->waits_for == 0) {
        mm_push(&graph->startable, step);
    }
    if (step->may_run && step->rule != NULL) {
        graph->to_run++;
    }
}

uint64_t mm_command_hash(const mm_step *step, mm_text *scratch)
{
    uint64_t hash = 0;

    if (mm_variable(scratch, step, "command", true)) {
        hash = mm_hash(0, (rp_view){scratch->data, scratch->size});
    }
    if (mm_variable(scratch, step, "rspfile_content", true)) {
        hash = mm_hash(hash, (rp_view){scratch->data, scratch->size});
    }
    return hash;
}

/* ---- all of them ------------------------------------------------------------- */

static void enter(mm_graph *graph, visits *open, mm_file *file)
{
    if (open->count == open->room) {
        open->room = 2 * open->room + 64;
        open->items = realloc(open->items, open->room * sizeof *open->items);
        if (open->items == NULL) {
            mm_fatal("no memory");
        }
    }
    open->items[open->count++] = (visit){file, 0};
    open_step(graph, file->maker);
}

static _Noreturn void tell_cycle(const visits *open, const mm_file *again)
{
    mm_text text = {0};
    size_t first = open->count - 1;

    while (open->items[first].file->maker != again->maker) {
        first--;
    }
    for (size_t i = first; i < open->count; i++) {
        /* The first is named as the last, through which it was reached. */
        mm_text_add(&text, i == first ? again->name : open->items[i].file->name);
        mm_text_add(&text, mm_view(" -> "));
    }
    mm_text_add(&text, again->name);
    mm_fatal("dependency cycle: %s", text.data);
}

/* An input of the step that is looked at. */
static void look_at(mm_graph *graph, visits *open, mm_file *file, bool is_declared)
{
    mm_step *maker = file->maker;

    if (maker == NULL) {
        if (file->mtime_ns == MM_UNKNOWN) {
            file->mtime_ns = mm_mtime_ns(file->name.data);
        }
        if (file->mtime_ns == MM_MISSING && is_declared) {
            mm_fatal("'%s', needed by '%s', missing and no known rule to make it", file->name.data,
                     open->items[open->count - 1].file->name.data);
        }
    } else if (!maker->is_open) {
        enter(graph, open, file);
    } else if (!maker->is_judged) {
        tell_cycle(open, file);
    }
}

/* No recursion: a chain of steps may be as long as it likes. */
void mm_plan(mm_graph *graph, mm_file *target)
{
    visits open = {0};

    if (target->maker != NULL && !target->maker->is_open) {
        enter(graph, &open, target);
    }
    while (open.count > 0) {
        visit *top = &open.items[open.count - 1];
        mm_step *step = top->file->maker;

        if (top->next < step->ins.count) {
            size_t i = top->next++;

            look_at(graph, &open, step->ins.items[i], i < step->declared || i >= step->real);
        } else {
            judge_step(graph, step);
            open.count--;
        }
    }
    free(open.items);
}
