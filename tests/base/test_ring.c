/* The ring and its pool: bytes come out as they went in, whatever the order of operations, in
 * mirrored and linear memory; rings are reused, given back and not shared with a forked child. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os.h"
#include "base/ring.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"
#include "tests/support/seed.h"

#if defined(__SANITIZE_THREAD__)
#define IS_THREAD_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define IS_THREAD_SANITIZED true
#endif
#endif
#ifndef IS_THREAD_SANITIZED
#define IS_THREAD_SANITIZED false
#endif

enum {
    PAGE = 4096,
    RING = 64 * 1024
};

static rpi_ring_pool *open_pool(const rp_allocator *allocator, size_t ring_size)
{
    rpi_ring_pool *pool = NULL;

    cr_assert_eq(rpi_ring_pool_open(allocator, ring_size, &pool), 0);
    return pool;
}

static rpi_ring open_ring(rpi_ring_pool *pool, size_t size)
{
    rpi_ring ring = {0};

    cr_assert_eq(rpi_ring_open(pool, size, &ring), 0);
    return ring;
}

/** Puts `size` bytes that all are `byte` into the ring. */
static void fill(rpi_ring *ring, uint32_t size, int byte)
{
    char *memory = NULL;
    const uint32_t room = rpi_ring_reserve(ring, &memory);

    cr_assert_geq(room, size);
    memset(memory, byte, size);
    rpi_ring_commit(ring, size);
}

static unsigned count_maps(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned count = 0;
    int byte;

    cr_assert_not_null(maps);
    while ((byte = fgetc(maps)) != EOF) {
        count += byte == '\n' ? 1 : 0;
    }
    cr_assert_eq(fclose(maps), 0);
    return count;
}

static int count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    }
    return count;
}

/* Whether each page of a range is in memory. */
static size_t count_resident(const char *memory, size_t size)
{
    static unsigned char pages[RING * 2 / PAGE];
    size_t count = 0;

    cr_assert_leq(size, sizeof pages * PAGE);
    cr_assert_eq(mincore((void *)(uintptr_t)memory, size, pages), 0);
    for (size_t i = 0; i < size / PAGE; i++) {
        count += pages[i] & 1U;
    }
    return count;
}

/* ---- against a model ---------------------------------------------------------- */

/** A ring as anybody would write it: the bytes are numbers that count up; only how many is kept. */
typedef struct model {
    uint32_t written; /* numbers put in so far */
    uint32_t read;    /* and taken out */
} model;

static uint8_t number(uint32_t index)
{
    return (uint8_t)((index * 2654435761U) >> 24);
}

static void check_view(const rpi_ring *ring, const model *expected)
{
    const uint8_t *view = (const uint8_t *)rpi_ring_peek(ring);

    cr_assert_eq(ring->count, expected->written - expected->read);
    for (uint32_t i = 0; i < ring->count; i++) {
        if (view[i] != number(expected->read + i)) {
            cr_assert_fail("byte %u of the stream is wrong", expected->read + i);
        }
    }
}

/** One random step: consume some, or reserve and (perhaps after consuming, as the kernel fills
 * while the loop reads) commit some. */
static void step(rpi_ring *ring, model *expected)
{
    char *memory = NULL;
    uint32_t room;
    uint32_t size;

    if (rand() % 2 == 0) {
        size = ring->count == 0 ? 0 : (uint32_t)rand() % (ring->count + 1);
        rpi_ring_consume(ring, size);
        expected->read += size;
        return;
    }
    room = rpi_ring_reserve(ring, &memory);
    cr_assert_eq(room, ring->size - (expected->written - expected->read));
    if (room == 0) {
        cr_assert_not(ring->reserved);
        return;
    }
    if (rand() % 4 == 0) { // everything, also the last byte, while memory is out
        rpi_ring_consume(ring, ring->count);
        expected->read = expected->written;
    }
    size = rand() % 8 == 0 ? room : (uint32_t)rand() % (room + 1);
    for (uint32_t i = 0; i < size; i++) {
        memory[i] = (char)number(expected->written + i);
    }
    check_view(ring, expected); // what is unread does not change under the fill
    rpi_ring_commit(ring, size);
    expected->written += size;
}

