/* Fuzzes the scanner (pty/scan.h): however a terminal's output is cut into chunks, its text, its
 * events and its churn must be those of the whole, and no memory but the body's is needed. The
 * first bytes of the input choose the cuts, the rest is the output. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "pty/scan.h"

#define HEAD_SIZE 3
#define BODY_SIZE 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was heard, summed up so that order and place count. */
typedef struct sum {
    uint64_t text;
    size_t text_size;
    uint64_t events;
    size_t churn;
} sum;

static uint64_t mix(uint64_t hash, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

static void on_text(rp_view text, void *user)
{
    sum *all = user;

    RP_ASSERT(text.size > 0);
    all->text = mix(all->text, text.data, text.size);
    all->text_size += text.size;
}

static void on_event(const rpi_scan_event *event, void *user)
{
    sum *all = user;
    const int32_t numbers[] = {(int32_t)event->kind, event->code, event->value, event->cut};

    RP_ASSERT(event->text.data != NULL && event->text.size <= BODY_SIZE);
    all->events = mix(all->events, (const char *)numbers, sizeof numbers);
    all->events = mix(all->events, event->text.data, event->text.size);
    all->events ^= all->text; /* at this place of the text */
}

/* `piece_max` 0: all at once. */
static sum scan_in_pieces(rp_view output, uint32_t random, size_t piece_max)
{
    sum all = {0};
    const rpi_scan_sink sink = {on_text, on_event, &all};
    char body[BODY_SIZE];
    rpi_churn churn = {0};
    rpi_scan scan;
    size_t at = 0;

    rpi_scan_init(&scan, body, sizeof body);
    while (at < output.size) {
        size_t piece;

        random = random * 1664525 + 1013904223;
        piece = piece_max == 0 ? output.size : 1 + (random >> 16) % piece_max;
        piece = piece < output.size - at ? piece : output.size - at;
        rpi_scan_feed(&scan, (rp_view){output.data + at, piece}, &sink);
        all.churn += rpi_churn_count(&churn, (rp_view){output.data + at, piece});
        at += piece;
    }
    return all;
}

/* In place, and without memory for events: the text is the same. */
static void strip(rp_view output, const sum *whole)
{
    char *text = malloc(output.size + 1);
    rpi_scan scan;
    size_t size;

    RP_ASSERT(text != NULL);
    memcpy(text, output.data, output.size);
    rpi_scan_init(&scan, NULL, 0);
    size = rpi_scan_strip(&scan, (rp_view){text, output.size}, text);
    RP_ASSERT(size == whole->text_size && mix(0, text, size) == whole->text);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sum whole;
    sum pieces;

    if (size <= HEAD_SIZE) {
        return 0;
    }
    const rp_view output = {(const char *)data + HEAD_SIZE, size - HEAD_SIZE};
    const uint32_t random = (uint32_t)data[0] + 256 * (uint32_t)data[1];

    whole = scan_in_pieces(output, 0, 0);
    pieces = scan_in_pieces(output, random, 1U + data[2]);
    RP_ASSERT(whole.text == pieces.text && whole.text_size == pieces.text_size);
    RP_ASSERT(whole.events == pieces.events && whole.churn == pieces.churn);
    strip(output, &whole);
    return 0;
}
