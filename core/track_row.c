/* See track_row.h. One block of memory a row: its texts stand behind it. */
#include "core/track_row.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/os.h"

enum {
    COMMAND_MAX = 32 * 1024, /* bytes of a row's command; the rest is cut off */
    PID_TEXT_SIZE = 24       /* a colon and a number */
};

void rpi_track_row_free(rpi_track_row *row)
{
    rpi_free(rpi_alloc_default(), row, row->size);
}

/* Where the texts of a row are written, or only measured. */
typedef struct text_writer {
    char *text;    /* NULL: only measured */
    size_t length; /* without NULs at the ends */
    size_t room;
} text_writer;

static void add_text(text_writer *to, const char *text)
{
    const rp_view view = {text, strlen(text)};

    if (to->text == NULL) {
        to->length += rp_utf8_repair(view, NULL, 0);
    } else if (to->length < to->room) {
        (void)rp_utf8_repair(view, to->text + to->length, to->room - to->length);
        to->length += strlen(to->text + to->length);
    }
}

static void add_command(text_writer *to, const rp_command *command)
{
    if (command->argv == NULL) {
        add_text(to, command->shell);
        return;
    }
    for (size_t i = 0; command->argv[i] != NULL && to->length < COMMAND_MAX; i++) {
        if (i > 0) {
            add_text(to, " ");
        }
        add_text(to, command->argv[i]);
    }
}

/* Takes `size` bytes of the memory at *text for one text. */
static text_writer take_room(char **text, size_t size)
{
    const text_writer taken = {*text, 0, size};

    **text = '\0';
    *text += size;
    return taken;
}

static void fill_row(rpi_track_row *row, const rp_command *command, const size_t sizes[3])
{
    char *rest = (char *)(row + 1);
    text_writer writer = take_room(&rest, sizes[0]);
    rpi_track_record *record = &row->record;

    record->command = writer.text;
    add_command(&writer, command);
    writer = take_room(&rest, sizes[1]);
    record->cwd = writer.text;
    add_text(&writer, command->cwd != NULL ? command->cwd : "");
    writer = take_room(&rest, sizes[2]);
    record->originator = writer.text;
    if (command->originator != NULL) {
        char pid[PID_TEXT_SIZE];

        (void)snprintf(pid, sizeof pid, ":%lld", (long long)rpi_os_pid());
        add_text(&writer, command->originator);
        add_text(&writer, pid);
    }
    record->kind = command->transport == RP_PTY ? "pty" : "subprocess";
    record->containment = command->on_close == RP_ON_CLOSE_DETACH ? "detached" : "contained";
}

rpi_track_row *rpi_track_row_of(const rp_command *command)
{
    text_writer measure = {NULL, 0, 0};
    size_t sizes[3];
    rpi_track_row *row;
    size_t size;

    add_command(&measure, command);
    sizes[0] = (measure.length < COMMAND_MAX ? measure.length : COMMAND_MAX) + 1;
    measure.length = 0;
    add_text(&measure, command->cwd != NULL ? command->cwd : "");
    sizes[1] = measure.length + 1;
    measure.length = PID_TEXT_SIZE;
    add_text(&measure, command->originator != NULL ? command->originator : "");
    sizes[2] = measure.length + 1;
    size = sizeof *row + sizes[0] + sizes[1] + sizes[2];
    row = rpi_alloc(rpi_alloc_default(), size);
    if (row == NULL) {
        return NULL;
    }
    *row = (rpi_track_row){.size = size, .state = RPI_ROW_NEW};
    rpi_list_init(&row->node);
    atomic_init(&row->ending, false);
    fill_row(row, command, sizes);
    return row;
}
