/* Tracking on systems other than Linux: not built, so that a track cannot be opened, and no loop or
 * process ever has one. */
#include "base/assert.h"
#include "base/status.h"
#include "core/track.h"
#include "core/track_row.h"

int rp_track_open(const char *path, rp_track **ret_track)
{
    rpi_detail_clear();
    (void)path;
    (void)ret_track;
    return rpi_detail(RP_EUNSUPPORTED, "tracking is not built for this system");
}

const char *rp_track_path(const rp_track *track)
{
    (void)track; /* there is none */
    return "";
}

int rp_track_list(rp_track *track, rp_each_fn *row, void *user)
{
    (void)track;
    (void)row;
    (void)user;
    return RP_EUNSUPPORTED;
}

int rp_track_cleanup(rp_track *track, rp_each_fn *killed, void *user)
{
    (void)track;
    (void)killed;
    (void)user;
    return RP_EUNSUPPORTED;
}

void rp_track_close(rp_track *track)
{
    RP_ASSERT(track == NULL); /* none was ever opened */
}

int rpi_track_enter(const rp_track *track)
{
    (void)track;
    return RP_EUNSUPPORTED;
}

/* ---- of a loop that has a track, which none has ---- */

void rpi_track_link_loop(rp_track *track, rpi_track_link *link)
{
    (void)link;
    RP_ASSERT(track == NULL);
}

void rpi_track_unlink_loop(rp_track *track, rpi_track_link *link)
{
    (void)link;
    RP_ASSERT(track == NULL);
}

bool rpi_track_take_trouble(rp_track *track, uint32_t *seen, char *text, size_t text_size)
{
    (void)seen;
    (void)text;
    (void)text_size;
    RP_ASSERT(track == NULL);
    return false;
}

rpi_track_row *rpi_track_row_make(rp_track *track, const rp_command *command)
{
    (void)command;
    RP_ASSERT(track == NULL);
    return NULL;
}

void rpi_track_register(rpi_track_row *row, int64_t pid, int pidfd, uint64_t launched_ns)
{
    (void)pid;
    (void)pidfd;
    (void)launched_ns;
    RP_ASSERT(row == NULL);
}

void rpi_track_set_ending(rpi_track_row *row, bool ending)
{
    (void)ending;
    RP_ASSERT(row == NULL);
}

void rpi_track_unregister(rpi_track_row *row)
{
    RP_ASSERT(row == NULL);
}

void rpi_track_let_go(rpi_track_row *row)
{
    RP_ASSERT(row == NULL);
}

void rpi_track_row_free_forked(rpi_track_row *row)
{
    RP_ASSERT(row == NULL);
}

uint64_t rpi_track_lost(rp_track *track)
{
    RP_ASSERT(track == NULL);
    return 0;
}
