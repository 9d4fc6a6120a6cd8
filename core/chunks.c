/* The order of what is captured (rp_command.capture_order): one entry for each read, of either
 * stream, with its place in that stream, its number and its time. The bytes themselves are in the
 * captures. Called by stream.c. Where there is no memory for an entry, the last one of the same
 * stream grows: bytes stay reachable, their times become coarser. */
#include <string.h>

#include "base/status.h"
#include "core/loop.h"
#include "core/process.h"

typedef struct entry {
    uint64_t offset; /* in its stream */
    uint64_t seq;
    uint64_t time_ns;
    uint32_t size;
    uint32_t stream; /* index */
} entry;

struct rpi_chunks {
    entry *entries;
    size_t count;
    size_t capacity;
    uint64_t seq;
};

size_t rpi_chunks_size(void)
{
    return sizeof(rpi_chunks);
}

void rpi_chunks_init(rpi_chunks *chunks)
{
    *chunks = (rpi_chunks){0};
}

static bool grow(rp_process *process)
{
    rpi_chunks *chunks = process->chunks;
    rp_loop *loop = process->loop;
    size_t capacity = chunks->capacity == 0 ? 16 : 2 * chunks->capacity;
    entry *entries;

    if (chunks->count < chunks->capacity) {
        return true;
    }
    if (loop->memory_max != 0 && loop->budget.used + capacity * sizeof(entry) > loop->memory_max) {
        return false;
    }
    entries = rpi_resize(&loop->allocator, chunks->entries, chunks->capacity * sizeof(entry),
                         capacity * sizeof(entry));
    if (entries == NULL) {
        return false;
    }
    loop->budget.used += (capacity - chunks->capacity) * sizeof(entry);
    chunks->entries = entries;
    chunks->capacity = capacity;
    return true;
}

void rpi_chunks_add(rp_process *process, rpi_stream *stream, uint32_t size)
{
    rpi_chunks *chunks = process->chunks;
    uint64_t total = stream->index == 0 ? process->exit.out_bytes : process->exit.err_bytes;

    chunks->seq++;
    if (!grow(process)) {
        for (size_t i = chunks->count; i > 0; i--) {
            entry *last = &chunks->entries[i - 1];

            if (last->stream == stream->index && last->size <= UINT32_MAX - size) {
                last->size += size;
                return;
            }
        }
        return;
    }
    chunks->entries[chunks->count++] = (entry){.offset = total - size,
                                               .seq = chunks->seq,
                                               .time_ns = process->loop->reactor.now_ns,
                                               .size = size,
                                               .stream = stream->index};
}

void rpi_chunks_fini(rp_process *process)
{
    rpi_chunks *chunks = process->chunks;

    process->loop->budget.used -= chunks->capacity * sizeof(entry);
    rpi_free(&process->loop->allocator, chunks->entries, chunks->capacity * sizeof(entry));
    *chunks = (rpi_chunks){0};
}

bool rpi_chunks_place(const rp_process *process, size_t index, rpi_chunk_place *ret_place)
{
    const rpi_chunks *chunks = process->chunks;

    if (chunks == NULL || index >= chunks->count) {
        return false;
    }
    *ret_place =
        (rpi_chunk_place){.stream = chunks->entries[index].stream,
                          .start = chunks->entries[index].offset,
                          .end = chunks->entries[index].offset + chunks->entries[index].size};
    return true;
}

/* What of a chunk the capture of its stream still holds. */
static rp_view kept(const rpi_capture *capture, const entry *chunk)
{
    rp_view all = rpi_capture_view(capture);
    uint64_t begin = chunk->offset < capture->offset ? capture->offset : chunk->offset;
    uint64_t end = chunk->offset + chunk->size;

    if (end > capture->offset + all.size) {
        end = capture->offset + all.size;
    }
    if (begin >= end) {
        return (rp_view){"", 0};
    }
    return (rp_view){all.data + (begin - capture->offset), (size_t)(end - begin)};
}

int rp_process_captured_chunk(const rp_process *process, size_t index, rp_chunk *ret_chunk)
{
    const rpi_chunks *chunks = process->chunks;
    const entry *chunk;
    const rpi_stream *stream;
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (chunks == NULL) {
        return rpi_detail(RP_EINVAL, "order is not kept (rp_command.capture_order)");
    }
    if (index >= chunks->count) {
        return 0;
    }
    chunk = &chunks->entries[index];
    stream = &process->streams[chunk->stream];
    *ret_chunk = (rp_chunk){.stream = rpi_stream_name(stream),
                            .bytes = kept(stream->capture, chunk),
                            .seq = chunk->seq,
                            .time_ns = chunk->time_ns};
    return 1;
}