static void run_against_model(rpi_ring_pool *pool, size_t size, unsigned steps)
{
    rpi_ring ring = open_ring(pool, size);
    model expected = {0, 0};

    for (unsigned i = 0; i < steps; i++) {
        step(&ring, &expected);
        check_view(&ring, &expected);
        cr_assert_leq(ring.touched, ring.size);
    }
    cr_assert_gt(expected.read, ring.size * 4, "the ring went round");
    rpi_ring_close(pool, &ring);
}

Test(ring, agrees_with_a_model_when_mirrored, .timeout = 60)
{
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), PAGE);
    rpi_ring ring = open_ring(pool, 0);

    cr_assert(ring.mirrored);
    rpi_ring_close(pool, &ring);
    rpi_seed_random();
    run_against_model(pool, 0, 3000);
    run_against_model(pool, (size_t)4 * PAGE, 1000); // not the pool's size: mapped alone
    rpi_ring_pool_close(pool);
}

Test(ring, agrees_with_a_model_when_linear, .timeout = 60)
{
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), PAGE);
    rpi_ring ring;

    rpi_fault_os_start();
    rpi_fault_os_fail("memfd_create", RPI_FAULT_EVERY, ENOSYS);
    ring = open_ring(pool, 0);
    cr_assert_not(ring.mirrored);
    cr_assert_eq(ring.origin, RPI_RING_POOLED);
    rpi_ring_close(pool, &ring);
    ring = open_ring(pool, (size_t)2 * PAGE);
    cr_assert_not(ring.mirrored);
    cr_assert_eq(ring.origin, RPI_RING_MAPPED);
    rpi_ring_close(pool, &ring);
    rpi_seed_random();
    run_against_model(pool, 0, 3000);
    run_against_model(pool, (size_t)4 * PAGE, 1000);
    rpi_ring_pool_close(pool);
}

/* ---- views and bookkeeping ------------------------------------------------------ */

Test(ring, hands_out_one_view_across_the_wrap)
{
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), PAGE);
    rpi_ring ring = open_ring(pool, 0);
    const char *before;

    fill(&ring, PAGE - 2, 'a');
    rpi_ring_consume(&ring, PAGE - 4);
    fill(&ring, 6, 'b'); // the first two of them end at the last byte
    before = rpi_ring_peek(&ring);
    cr_assert_eq(ring.count, 8);
    cr_assert_eq(memcmp(before, "aabbbbbb", 8), 0);
    rpi_ring_consume(&ring, 8);
    cr_assert_eq(memcmp(before, "aabbbbbb", 8), 0, "consumed bytes stay until the next reserve");
    rpi_ring_close(pool, &ring);
    rpi_ring_pool_close(pool);
}

Test(ring, gives_all_of_itself_from_any_place)
{
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), PAGE);
    rpi_ring ring = open_ring(pool, 0);
    char *memory = NULL;

    fill(&ring, 100, 'x');
    cr_assert_eq(rpi_ring_reserve(&ring, &memory), PAGE - 100);
    rpi_ring_consume(&ring, 100); // empty, but memory is out: the place stays
    memset(memory, 'y', PAGE - 100);
    rpi_ring_commit(&ring, PAGE - 100);
    fill(&ring, 100, 'z');
    cr_assert_eq(rpi_ring_free(&ring), 0);
    cr_assert_eq(rpi_ring_reserve(&ring, &memory), 0);
    cr_assert_not(ring.reserved);
    cr_assert_eq(rpi_ring_peek(&ring)[PAGE - 101], 'y');
    cr_assert_eq(rpi_ring_peek(&ring)[PAGE - 100], 'z');
    cr_assert_eq(rpi_ring_peek(&ring)[PAGE - 1], 'z');
    rpi_ring_consume(&ring, PAGE);
    rpi_ring_close(pool, &ring);
    rpi_ring_pool_close(pool);
}

