/* The reader of build.ninja: rules, pools, build statements, defaults, variables, include and
 * subninja, as ninja's manual defines them. What it does not know it refuses, with file and line:
 * dyndep, validations (|@), deps = msvc.
 *
 * Texts are not taken apart when they are read. A "raw" text is a piece of the manifest as it
 * stands there, escapes and all, and mm_expand makes a value of it; the manifest stays in memory
 * for that. */
#include "examples/minimake/graph.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    INCLUDE_DEPTH_MAX = 64
};

typedef struct parser {
    mm_graph *graph;
    mm_scope *scope;
    const char *path;
    const char *text, *at, *end; /* a NUL at the end */
    unsigned depth;              /* of includes */
    mm_text scratch;
} parser;

typedef struct raw_paths { /* of one build statement, in the order in which they stand there */
    rp_view *items;
    size_t count, room;
} raw_paths;

static void parse_file(parser *from, mm_scope *scope, const char *path);

static _Noreturn void wrong(const parser *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static _Noreturn void wrong(const parser *p, const char *format, ...)
{
    char what[512];
    size_t line = 1;
    va_list arguments;

    for (const char *c = p->text; c < p->at; c++) {
        line += *c == '\n';
    }
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments); /* cut, if it is that long */
    va_end(arguments);
    mm_fatal("%s:%zu: %s", p->path, line, what);
}

/* ---- pieces of a line -------------------------------------------------------- */

static void skip_blanks(parser *p)
{
    for (;;) {
        if (*p->at == ' ') {
            p->at++;
        } else if (p->at[0] == '$' && p->at[1] == '\n') {
            p->at += 2;
        } else {
            return;
        }
    }
}

static bool accept(parser *p, const char *token)
{
    size_t size = strlen(token);

    if (strncmp(p->at, token, size) != 0) {
        return false;
    }
    p->at += size;
    skip_blanks(p);
    return true;
}

static void expect_end(parser *p)
{
    if (p->at == p->end) {
        return;
    }
    if (*p->at != '\n') {
        wrong(p, *p->at == '\t' ? "tabs are not allowed, use spaces" : "expected newline");
    }
    p->at++;
}

static rp_view read_name(parser *p, const char *what)
{
    const char *start = p->at;
    rp_view name;

    while (mm_is_long_name(*p->at)) {
        p->at++;
    }
    name = (rp_view){start, (size_t)(p->at - start)};
    if (name.size == 0) {
        wrong(p, *p->at == '\t' ? "tabs are not allowed, use spaces" : "expected %s", what);
    }
    skip_blanks(p);
    return name;
}

/* Goes over one "$" and what belongs to it. */
static void skip_escape(parser *p)
{
    const char *c = p->at + 1;

    if (*c == '{') {
        const char *name = ++c;

        while (mm_is_long_name(*c)) {
            c++;
        }
        if (c > name && *c == '}') {
            p->at = c + 1;
            return;
        }
    } else if (mm_is_name(*c)) {
        while (mm_is_name(*c)) {
            c++;
        }
        p->at = c;
        return;
    } else if (*c != '\0' && strchr("$ :\n", *c) != NULL) {
        p->at = c + 1;
        return;
    }
    wrong(p, "bad $-escape (literal $ must be written as $$)");
}

/* Up to the first of `stops`, which must have a newline among them. */
static rp_view read_raw(parser *p, const char *stops)
{
    const char *start = p->at;

    while (p->at < p->end && strchr(stops, *p->at) == NULL) {
        if (*p->at == '$') {
            skip_escape(p);
        } else {
            p->at++;
        }
    }
    return (rp_view){start, (size_t)(p->at - start)};
}

static rp_view read_value(parser *p)
{
    rp_view raw;

    if (!accept(p, "=")) {
        wrong(p, "expected '='");
    }
    raw = read_raw(p, "\n");
    expect_end(p);
    return raw;
}

/* Comments are nothing anywhere, empty lines end what is indented. */
static bool skip_comment(parser *p)
{
    const char *c = p->at + strspn(p->at, " ");

    if (*c != '#') {
        return false;
    }
    c += strcspn(c, "\n");
    p->at = *c == '\n' ? c + 1 : c;
    return true;
}

static bool is_empty_line(const parser *p)
{
    const char *c = p->at + strspn(p->at, " ");

    return *c == '\n' || c == p->end;
}

