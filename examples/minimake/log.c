/* What minimake remembers from build to build: a text file with the hash of the command, the time,
 * and the inputs found, of each step that has run. And the reader of the files in which compilers
 * tell of such inputs.
 *
 *     minimake log 1
 *     f build/a.o                          names a file; the first is 1, the next 2, ...
 *     s 1 2cf24dba5fb0a30e 1700000000 2 3  a step: first output, hash, time in ns, inputs found
 *
 * Later lines are added as steps end, and a later record of a step replaces the one before. When
 * most of it is such, or its end is torn, it is written anew and put in place by a rename. */
#define _POSIX_C_SOURCE 200809L
#include "examples/minimake/graph.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "minimake log 1\n"

enum {
    REPLACED_MAX = 1000 /* records, beside as many as there are steps */
};

typedef struct reader {
    mm_graph *graph;
    mm_files names; /* by number, from 0 */
    size_t records;
    bool is_torn;
} reader;

/* ---- the log ----------------------------------------------------------------- */

/* The file of a number as it stands in a line; NULL: there is no such number. */
static mm_file *next_file(const reader *r, char **at)
{
    unsigned long number = strtoul(*at, at, 10);

    return number >= 1 && number <= r->names.count ? r->names.items[number - 1] : NULL;
}

/* "1 2cf24dba5fb0a30e 1700000000 2 3" */
static bool read_record(reader *r, char *line)
{
    mm_record *record = mm_new(r->graph, sizeof *record);
    mm_file *out = next_file(r, &line);

    record->hash = strtoull(line, &line, 16);
    record->time_ns = strtoll(line, &line, 10);
    while (*line == ' ') {
        mm_file *file = next_file(r, &line);

        if (file == NULL) {
            return false;
        }
        mm_files_add(r->graph, &record->found, file);
    }
    if (out == NULL || *line != '\0') {
        return false;
    }
    out->record = record;
    r->records++;
    return true;
}

static void read_log(reader *r, char *text)
{
    size_t head = strlen(HEAD);
    char *end;

    r->is_torn = strncmp(text, HEAD, head) != 0;
    if (r->is_torn) {
        return; /* another version's, or nobody's */
    }
    for (char *line = text + head; !r->is_torn && *line != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        if (end == NULL) {
            r->is_torn = true;
            break;
        }
        *end = '\0';
        if (strncmp(line, "f ", 2) == 0 && line[2] != '\0') {
            mm_file *file = mm_file_get(r->graph, mm_view(line + 2));

            mm_files_add(r->graph, &r->names, file);
            file->number = (uint32_t)r->names.count;
        } else if (strncmp(line, "s ", 2) != 0 || !read_record(r, line + 2)) {
            r->is_torn = true; /* what follows is not trusted */
        }
    }
    r->graph->log_names = (uint32_t)r->names.count;
}

static void write_name(mm_graph *graph, mm_file *file)
{
    if (file->number == 0) {
        file->number = ++graph->log_names;
        fprintf(graph->log, "f %s\n", file->name.data);
    }
}

static void write_record(mm_graph *graph, mm_file *out, const mm_record *record)
{
    write_name(graph, out);
    for (size_t i = 0; i < record->found.count; i++) {
        write_name(graph, record->found.items[i]);
    }
    fprintf(graph->log, "s %" PRIu32 " %016" PRIx64 " %" PRId64, out->number, record->hash,
            record->time_ns);
    for (size_t i = 0; i < record->found.count; i++) {
        fprintf(graph->log, " %" PRIu32, record->found.items[i]->number);
    }
    fputc('\n', graph->log);
}

static bool is_remembered(const mm_step *step)
{
    return step->rule != NULL && step->outs.items[0]->record != NULL;
}

static size_t count_records(const mm_graph *graph)
{
    size_t count = 0;

    for (const mm_step *step = graph->steps; step != NULL; step = step->following) {
        count += is_remembered(step);
    }
    return count;
}