Test(ring, starts_over_when_empty)
{
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    rpi_ring ring = open_ring(pool, 0);
    char *memory = NULL;

    for (int i = 0; i < 1000; i++) { // short messages, far more than a ring in all
        fill(&ring, 1000, i);
        rpi_ring_consume(&ring, 1000);
    }
    cr_assert_eq(ring.touched, 1000);
    cr_assert_eq(count_resident(ring.memory, ring.size), 1);
    // Also after a reservation into which nothing came.
    fill(&ring, 10, 'a');
    cr_assert_gt(rpi_ring_reserve(&ring, &memory), 0);
    rpi_ring_consume(&ring, 10);
    rpi_ring_commit(&ring, 0);
    cr_assert_eq(ring.head, 0);
    rpi_ring_close(pool, &ring);
    rpi_ring_pool_close(pool);
}

Test(ring, rounds_sizes_up_and_refuses_huge_ones)
{
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), 0);
    rpi_ring ring = {0};

    cr_assert_eq(rpi_ring_pool_ring_size(pool), RING);
    cr_assert_eq(rpi_ring_open(pool, 1, &ring), 0);
    cr_assert_eq(ring.size, (uint32_t)sysconf(_SC_PAGESIZE));
    rpi_ring_close(pool, &ring);
    cr_assert_not(rpi_ring_is_open(&ring));
    cr_assert_eq(rpi_ring_open(pool, RING + 1, &ring), 0);
    cr_assert_eq(ring.size, 2 * RING);
    rpi_ring_close(pool, &ring);
    cr_assert_eq(rpi_ring_open(pool, RING - 1, &ring), 0);
    cr_assert_eq(ring.origin, RPI_RING_POOLED);
    rpi_ring_close(pool, &ring);
    cr_assert_eq(rpi_ring_open(pool, RPI_RING_SIZE_MAX + 1, &ring), -EINVAL);
    cr_assert_not(rpi_ring_is_open(&ring));
    rpi_ring_pool_close(pool);
    cr_assert_eq(rpi_ring_pool_open(rpi_alloc_default(), SIZE_MAX, &pool), -EINVAL);
}

Test(ring, holds_up_to_a_gibibyte)
{
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    rpi_ring ring = {0};
    int r = rpi_ring_open(pool, RPI_RING_SIZE_MAX, &ring);

    cr_assert_eq(r, 0);
    fill(&ring, 1, 'a');
    rpi_ring_consume(&ring, 1);
    rpi_ring_close(pool, &ring);
    rpi_ring_pool_close(pool);
    pool = open_pool(rpi_alloc_default(), RPI_RING_SIZE_MAX); // as the pool's own size, too
    cr_assert_eq(rpi_ring_open(pool, 0, &ring), 0);
    rpi_ring_close(pool, &ring);
    rpi_ring_pool_close(pool);
}

Test(ring, closing_twice_and_closing_nothing_is_harmless)
{
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    rpi_ring ring = {0};

    rpi_ring_close(pool, &ring);
    ring = open_ring(pool, 0);
    rpi_ring_close(pool, &ring);
    rpi_ring_close(pool, &ring);
    rpi_ring_pool_close(pool);
    rpi_ring_pool_close(NULL);
}

Test(ring, closed_with_memory_out_is_an_assertion, .signal = SIGABRT)
{
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    rpi_ring ring = open_ring(pool, 0);
    char *memory = NULL;

    cr_assert_gt(rpi_ring_reserve(&ring, &memory), 0);
    rpi_ring_close(pool, &ring);
}

Test(ring, committing_too_much_is_an_assertion, .signal = SIGABRT)
{
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    rpi_ring ring = open_ring(pool, 0);
    char *memory = NULL;

    rpi_ring_commit(&ring, rpi_ring_reserve(&ring, &memory) + 1);
}

/* ---- the pool ------------------------------------------------------------------- */