/* The indented lines that follow, raw; the last one first. */
static mm_binding *read_bindings(parser *p)
{
    mm_binding *bindings = NULL;

    while (p->at < p->end) {
        mm_binding *fresh;

        if (skip_comment(p)) {
            continue;
        }
        if (*p->at != ' ' || is_empty_line(p)) {
            break;
        }
        skip_blanks(p);
        fresh = mm_new(p->graph, sizeof *fresh);
        fresh->name = read_name(p, "variable name");
        fresh->value = read_value(p);
        fresh->next = bindings;
        bindings = fresh;
    }
    return bindings;
}

static rp_view expand(parser *p, rp_view raw, const mm_scope *scope, const mm_step *step)
{
    const mm_env env = {.scope = scope, .step = step};

    p->scratch.size = 0;
    mm_expand(&p->scratch, raw, &env);
    return (rp_view){p->scratch.data, p->scratch.size};
}

static mm_file *to_file(parser *p, rp_view raw, const mm_step *step)
{
    rp_view name = expand(p, raw, p->scope, step);

    if (name.size == 0) {
        wrong(p, "empty path");
    }
    return mm_file_get(p->graph, name);
}

/* ---- rules, pools, variables ------------------------------------------------- */

/* Found rules move to the front: build statements of one kind stand together. */
static mm_rule *find_rule_in(mm_scope *scope, rp_view name)
{
    for (mm_rule **link = &scope->rules; *link != NULL; link = &(*link)->next) {
        mm_rule *rule = *link;

        if (mm_same(rule->name, name)) {
            *link = rule->next;
            rule->next = scope->rules;
            scope->rules = rule;
            return rule;
        }
    }
    return NULL;
}

static const mm_rule *find_rule(mm_scope *scope, rp_view name)
{
    const mm_rule *rule = NULL;

    for (; rule == NULL && scope != NULL; scope = scope->parent) {
        rule = find_rule_in(scope, name);
    }
    return rule;
}

static bool is_rule_variable(rp_view name)
{
    static const char *const names[] = {"command",   "depfile", "deps",    "description",    "pool",
                                        "generator", "restat",  "rspfile", "rspfile_content"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (mm_same(name, mm_view(names[i]))) {
            return true;
        }
    }
    return false;
}

static void parse_rule(parser *p)
{
    mm_rule *rule = mm_new(p->graph, sizeof *rule);
    bool has_command = false;

    rule->name = read_name(p, "rule name");
    if (find_rule_in(p->scope, rule->name) != NULL) {
        wrong(p, "duplicate rule '%.*s'", (int)rule->name.size, rule->name.data);
    }
    expect_end(p);
    rule->bindings = read_bindings(p);
    for (const mm_binding *b = rule->bindings; b != NULL; b = b->next) {
        if (mm_same(b->name, mm_view("dyndep"))) {
            wrong(p, "dyndep is not supported");
        }
        if (!is_rule_variable(b->name)) {
            wrong(p, "unexpected variable '%.*s'", (int)b->name.size, b->name.data);
        }
        has_command = has_command || mm_same(b->name, mm_view("command"));
    }
    if (!has_command) {
        wrong(p, "expected 'command =' line");
    }
    rule->next = p->scope->rules;
    p->scope->rules = rule;
}

static mm_pool *find_pool(mm_graph *graph, rp_view name)
{
    mm_pool *pool = graph->pools;

    while (pool != NULL && !mm_same(pool->name, name)) {
        pool = pool->next;
    }
    return pool;
}

static void parse_pool(parser *p)
{
    mm_pool *pool = mm_new(p->graph, sizeof *pool);
    const mm_binding *depth;
    const char *text;
    char *end;

    pool->name = read_name(p, "pool name");
    if (find_pool(p->graph, pool->name) != NULL) {
        wrong(p, "duplicate pool '%.*s'", (int)pool->name.size, pool->name.data);
    }
    expect_end(p);
    depth = read_bindings(p);
    if (depth == NULL || depth->next != NULL || !mm_same(depth->name, mm_view("depth"))) {
        wrong(p, "expected 'depth =' line");
    }
    text = expand(p, depth->value, p->scope, NULL).data;
    errno = 0;
    pool->depth = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0) {
        wrong(p, "invalid pool depth");
    }
    pool->next = p->graph->pools;
    p->graph->pools = pool;
}

