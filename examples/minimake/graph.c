/* Minimake's graph itself: its memory, its texts, the table of files, queues of steps, and the
 * variables of the manifest's language. Used by all other parts. */
#define _POSIX_C_SOURCE 200809L
#include "examples/minimake/graph.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    BLOCK_SIZE = 65536,
    TABLE_SIZE_MIN = 1024, /* a power of two */
    EXPANSION_DEPTH_MAX = 64
};

typedef struct mm_block {
    struct mm_block *next;
    size_t used, size;
    max_align_t data[];
} mm_block;

/* ---- memory and text --------------------------------------------------------- */

_Noreturn void mm_fatal(const char *format, ...)
{
    va_list arguments;

    (void)fflush(stdout);
    fputs("minimake: error: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static void *allocate(void *old, size_t size)
{
    void *fresh = realloc(old, size);

    if (fresh == NULL) {
        mm_fatal("no memory");
    }
    return fresh;
}

void *mm_new(mm_graph *graph, size_t size)
{
    mm_block *block = graph->blocks;
    char *place;

    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (block == NULL || size > block->size - block->used) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

        block = allocate(NULL, sizeof *block + room);
        *block = (mm_block){.next = graph->blocks, .size = room};
        graph->blocks = block;
    }
    place = (char *)block->data + block->used;
    block->used += size;
    return memset(place, 0, size);
}

void mm_text_add(mm_text *text, rp_view part)
{
    if (part.size >= text->room - text->size) {
        text->room = 2 * (text->size + part.size) + 64;
        text->data = allocate(text->data, text->room);
    }
    if (part.size > 0) {
        memcpy(text->data + text->size, part.data, part.size);
    }
    text->size += part.size;
    text->data[text->size] = '\0';
}

void mm_text_free(mm_text *text)
{
    free(text->data);
    *text = (mm_text){0};
}

rp_view mm_view(const char *text)
{
    return (rp_view){text, strlen(text)};
}

rp_view mm_keep(mm_graph *graph, rp_view text)
{
    char *copy = mm_new(graph, text.size + 1);

    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    return (rp_view){copy, text.size};
}

bool mm_same(rp_view a, rp_view b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* FNV-1a. */
uint64_t mm_hash(uint64_t hash, rp_view text)
{
    hash ^= UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < text.size; i++) {
        hash = (hash ^ (unsigned char)text.data[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

bool mm_read(const char *path, mm_text *ret_text)
{
    char piece[32768];
    size_t size;
    FILE *file = fopen(path, "r");
    int failed;

    if (file == NULL) {
        return false;
    }
    ret_text->size = 0;
    mm_text_add(ret_text, mm_view("")); /* there is a NUL in an empty one, too */
    while ((size = fread(piece, 1, sizeof piece, file)) > 0) {
        mm_text_add(ret_text, (rp_view){piece, size});
    }
    failed = ferror(file) ? errno : 0;
    (void)fclose(file); /* only read from */
    errno = failed;
    return failed == 0;
}

/* ---- the graph --------------------------------------------------------------- */

mm_graph *mm_graph_new(void)
{
    mm_graph *graph = allocate(NULL, sizeof *graph);

    *graph = (mm_graph){.table_size = TABLE_SIZE_MIN};
    graph->table = allocate(NULL, TABLE_SIZE_MIN * sizeof(mm_file *));
    memset(graph->table, 0, TABLE_SIZE_MIN * sizeof(mm_file *));
    graph->scope = mm_new(graph, sizeof *graph->scope);
    graph->console = mm_new(graph, sizeof *graph->console);
    *graph->console = (mm_pool){.name = mm_view("console"), .depth = 1};
    graph->pools = graph->console;
    return graph;
}

void mm_graph_free(mm_graph *graph)
{
    if (graph == NULL) {
        return;
    }
    while (graph->blocks != NULL) {
        mm_block *block = graph->blocks;

        graph->blocks = block->next;
        free(block);
    }
    if (graph->log != NULL) {
        (void)fclose(graph->log); /* all of it was flushed, and that was looked at */
    }
    free(graph->table);
    free(graph);
}

/* Where the file is in the table, or would be. */
static mm_file **slot_of(const mm_graph *graph, rp_view name, uint64_t hash)
{
    size_t mask = graph->table_size - 1;
    size_t i = (size_t)hash & mask;

    while (graph->table[i] != NULL &&
           (graph->table[i]->hash != hash || !mm_same(graph->table[i]->name, name))) {
        i = (i + 1) & mask;
    }
    return &graph->table[i];
}

static void grow_table(mm_graph *graph)
{
    mm_file **old = graph->table;
    size_t old_size = graph->table_size;

    graph->table_size *= 4;
    graph->table = allocate(NULL, graph->table_size * sizeof(mm_file *));
    memset(graph->table, 0, graph->table_size * sizeof(mm_file *));
    for (size_t i = 0; i < old_size; i++) {
        if (old[i] != NULL) {
            *slot_of(graph, old[i]->name, old[i]->hash) = old[i];
        }
    }
    free(old);
}

/* Takes the last name off a path, if there is one that ".." means to leave. */
static bool drop_last(const char *path, size_t *size, size_t root)
{
    size_t start = *size;

    while (start > root && path[start - 1] != '/') {
        start--;
    }
    if (start == *size || (*size - start == 2 && memcmp(path + start, "..", 2) == 0)) {
        return *size == 1 && root == 1; /* above the root is the root */
    }
    *size = start > root ? start - 1 : start;
    return true;
}

/* The shortest form of a path that needs no look at the disk, into `path`, which has room for it
 * as it is; its length. Links are taken for what they seem to be, as ninja does. */
static size_t shorten(char *path, rp_view name)
{
    size_t root = name.size > 0 && name.data[0] == '/' ? 1 : 0;
    size_t size = root;
    size_t end;

    path[0] = '/';
    for (size_t i = root; i < name.size; i = end + 1) {
        for (end = i; end < name.size && name.data[end] != '/'; end++) {
        }
        if (end == i || (end == i + 1 && name.data[i] == '.')) {
            continue;
        }
        if (end == i + 2 && memcmp(name.data + i, "..", 2) == 0 && drop_last(path, &size, root)) {
            continue;
        }
        if (size > root) {
            path[size++] = '/';
        }
        memcpy(path + size, name.data + i, end - i);
        size += end - i;
    }
    if (size == 0) {
        path[size++] = '.';
    }
    return size;
}

static mm_file *
look_up(const mm_graph *graph, rp_view name, mm_file ***ret_slot, uint64_t *ret_hash)
{
    *ret_hash = mm_hash(0, name);
    *ret_slot = slot_of(graph, name, *ret_hash);
    return **ret_slot;
}

mm_file *mm_file_find(const mm_graph *graph, rp_view name)
{
    char *path = allocate(NULL, name.size + 1);
    rp_view shortened = {path, shorten(path, name)};
    mm_file **slot;
    uint64_t hash;
    mm_file *file = look_up(graph, shortened, &slot, &hash);

    free(path);
    return file;
}

mm_file *mm_file_get(mm_graph *graph, rp_view name)
{
    char small[512];
    char *path = name.size < sizeof small ? small : allocate(NULL, name.size + 1);
    rp_view shortened = {path, shorten(path, name)};
    mm_file **slot;
    uint64_t hash;
    mm_file *file = look_up(graph, shortened, &slot, &hash);

    if (file == NULL) {
        file = mm_new(graph, sizeof *file);
        *file = (mm_file){.name = mm_keep(graph, shortened), .hash = hash, .mtime_ns = MM_UNKNOWN};
        *slot = file;
        graph->file_count++;
        if (graph->file_count > graph->table_size / 2) {
            grow_table(graph);
        }
    }
    if (path != small) {
        free(path);
    }
    return file;
}

void mm_files_add(mm_graph *graph, mm_files *files, mm_file *file)
{
    if (files->count == files->room) {
        mm_file **old = files->items;

        files->room = files->room == 0 ? 4 : 2 * files->room;
        files->items = mm_new(graph, files->room * sizeof(mm_file *));
        if (files->count > 0) {
            memcpy(files->items, old, files->count * sizeof(mm_file *));
        }
    }
    files->items[files->count++] = file;
}

int64_t mm_mtime_ns(const char *path)
{
    struct stat facts;
    int64_t time_ns;

    if (stat(path, &facts) < 0) {
        if (errno != ENOENT && errno != ENOTDIR) {
            mm_fatal("stat(%s): %s", path, strerror(errno));
        }
        return MM_MISSING;
    }
    time_ns = (int64_t)facts.st_mtim.tv_sec * (int64_t)RP_SECOND + facts.st_mtim.tv_nsec;
    return time_ns > 0 ? time_ns : 1; /* 1970 is not "missing" */
}

void mm_push(mm_queue *queue, mm_step *step)
{
    step->next = NULL;
    if (queue->first == NULL) {
        queue->first = step;
    } else {
        queue->last->next = step;
    }
    queue->last = step;
}

mm_step *mm_pop(mm_queue *queue)
{
    mm_step *step = queue->first;

    if (step != NULL) {
        queue->first = step->next;
    }
    return step;
}

/* ---- variables --------------------------------------------------------------- */

bool mm_is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool mm_is_long_name(char c)
{
    return mm_is_name(c) || c == '.';
}

static const mm_binding *find_binding(const mm_binding *binding, rp_view name)
{
    while (binding != NULL && !mm_same(binding->name, name)) {
        binding = binding->next;
    }
    return binding;
}

/* A path as one word for the shell. */
static void add_quoted(mm_text *out, rp_view path)
{
    size_t plain = 0;

    while (plain < path.size && (mm_is_long_name(path.data[plain]) || path.data[plain] == '/' ||
                                 path.data[plain] == '+')) {
        plain++;
    }
    if (plain == path.size) {
        mm_text_add(out, path);
        return;
    }
    mm_text_add(out, mm_view("'"));
    for (size_t i = 0; i < path.size; i++) {
        bool is_quote = path.data[i] == '\'';

        mm_text_add(out, is_quote ? mm_view("'\\''") : (rp_view){path.data + i, 1});
    }
    mm_text_add(out, mm_view("'"));
}

static void add_files(
    mm_text *out, const mm_files *files, size_t count, const mm_env *env, const char *separator)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            mm_text_add(out, mm_view(separator));
        }
        if (env->is_quoted) {
            add_quoted(out, files->items[i]->name);
        } else {
            mm_text_add(out, files->items[i]->name);
        }
    }
}

/* $in and its like. */
static bool add_own_files(mm_text *out, rp_view name, const mm_env *env)
{
    const mm_step *step = env->step;

    if (mm_same(name, mm_view("in"))) {
        add_files(out, &step->ins, step->shown_ins, env, " ");
    } else if (mm_same(name, mm_view("in_newline"))) {
        add_files(out, &step->ins, step->shown_ins, env, "\n");
    } else if (mm_same(name, mm_view("out"))) {
        add_files(out, &step->outs, step->shown_outs, env, " ");
    } else {
        return false;
    }
    return true;
}

static void add_rule_variable(mm_text *out, const mm_binding *raw, const mm_env *env)
{
    mm_env deeper = *env;

    if (++deeper.depth > EXPANSION_DEPTH_MAX) {
        mm_fatal("cycle in rule variables: %.*s", (int)raw->name.size, raw->name.data);
    }
    mm_expand(out, raw->value, &deeper);
}

/* A variable's value: of the step, else of its rule, else of the manifest. */
static bool add_variable(mm_text *out, rp_view name, const mm_env *env)
{
    const mm_step *step = env->step;
    const mm_binding *found = NULL;

    if (step != NULL) {
        if (add_own_files(out, name, env)) {
            return true;
        }
        found = find_binding(step->bindings, name);
    }
    if (found == NULL && step != NULL && step->rule != NULL) {
        const mm_binding *raw = find_binding(step->rule->bindings, name);

        if (raw != NULL) {
            add_rule_variable(out, raw, env);
            return true;
        }
    }
    for (const mm_scope *scope = env->scope; found == NULL && scope != NULL;
         scope = scope->parent) {
        found = find_binding(scope->bindings, name);
    }
    if (found != NULL) {
        mm_text_add(out, found->value);
    }
    return found != NULL;
}

/* What stands behind a "$": appended; its length. The manifest's reader has seen that it is right.
 */
static size_t add_escape(mm_text *out, rp_view raw, const mm_env *env)
{
    size_t size = 0;

    if (raw.data[0] == '\n') { /* the line goes on: the next one's indentation does not count */
        for (size = 1; size < raw.size && raw.data[size] == ' '; size++) {
        }
        return size;
    }
    if (raw.data[0] == '{') {
        while (raw.data[size] != '}') {
            size++;
        }
        (void)add_variable(out, (rp_view){raw.data + 1, size - 1}, env); /* none is empty */
        return size + 1;
    }
    while (size < raw.size && mm_is_name(raw.data[size])) {
        size++;
    }
    if (size > 0) {
        (void)add_variable(out, (rp_view){raw.data, size}, env);
        return size;
    }
    mm_text_add(out, (rp_view){raw.data, 1}); /* "$$", "$ ", "$:" */
    return 1;
}

void mm_expand(mm_text *out, rp_view raw, const mm_env *env)
{
    size_t at = 0;

    while (at < raw.size) {
        const char *dollar = memchr(raw.data + at, '$', raw.size - at);
        size_t end = dollar == NULL ? raw.size : (size_t)(dollar - raw.data);

        mm_text_add(out, (rp_view){raw.data + at, end - at});
        at = end;
        if (dollar != NULL) {
            at += 1 + add_escape(out, (rp_view){dollar + 1, raw.size - end - 1}, env);
        }
    }
}

bool mm_variable(mm_text *out, const mm_step *step, const char *name, bool is_quoted)
{
    mm_env env = {.scope = step->scope, .step = step, .is_quoted = is_quoted};

    out->size = 0;
    mm_text_add(out, mm_view(""));
    return add_variable(out, mm_view(name), &env);
}