Test(ring_pool, hands_out_the_ring_that_came_back_last)
{
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    rpi_ring rings[8] = {{0}};
    char *memory[8];

    for (int i = 0; i < 8; i++) {
        rings[i] = open_ring(pool, 0);
        fill(&rings[i], 10, i);
        memory[i] = rings[i].memory;
    }
    cr_assert_eq(rpi_ring_pool_used_bytes(pool), 8 * RING);
    for (int i = 0; i < 8; i++) {
        rpi_ring_close(pool, &rings[i]);
    }
    cr_assert_eq(rpi_ring_pool_used_bytes(pool), 0);
    for (int i = 7; i >= 0; i--) {
        rings[i] = open_ring(pool, 0);
        cr_assert_eq(rings[i].memory, memory[i]);
        cr_assert_eq(rings[i].count, 0);
    }
    for (int i = 0; i < 8; i++) {
        rpi_ring_close(pool, &rings[i]);
    }
    rpi_ring_pool_close(pool);
}

Test(ring_pool, rings_do_not_overlap)
{
    enum {
        COUNT = 700
    }; // more than a region
    static rpi_ring rings[COUNT];
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);

    for (int i = 0; i < COUNT; i++) {
        rings[i] = open_ring(pool, 0);
        fill(&rings[i], RING, i % 251);
    }
    for (int i = 0; i < COUNT; i++) {
        const char *view = rpi_ring_peek(&rings[i]);

        cr_assert_eq((unsigned char)view[0], i % 251);
        cr_assert_eq(memcmp(view, view + 1, RING - 1), 0, "all its bytes are the same");
        cr_assert_eq(memcmp(view, view + RING, RING), 0, "the second mapping shows the same");
    }
    for (int i = 0; i < COUNT; i++) {
        rpi_ring_consume(&rings[i], RING);
        rpi_ring_close(pool, &rings[i]);
    }
    rpi_ring_pool_close(pool);
}

Test(ring_pool, untouched_rings_hold_no_pages_and_unused_ones_few)
{
    enum {
        COUNT = 200
    };
    static rpi_ring rings[COUNT];
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    size_t held = 0;

    for (int i = 0; i < COUNT; i++) {
        rings[i] = open_ring(pool, 0);
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(count_resident(rings[i].memory, RING), 0);
        fill(&rings[i], RING, 'a');
        rpi_ring_consume(&rings[i], RING);
    }
    for (int i = 0; i < COUNT; i++) {
        char *memory = rings[i].memory;

        rpi_ring_close(pool, &rings[i]);
        held += count_resident(memory, RING) * PAGE;
    }
    cr_assert_eq(held, 4 << 20, "the warm reserve, and the rest was given back: %zu", held);
    for (int i = 0; i < COUNT; i++) { // warm ones first, then those without pages
        rings[i] = open_ring(pool, 0);
        cr_assert_eq(count_resident(rings[i].memory, RING) * PAGE, i < 64 ? RING : 0);
    }
    for (int i = 0; i < COUNT; i++) {
        rpi_ring_close(pool, &rings[i]);
    }
    rpi_ring_pool_close(pool);
}

Test(ring_pool, linear_rings_give_their_pages_back_too)
{
    enum {
        COUNT = 80
    };
    static rpi_ring rings[COUNT];
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    size_t held = 0;

    rpi_fault_os_start();
    rpi_fault_os_fail("memfd_create", 1, ENOSYS);
    for (int i = 0; i < COUNT; i++) {
        rings[i] = open_ring(pool, 0);
        cr_assert_not(rings[i].mirrored);
        fill(&rings[i], RING, 'a');
        rpi_ring_consume(&rings[i], RING);
    }
    cr_assert_eq(rpi_fault_os_calls("memfd_create"), 1, "a lasting refusal is not asked again");
    for (int i = 0; i < COUNT; i++) {
        char *memory = rings[i].memory;

        rpi_ring_close(pool, &rings[i]);
        held += count_resident(memory, RING) * PAGE;
    }
    cr_assert_eq(held, 4 << 20);
    rpi_ring_pool_close(pool);
}