static void parse_variable(parser *p, rp_view name)
{
    rp_view value = expand(p, read_value(p), p->scope, NULL);
    mm_binding *binding = p->scope->bindings;

    while (binding != NULL && !mm_same(binding->name, name)) {
        binding = binding->next;
    }
    if (binding == NULL) {
        binding = mm_new(p->graph, sizeof *binding);
        *binding = (mm_binding){.name = name, .next = p->scope->bindings};
        p->scope->bindings = binding;
    }
    binding->value = mm_keep(p->graph, value);
}

/* ---- build statements -------------------------------------------------------- */

/* How many came. */
static size_t read_paths(parser *p, raw_paths *paths)
{
    size_t before = paths->count;

    for (;;) {
        rp_view raw = read_raw(p, " :|\n");

        if (raw.size == 0) {
            return paths->count - before;
        }
        if (paths->count == paths->room) {
            rp_view *old = paths->items;

            paths->room = 2 * paths->room + 16;
            paths->items = mm_new(p->graph, paths->room * sizeof *old);
            if (paths->count > 0) {
                memcpy(paths->items, old, paths->count * sizeof *old);
            }
        }
        paths->items[paths->count++] = raw;
        skip_blanks(p);
    }
}

/* A rule's or step's variable that is a switch, or names something. */
static rp_view value_of(parser *p, const mm_step *step, const char *name)
{
    return mm_variable(&p->scratch, step, name, false) ? (rp_view){p->scratch.data, p->scratch.size}
                                                       : (rp_view){"", 0};
}

static void read_settings(parser *p, mm_step *step)
{
    rp_view value = value_of(p, step, "pool");

    if (value.size > 0) {
        step->pool = find_pool(p->graph, value);
        if (step->pool == NULL) {
            wrong(p, "unknown pool name '%s'", value.data);
        }
    }
    value = value_of(p, step, "deps");
    step->keeps_deps = mm_same(value, mm_view("gcc"));
    if (value.size > 0 && !step->keeps_deps) {
        wrong(p, "unknown deps type '%s'", value.data);
    }
    if (value_of(p, step, "dyndep").size > 0) {
        wrong(p, "dyndep is not supported");
    }
    step->restat = value_of(p, step, "restat").size > 0;
    step->generator = value_of(p, step, "generator").size > 0;
}

static void add_outs(parser *p, mm_step *step, const rp_view *raw, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mm_file *file = to_file(p, raw[i], step);

        if (file->maker != NULL) {
            wrong(p, "multiple rules generate %s", file->name.data);
        }
        file->maker = step;
        mm_files_add(p->graph, &step->outs, file);
    }
}

static void add_ins(parser *p, mm_step *step, const rp_view *raw, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mm_file *file = to_file(p, raw[i], step);

        file->is_used = true;
        mm_files_add(p->graph, &step->ins, file);
    }
}

/* The line "OUT... | OUT... : RULE IN... | IN... || IN..."; how many of the paths are outputs. */
static size_t read_build_line(parser *p, mm_step *step, raw_paths *paths)
{
    size_t outs;
    rp_view name;

    step->shown_outs = read_paths(p, paths);
    outs = step->shown_outs + (accept(p, "|") ? read_paths(p, paths) : 0);
    if (outs == 0) {
        wrong(p, "expected path");
    }
    if (!accept(p, ":")) {
        wrong(p, "expected ':'");
    }
    name = read_name(p, "build command name");
    if (!mm_same(name, mm_view("phony"))) {
        step->rule = find_rule(p->scope, name);
        if (step->rule == NULL) {
            wrong(p, "unknown build rule '%.*s'", (int)name.size, name.data);
        }
    }
    step->shown_ins = read_paths(p, paths);
    step->declared = step->shown_ins;
    if (p->at[0] == '|' && p->at[1] != '|' && p->at[1] != '@' && accept(p, "|")) {
        step->declared += read_paths(p, paths);
    }
    step->real = step->declared;
    if (accept(p, "||")) {
        (void)read_paths(p, paths); /* the rest */
    }
    if (p->at[0] == '|' && p->at[1] == '@') {
        wrong(p, "validations (|@) are not supported");
    }
    expect_end(p);
    return outs;
}