/* Leaves the log open behind the last record. */
static void rewrite(mm_graph *graph, const char *path)
{
    mm_text fresh = {0};
    int error;

    mm_text_add(&fresh, mm_view(path));
    mm_text_add(&fresh, mm_view(".new"));
    graph->log = fopen(fresh.data, "w");
    if (graph->log == NULL) {
        mm_fatal("opening '%s': %s", fresh.data, strerror(errno));
    }
    for (size_t i = 0; i < graph->table_size; i++) {
        if (graph->table[i] != NULL) {
            graph->table[i]->number = 0;
        }
    }
    graph->log_names = 0;
    fputs(HEAD, graph->log);
    for (const mm_step *step = graph->steps; step != NULL; step = step->following) {
        if (is_remembered(step)) {
            write_record(graph, step->outs.items[0], step->outs.items[0]->record);
        }
    }
    if (fflush(graph->log) != 0 || ferror(graph->log) || rename(fresh.data, path) != 0) {
        error = errno;
        (void)remove(fresh.data); /* the old log is still there */
        mm_fatal("writing '%s': %s", path, strerror(error));
    }
    mm_text_free(&fresh);
}

void mm_log_open(mm_graph *graph, const char *path, bool writes)
{
    reader r = {.graph = graph};
    mm_text text = {0};

    if (mm_read(path, &text)) {
        read_log(&r, text.data);
    } else if (errno == ENOENT) {
        r.is_torn = true;
    } else {
        mm_fatal("loading '%s': %s", path, strerror(errno));
    }
    mm_text_free(&text);
    if (!writes) {
        return;
    }
    if (r.is_torn || r.records > 2 * count_records(graph) + REPLACED_MAX) {
        rewrite(graph, path);
        return;
    }
    graph->log = fopen(path, "a");
    if (graph->log == NULL) {
        mm_fatal("opening '%s': %s", path, strerror(errno));
    }
}

bool mm_log_add(mm_graph *graph, const mm_step *step, const mm_record *record)
{
    write_record(graph, step->outs.items[0], record);
    return fflush(graph->log) == 0 && !ferror(graph->log);
}

/* ---- what compilers tell ----------------------------------------------------- */

static bool is_line_end(const char *at)
{
    return *at == '\n' || (at[0] == '\r' && at[1] == '\n');
}

/* One or more backslashes: they protect a blank or "#", go on with the line, or are themselves.
 * Nothing is taken: the word ends here. */
static const char *take_backslashes(mm_text *word, const char *at)
{
    size_t count = strspn(at, "\\");
    const char *next = at + count;

    if (*next == ' ') { /* 2n + 1: n, and a blank; 2n: as they are, and the end */
        mm_text_add(word, (rp_view){at, count % 2 == 1 ? count / 2 : count});
        if (count % 2 == 1) {
            mm_text_add(word, mm_view(" "));
            next++;
        }
    } else if (*next == '#') {
        mm_text_add(word, (rp_view){at, count - 1});
        mm_text_add(word, mm_view("#"));
        next++;
    } else if (is_line_end(next)) {
        mm_text_add(word, (rp_view){at, count - 1});
        next--;
    } else {
        mm_text_add(word, (rp_view){at, count});
    }
    return next;
}

/* A word, or as much of one as there is: none at the end of the text. */
static const char *take_word(mm_text *word, const char *at)
{
    word->size = 0;
    mm_text_add(word, mm_view(""));
    while (*at != '\0' && *at != ' ' && *at != '\t' && !is_line_end(at)) {
        if (*at == '\\') {
            if (is_line_end(at + 1)) {
                break;
            }
            at = take_backslashes(word, at);
        } else {
            at += at[0] == '$' && at[1] == '$';
            mm_text_add(word, (rp_view){at++, 1});
        }
    }
    return at;
}

/* "out.o: in.c in.h \", and perhaps "in.h:" so that make does not miss a header that is gone. */
bool mm_depfile_read(mm_graph *graph, const char *path, mm_files *ret_found)
{
    mm_text text = {0};
    mm_text word = {0};
    bool is_target = true;

    if (!mm_read(path, &text)) {
        if (errno != ENOENT) {
            mm_fatal("loading '%s': %s", path, strerror(errno));
        }
        return false;
    }
    for (const char *at = text.data; *at != '\0';) {
        if (at[0] == '\\' && is_line_end(at + 1)) {
            at += at[1] == '\r' ? 3 : 2;
        } else if (*at == ' ' || *at == '\t' || is_line_end(at)) {
            is_target = is_target || is_line_end(at);
            at++;
        } else {
            at = take_word(&word, at);
            if (is_target) {
                is_target = word.size == 0 || word.data[word.size - 1] != ':';
            } else {
                mm_files_add(graph, ret_found, mm_file_get(graph, (rp_view){word.data, word.size}));
            }
        }
    }
    mm_text_free(&text);
    mm_text_free(&word);
    return true;
}