Test(ring_pool, costs_one_map_entry_a_ring, .timeout = 120)
{
    enum {
        COUNT = 20000
    };
    const unsigned before = count_maps();
    const int descriptors = count_descriptors();
    rpi_ring *rings = calloc(COUNT, sizeof *rings);
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    unsigned during;

    cr_assert_not_null(rings);
    for (int i = 0; i < COUNT; i++) {
        rings[i] = open_ring(pool, 0);
        cr_assert(rings[i].mirrored);
    }
    during = count_maps();
    cr_log_info("%d rings: %u map entries", (int)COUNT, during - before);
    cr_assert_leq(during - before, COUNT + COUNT / 50);
    cr_assert_eq(count_descriptors(), descriptors + 1);
    cr_assert_eq(rpi_ring_pool_used_bytes(pool), (size_t)COUNT * RING);
    fill(&rings[0], 10, 'a');
    fill(&rings[COUNT - 1], 10, 'a');
    for (int i = 0; i < COUNT; i++) {
        rpi_ring_close(pool, &rings[i]);
    }
    rpi_ring_pool_close(pool);
    cr_assert_leq(count_maps(), before + COUNT / 100, "the test's and a sanitizer's own");
    cr_assert_eq(count_descriptors(), descriptors);
    free(rings);
}