static void parse_build(parser *p)
{
    const char *start = p->at;
    mm_step *step = mm_new(p->graph, sizeof *step);
    raw_paths paths = {0};
    size_t outs = read_build_line(p, step, &paths);
    const mm_rule *rule = step->rule;
    const char *end;

    step->scope = p->scope;
    step->bindings = read_bindings(p);
    for (mm_binding *b = step->bindings; b != NULL; b = b->next) {
        b->value = mm_keep(p->graph, expand(p, b->value, p->scope, NULL));
    }
    end = p->at;
    p->at = start;     /* what is wrong from here on is told of the line where it begins */
    step->rule = NULL; /* paths see the step's own variables, but not the rule's */
    add_outs(p, step, paths.items, outs);
    add_ins(p, step, paths.items + outs, paths.count - outs);
    step->rule = rule;
    read_settings(p, step);
    p->at = end;
    if (p->graph->steps == NULL) {
        p->graph->steps = step;
    } else {
        p->graph->last_step->following = step;
    }
    p->graph->last_step = step;
}

static void parse_default(parser *p)
{
    raw_paths paths = {0};

    if (read_paths(p, &paths) == 0) {
        wrong(p, "expected target name");
    }
    for (size_t i = 0; i < paths.count; i++) {
        rp_view name = expand(p, paths.items[i], p->scope, NULL);
        mm_file *file = mm_file_find(p->graph, name);

        if (file == NULL) {
            wrong(p, "unknown target '%s'", name.data);
        }
        mm_files_add(p->graph, &p->graph->defaults, file);
    }
    expect_end(p);
}

/* ---- files ------------------------------------------------------------------- */

static void parse_include(parser *p, bool has_own_scope)
{
    mm_scope *scope = p->scope;
    const char *path;

    path = mm_keep(p->graph, expand(p, read_raw(p, " :|\n"), p->scope, NULL)).data;
    skip_blanks(p);
    if (p->depth == INCLUDE_DEPTH_MAX) {
        wrong(p, "includes are nested too deeply");
    }
    if (has_own_scope) {
        scope = mm_new(p->graph, sizeof *scope);
        scope->parent = p->scope;
    }
    parse_file(p, scope, path);
    expect_end(p);
}

static void parse_statement(parser *p)
{
    rp_view word;

    if (*p->at == ' ') {
        wrong(p, "unexpected indent");
    }
    word = read_name(p, "a statement");
    if (mm_same(word, mm_view("build"))) {
        parse_build(p);
    } else if (mm_same(word, mm_view("rule"))) {
        parse_rule(p);
    } else if (mm_same(word, mm_view("pool"))) {
        parse_pool(p);
    } else if (mm_same(word, mm_view("default"))) {
        parse_default(p);
    } else if (mm_same(word, mm_view("include"))) {
        parse_include(p, false);
    } else if (mm_same(word, mm_view("subninja"))) {
        parse_include(p, true);
    } else {
        parse_variable(p, word);
    }
}

/* `from` is the manifest that names this one, or one without a path. */
static void parse_file(parser *from, mm_scope *scope, const char *path)
{
    parser p = {.graph = from->graph, .scope = scope, .path = path, .depth = from->depth + 1};
    mm_text text = {0};
    rp_view kept;

    if (!mm_read(path, &text)) {
        if (from->path != NULL) {
            wrong(from, "loading '%s': %s", path, strerror(errno));
        }
        mm_fatal("loading '%s': %s", path, strerror(errno));
    }
    kept = mm_keep(p.graph, (rp_view){text.data, text.size});
    mm_text_free(&text);
    p.text = p.at = kept.data;
    p.end = kept.data + kept.size;
    if (memchr(kept.data, '\0', kept.size) != NULL) {
        p.at += strlen(kept.data);
        wrong(&p, "unexpected NUL byte");
    }
    while (p.at < p.end) {
        if (skip_comment(&p)) {
            continue;
        }
        if (is_empty_line(&p)) {
            p.at += strcspn(p.at, "\n");
            expect_end(&p);
        } else {
            parse_statement(&p);
        }
    }
    mm_text_free(&p.scratch);
}

void mm_manifest_load(mm_graph *graph, const char *path)
{
    parser none = {.graph = graph};

    parse_file(&none, graph->scope, path);
}