/** Whether a forked child dies of touching the memory. */
static bool is_missing_in_child(volatile char *memory)
{
    int status = 0;
    const pid_t child = fork();

    cr_assert_geq(child, 0);
    if (child == 0) {
        const struct sigaction by_default = {.sa_handler = SIG_DFL};

        (void)sigaction(SIGSEGV, &by_default, NULL); // sanitizers and Criterion would report it
        *memory = 'x';
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

Test(ring_pool, is_not_shared_with_a_forked_child, .timeout = 60)
{
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    rpi_ring pooled = open_ring(pool, 0);
    rpi_ring alone = open_ring(pool, 2 * RING);

    cr_assert(pooled.mirrored && alone.mirrored);
    fill(&pooled, 10, 'a');
    cr_assert(is_missing_in_child(pooled.memory));
    cr_assert(is_missing_in_child(pooled.memory + RING));
    cr_assert(is_missing_in_child(alone.memory));
    cr_assert(is_missing_in_child(alone.memory + 2 * RING));
    cr_assert_eq(rpi_ring_peek(&pooled)[0], 'a');
    rpi_ring_close(pool, &pooled);
    rpi_ring_close(pool, &alone);
    rpi_ring_pool_close(pool);
}

Test(ring_pool, closed_in_a_forked_child_unmaps_nothing, .timeout = 60)
{
    rpi_fault_memory memory;
    rpi_ring_pool *pool;
    rpi_ring pooled;
    rpi_ring alone;
    pid_t child;
    int status = 0;

    rpi_fault_memory_init(&memory, 0);
    pool = open_pool(&memory.allocator, RING);
    pooled = open_ring(pool, 0);
    alone = open_ring(pool, 2 * RING);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        // Where the rings were, the child has something of its own.
        char *own = mmap(pooled.memory, RING, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

        own[0] = 'o';
        rpi_ring_pool_forked(pool);
        rpi_ring_close(pool, &pooled);
        rpi_ring_close(pool, &alone);
        rpi_ring_pool_close(pool);
        _exit(own[0] == 'o' && memory.live_blocks == 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0);
    fill(&pooled, 10, 'a'); // and the parent's are as they were
    rpi_ring_consume(&pooled, 10);
    rpi_ring_close(pool, &pooled);
    rpi_ring_close(pool, &alone);
    rpi_ring_pool_close(pool);
    cr_assert_eq(memory.live_blocks, 0);
}

Test(ring_pool, keeps_below_a_limit_on_file_sizes, .timeout = 60)
{
    struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    rpi_ring ring;

    // To grow a file beyond it would kill the host with SIGXFSZ.
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ring = open_ring(pool, 0);
    cr_assert_not(ring.mirrored);
    fill(&ring, RING, 'a');
    rpi_ring_close(pool, &ring);
    rpi_ring_pool_close(pool);
}

Test(ring_pool, puts_its_file_above_the_standard_streams, .timeout = 60)
{
    int descriptors[3];
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    rpi_ring ring;

    for (int i = 0; i < 3; i++) {
        descriptors[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        cr_assert_geq(descriptors[i], 0);
        cr_assert_eq(close(i), 0);
    }
    ring = open_ring(pool, 0);
    for (int i = 0; i < 3; i++) {
        const bool is_free = fcntl(i, F_GETFD) < 0;

        cr_assert_eq(dup2(descriptors[i], i), i);
        cr_assert(is_free);
    }
    cr_assert(ring.mirrored);
    rpi_ring_close(pool, &ring);
    rpi_ring_pool_close(pool);
}

/* ---- what goes wrong -------------------------------------------------------------- */

/** Opens rings until all kinds of growth have happened, uses and closes them. The first error, or
 * 0. */
static int exercise(const rp_allocator *allocator)
{
    enum {
        COUNT = 40
    };
    rpi_ring rings[COUNT] = {{0}};
    rpi_ring_pool *pool = NULL;
    int r = rpi_ring_pool_open(allocator, RING, &pool);

    if (r < 0) {
        return r;
    }
    for (int i = 0; i < COUNT && r == 0; i++) {
        r = rpi_ring_open(pool, i % 8 == 7 ? 2 * RING : 0, &rings[i]);
        if (r == 0) {
            fill(&rings[i], RING, i);
            cr_assert_eq(memcmp(rpi_ring_peek(&rings[i]), rpi_ring_peek(&rings[i]) + 1, RING - 1),
                         0);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        rpi_ring_close(pool, &rings[i]);
    }
    rpi_ring_pool_close(pool);
    return r;
}

Test(ring_pool, survives_each_failing_allocation, .timeout = 60)
{
    for (unsigned n = 1;; n++) {
        rpi_fault_memory memory;
        int r;

        rpi_fault_memory_init(&memory, n);
        r = exercise(&memory.allocator);
        cr_assert_eq(memory.live_blocks, 0);
        if (!memory.fired) {
            cr_assert_eq(r, 0);
            cr_assert_gt(n, 3, "there is more than one to fail");
            break;
        }
        cr_assert(r == 0 || r == -ENOMEM); // 0: a linear ring took less
    }
}

/** Runs the exercise with each call of an entry failing in turn. How many were made to fail. */
static unsigned fail_each(const char *entry, int error)
{
    for (unsigned n = 1;; n++) {
        rpi_fault_memory memory;

        rpi_fault_memory_init(&memory, 0);
        rpi_fault_os_start();
        rpi_fault_os_fail(entry, n, error);
        // Whatever is refused once: the rings work, mirrored or not.
        cr_assert_eq(exercise(&memory.allocator), 0, "%s %u, error %d", entry, n, error);
        cr_assert_eq(memory.live_blocks, 0);
        if (!rpi_fault_os_fired()) {
            return n - 1;
        }
    }
}

Test(ring_pool, survives_each_failing_system_call, .timeout = 120)
{
    static const char *const entries[] = {"mmap",      "madvise",   "memfd_create",
                                          "ftruncate", "getrlimit", "close"};
    const int errors[] = {ENOMEM, EPERM};
    const int descriptors = count_descriptors();
    unsigned maps;

    cr_assert_eq(fail_each("fallocate", EOPNOTSUPP), 0, "nothing is given back here");
    maps = count_maps();
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++) {
            cr_assert_geq(fail_each(entries[i], errors[e]), 1, "%s is never called", entries[i]);
        }
    }
    cr_assert_leq(count_maps(), maps + 100, "the test's own memory; a leak would be many");
    cr_assert_geq(fail_each("munmap", ENOMEM), 1); // the addresses stay taken
    rpi_fault_os_stop();
    cr_assert_eq(count_descriptors(), descriptors);
}

Test(ring_pool, keeps_pages_that_cannot_be_given_back, .timeout = 60)
{
    enum {
        COUNT = 80
    };
    static rpi_ring rings[COUNT];
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);

    rpi_fault_os_start();
    rpi_fault_os_fail("fallocate", RPI_FAULT_EVERY, EOPNOTSUPP);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            rings[i] = open_ring(pool, 0);
            fill(&rings[i], RING, round);
        }
        for (int i = 0; i < COUNT; i++) {
            cr_assert_eq(rpi_ring_peek(&rings[i])[RING - 1], round);
            rpi_ring_close(pool, &rings[i]);
        }
    }
    cr_assert_gt(rpi_fault_os_calls("fallocate"), 0);
    rpi_ring_pool_close(pool);
}

Test(ring_pool, does_not_grow_while_the_map_is_full, .timeout = 60)
{
    rpi_fault_memory memory;
    rpi_ring_pool *pool;
    size_t bytes;

    rpi_fault_memory_init(&memory, 0);
    pool = open_pool(&memory.allocator, RING);
    rpi_fault_os_start();
    for (int i = 0; i < 100; i++) {
        rpi_ring ring = {0};

        rpi_fault_os_fail("mmap", 2, ENOMEM); // the addresses are there, the mapping is not
        ring = open_ring(pool, 0);
        cr_assert_eq(ring.origin, RPI_RING_POOLED);
        cr_assert_not(ring.mirrored, "round %d", i);
        rpi_ring_close(pool, &ring);
        if (i == 0) {
            bytes = memory.live_bytes;
            rpi_fault_os_fail("mmap", RPI_FAULT_EVERY, ENOMEM);
        }
    }
    cr_assert_eq(memory.live_bytes, bytes);
    rpi_ring_pool_close(pool);
    cr_assert_eq(memory.live_blocks, 0);
}

/** Opens `count` rings or fewer, checks that each holds its bytes, closes them: how many there
 * were, and how many of them mirrored. */
static int use_rings(rpi_ring_pool *pool, rpi_ring *rings, int count, int *ret_mirrored)
{
    int opened = 0;

    *ret_mirrored = 0;
    while (opened < count) {
        rings[opened] = (rpi_ring){0};
        if (rpi_ring_open(pool, 0, &rings[opened]) < 0) {
            break;
        }
        fill(&rings[opened], RING, opened);
        *ret_mirrored += rings[opened].mirrored ? 1 : 0;
        opened++;
    }
    for (int i = 0; i < opened; i++) {
        cr_assert_eq((unsigned char)rpi_ring_peek(&rings[i])[RING - 1], i);
        rpi_ring_close(pool, &rings[i]);
    }
    return opened;
}

Test(ring_pool, goes_on_when_the_map_is_nearly_full, .timeout = 120)
{
    enum {
        FILLERS = 70000,
        SPARE = 8,
        COUNT = 50
    };
    static rpi_ring rings[COUNT];
    static void *fillers[FILLERS];
    rpi_ring_pool *pool = open_pool(rpi_alloc_default(), RING);
    rpi_ring_pool *late = open_pool(rpi_alloc_default(), RING);
    int filled = 0;
    int mirrored;

    if (IS_THREAD_SANITIZED) {
        cr_skip("ThreadSanitizer itself does not survive a full map");
    }
    cr_assert_eq(use_rings(pool, rings, 1, &mirrored), 1); // has its room for slots from here on
    cr_assert_eq(mirrored, 1);
    // Entries that cannot be merged, as their neighbours' protection differs.
    while (filled < FILLERS) {
        fillers[filled] = mmap(NULL, PAGE, filled % 2 == 0 ? PROT_READ : PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (fillers[filled] == MAP_FAILED) {
            break;
        }
        filled++;
    }
    if (filled == FILLERS) {
        cr_skip("vm.max_map_count is larger than this test fills");
    }
    // Full: what is mapped goes on, more is an error.
    cr_assert_lt(use_rings(late, rings, COUNT, &mirrored), COUNT);
    cr_assert_geq(use_rings(pool, rings, COUNT, &mirrored), 16);
    // Nearly full: linear rings, which need no entry each.
    for (int i = 1; i <= SPARE; i++) {
        cr_assert_eq(munmap(fillers[filled - i], PAGE), 0);
    }
    cr_assert_eq(use_rings(late, rings, COUNT, &mirrored), COUNT);
    cr_assert_lt(mirrored, COUNT);
    rpi_ring_pool_close(pool);
    rpi_ring_pool_close(late);
}
