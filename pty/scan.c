/* See scan.h. A machine of a few states that takes byte after byte; in text it takes whole words,
 * as most output is that. A step that finds a byte to belong to what follows sets the state and
 * leaves the byte to be looked at again. */
#include "pty/scan.h"

#include <string.h>

enum {
    BEL = 0x07,
    BACKSPACE = 0x08,
    LF = 0x0a,
    CR = 0x0d,
    CAN = 0x18,
    SUB = 0x1a,
    ESC = 0x1b,
    DELETE = 0x7f,
    C1_FIRST = 0x80,
    C1_DCS = 0x90,
    C1_SOS = 0x98,
    C1_CSI = 0x9b,
    C1_ST = 0x9c,
    C1_OSC = 0x9d,
    C1_PM = 0x9e,
    C1_APC = 0x9f
};

typedef enum scan_state {
    TEXT = 0,
    ESCAPE,      /* ESC, and intermediates */
    ESCAPE_MORE, /* an intermediate came: no introducer can */
    CSI,
    OSC,
    TITLE,  /* ESC k */
    STRING, /* whose body goes nowhere */
    OSC_ESCAPE,
    TITLE_ESCAPE,
    STRING_ESCAPE /* an ESC in it: the first half of ST, or its sudden end */
} scan_state;

enum {
    MODE_ALTERNATE = 1,
    MODE_CURSOR = 2
};

/* A place in what is fed. */
typedef const unsigned char *place;

/* ---- control churn ---------------------------------------------------------------- */

enum {
    CHURN_NOT = 0,
    CHURN_ESC,
    CHURN_CSI
};

size_t rpi_churn_count(rpi_churn *churn, rp_view bytes)
{
    size_t count = 0;

    for (size_t i = 0; i < bytes.size; i++) {
        const unsigned char byte = (unsigned char)bytes.data[i];

        if (churn->state == CHURN_CSI) {
            count++;
            churn->state = byte >= 0x40 && byte <= 0x7e ? CHURN_NOT : CHURN_CSI;
        } else if (churn->state == CHURN_ESC && byte == '[') {
            count++;
            churn->state = CHURN_CSI;
        } else {
            churn->state = byte == ESC ? CHURN_ESC : CHURN_NOT;
            count += byte == ESC || byte == BACKSPACE || byte == CR || byte == DELETE ? 1 : 0;
        }
    }
    return count;
}

/* ---- telling ------------------------------------------------------------------------ */

static void tell_text(const rpi_scan_sink *sink, place from, place to)
{
    if (to > from && sink->text != NULL) {
        sink->text((rp_view){(const char *)from, (size_t)(to - from)}, sink->user);
    }
}

static void tell(const rpi_scan_sink *sink, const rpi_scan_event *event)
{
    if (sink->event != NULL) {
        sink->event(event, sink->user);
    }
}

static void tell_code(const rpi_scan_sink *sink, rpi_scan_kind kind, int32_t code)
{
    const rpi_scan_event event = {.kind = kind, .code = code, .text = {"", 0}};

    tell(sink, &event);
}

/* ---- OSC ------------------------------------------------------------------------------ */

/* Takes a decimal number off the front, saturating; false when there is none. */
static bool take_number(rp_view *text, int32_t *ret_number)
{
    int32_t number = 0;
    size_t i = 0;

    for (; i < text->size && text->data[i] >= '0' && text->data[i] <= '9'; i++) {
        number = number < 100000000 ? number * 10 + (text->data[i] - '0') : number;
    }
    if (i == 0) {
        return false;
    }
    *text = (rp_view){text->data + i, text->size - i};
    *ret_number = number;
    return true;
}

/* Takes a semicolon off the front; false when there is none. */
static bool take_semicolon(rp_view *text)
{
    if (text->size == 0 || text->data[0] != ';') {
        return false;
    }
    *text = (rp_view){text->data + 1, text->size - 1};
    return true;
}

/* OSC 9;4;state;percent. */
static void progress(rp_view text, const rpi_scan_sink *sink)
{
    rpi_scan_event event = {.kind = RPI_SCAN_PROGRESS, .text = {"", 0}};

    if (!take_semicolon(&text) || !take_number(&text, &event.code) ||
        event.code > RPI_PROGRESS_PAUSED) {
        return;
    }
    if (take_semicolon(&text) && take_number(&text, &event.value)) {
        event.value = event.value <= 100 ? event.value : 100;
    }
    tell(sink, &event);
}

/* OSC 9: a notification, unless it begins with the number of a command. */
static void osc_9(rp_view text, const rpi_scan_sink *sink, rpi_scan_event *event)
{
    rp_view rest = text;
    int32_t command;

    if (take_number(&rest, &command) && (rest.size == 0 || rest.data[0] == ';')) {
        if (command == 4) {
            progress(rest, sink);
        } else if (command == 9 && take_semicolon(&rest)) {
            event->kind = RPI_SCAN_CWD;
            event->text = rest;
            tell(sink, event);
        }
        return;
    }
    event->kind = RPI_SCAN_NOTIFY;
    event->text = text;
    tell(sink, event);
}

/* OSC 133;X, maybe with ;exit code or ;name=value behind it. */
static void mark(rp_view text, const rpi_scan_sink *sink)
{
    rpi_scan_event event = {.kind = RPI_SCAN_MARK, .value = RPI_SCAN_NO_VALUE, .text = {"", 0}};
    bool negative;

    if (text.size == 0 || text.data[0] < 'A' || text.data[0] > 'D') {
        return;
    }
    event.code = (unsigned char)text.data[0];
    text = (rp_view){text.data + 1, text.size - 1};
    if (text.size > 0 && !take_semicolon(&text)) {
        return; /* a longer word: not one of these */
    }
    negative = text.size > 0 && text.data[0] == '-';
    text = negative ? (rp_view){text.data + 1, text.size - 1} : text;
    if (event.code == 'D' && take_number(&text, &event.value) && negative) {
        event.value = -event.value;
    }
    tell(sink, &event);
}

/* OSC 777;notify;title;body. */
static void notify(rp_view text, const rpi_scan_sink *sink, rpi_scan_event *event)
{
    static const char word[] = "notify;";
    const size_t size = sizeof word - 1;

    if (text.size >= size && memcmp(text.data, word, size) == 0) {
        event->kind = RPI_SCAN_NOTIFY;
        event->text = (rp_view){text.data + size, text.size - size};
        tell(sink, event);
    }
}

/* How many continuation bytes of UTF-8 follow this one. */
static uint8_t continuations(unsigned char byte)
{
    if (byte < 0xc2 || byte > 0xf4) {
        return 0;
    }
    return byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
}

/* The size without the beginning of a character whose end was cut off. */
static size_t whole_characters(const char *text, size_t size)
{
    size_t at = size;

    while (at > 0 && size - at < 3 && ((unsigned char)text[at - 1] & 0xc0U) == 0x80) {
        at--;
    }
    return at > 0 && continuations((unsigned char)text[at - 1]) > size - at ? at - 1 : size;
}

/* The string that was collected has come to its end. */
static void string_ended(rpi_scan *scan, const rpi_scan_sink *sink)
{
    rp_view text = {scan->body, scan->body_size};
    rpi_scan_event event = {.kind = RPI_SCAN_TITLE, .cut = scan->is_cut};
    int32_t number;

    if (scan->body_max == 0 || sink->event == NULL) {
        return;
    }
    text.size = scan->is_cut ? whole_characters(text.data, text.size) : text.size;
    if (scan->state == TITLE || scan->state == TITLE_ESCAPE) {
        event.text = text;
        tell(sink, &event);
        return;
    }
    if (!take_number(&text, &number) || !take_semicolon(&text)) {
        return;
    }
    event.text = text;
    if (number == 0 || number == 2) {
        tell(sink, &event);
    } else if (number == 7) {
        event.kind = RPI_SCAN_CWD;
        tell(sink, &event);
    } else if (number == 9) {
        osc_9(text, sink, &event);
    } else if (number == 133) {
        mark(text, sink);
    } else if (number == 777) {
        notify(text, sink, &event);
    }
}

/* ---- strings -------------------------------------------------------------------------- */

/* Follows UTF-8; true for a byte of 0x80-0x9f that is no continuation. */
static bool is_c1(rpi_scan *scan, unsigned char byte)
{
    if (scan->more > 0 && byte >= 0x80 && byte < 0xc0) {
        scan->more--;
        return false;
    }
    scan->more = continuations(byte);
    return byte >= 0x80 && byte < 0xa0;
}

static void string_begin(rpi_scan *scan, scan_state state, bool ends_by_line)
{
    scan->state = (uint8_t)state;
    scan->body_size = 0;
    scan->is_cut = false;
    scan->ends_by_line = ends_by_line;
    scan->more = 0;
}

static void collect(rpi_scan *scan, unsigned char byte)
{
    if (scan->state == STRING || byte < 0x20) {
        return;
    }
    if (scan->body_size < scan->body_max) {
        scan->body[scan->body_size++] = (char)byte;
    } else {
        scan->is_cut = true;
    }
}

/* Inside a string. */
static place step_string(rpi_scan *scan, place at, const rpi_scan_sink *sink)
{
    const bool c1 = is_c1(scan, *at);

    if (*at == ESC) {
        scan->state = (uint8_t)(scan->state + (OSC_ESCAPE - OSC));
    } else if (*at == CAN || *at == SUB) {
        scan->state = TEXT;
    } else if (scan->ends_by_line && (*at == LF || *at == CR)) {
        scan->state = TEXT;
        return at;
    } else if ((*at == BEL && scan->state == OSC) || (c1 && *at == C1_ST)) {
        string_ended(scan, sink);
        scan->state = TEXT;
    } else {
        collect(scan, *at);
    }
    return at + 1;
}

/* Behind an ESC in a string. */
static place step_string_escape(rpi_scan *scan, place at, const rpi_scan_sink *sink)
{
    if (*at == '\\') {
        string_ended(scan, sink);
        scan->state = TEXT;
        return at + 1;
    }
    scan->state = ESCAPE;
    return at;
}

_Static_assert(TITLE_ESCAPE - TITLE == OSC_ESCAPE - OSC &&
                   STRING_ESCAPE - STRING == OSC_ESCAPE - OSC,
               "step_string relies on it");

/* ---- CSI -------------------------------------------------------------------------------- */

static void csi_begin(rpi_scan *scan)
{
    scan->state = CSI;
    scan->number = 0;
    scan->modes = 0;
    scan->is_private = false;
    scan->is_soft = false;
    scan->is_plain = true;
    scan->more = 0;
}

static void parameter_ended(rpi_scan *scan)
{
    if (scan->number == 47 || scan->number == 1047 || scan->number == 1049) {
        scan->modes |= MODE_ALTERNATE;
    } else if (scan->number == 25) {
        scan->modes |= MODE_CURSOR;
    }
    scan->number = 0;
}

static void csi_ended(rpi_scan *scan, unsigned char final, const rpi_scan_sink *sink)
{
    const int32_t on = final == 'h' ? 1 : 0;

    parameter_ended(scan);
    scan->state = TEXT;
    if (final == 'p' && scan->is_soft) {
        tell_code(sink, RPI_SCAN_CURSOR, 1);
    }
    if (!scan->is_private || !scan->is_plain || (final != 'h' && final != 'l')) {
        return;
    }
    if ((scan->modes & MODE_ALTERNATE) != 0) {
        tell_code(sink, RPI_SCAN_ALTERNATE, on);
    }
    if ((scan->modes & MODE_CURSOR) != 0) {
        tell_code(sink, RPI_SCAN_CURSOR, on);
    }
}

/* A byte between the introducer and the final one. */
static void csi_parameter(rpi_scan *scan, unsigned char byte)
{
    if (byte >= '0' && byte <= '9') {
        scan->number = scan->number < 100000 ? scan->number * 10 + byte - '0' : scan->number;
    } else if (byte == ';') {
        parameter_ended(scan);
    } else if (byte == '?' && !scan->is_private) {
        scan->is_private = true;
    } else if (byte == '!' && scan->is_plain) {
        scan->is_soft = true;
        scan->is_plain = false;
    } else {
        scan->is_plain = false;
        scan->is_soft = false;
    }
}

/* A control inside of a sequence is carried out as if it stood before it. True: it was one, and the
 * sequence goes on, or has ended. */
static bool step_control(rpi_scan *scan, place at, const rpi_scan_sink *sink)
{
    if (*at == ESC) {
        scan->state = ESCAPE;
    } else if (*at == CAN || *at == SUB) {
        scan->state = TEXT;
    } else if (*at < 0x20) {
        tell_text(sink, at, at + 1);
        if (*at == BEL) {
            tell_code(sink, RPI_SCAN_BELL, 0);
        }
    } else if (*at != DELETE) {
        return false;
    }
    return true;
}

static place step_csi(rpi_scan *scan, place at, const rpi_scan_sink *sink)
{
    if (step_control(scan, at, sink)) {
        return at + 1;
    }
    if (*at >= 0x80) {
        scan->state = TEXT;
        return at;
    }
    if (*at >= 0x40) {
        csi_ended(scan, *at, sink);
    } else {
        csi_parameter(scan, *at);
    }
    return at + 1;
}

/* ---- ESC and text ----------------------------------------------------------------------- */

static bool is_introducer(unsigned char c1)
{
    return c1 == C1_CSI || c1 == C1_OSC || c1 == C1_DCS || c1 == C1_SOS || c1 == C1_PM ||
           c1 == C1_APC;
}

/* Begins what this introducer begins. `ends_by_line`: it may be a letter. */
static void introduce(rpi_scan *scan, unsigned char c1, bool ends_by_line)
{
    if (c1 == C1_CSI) {
        csi_begin(scan);
    } else {
        string_begin(scan, c1 == C1_OSC ? OSC : STRING, ends_by_line);
    }
}

static place step_escape(rpi_scan *scan, place at, const rpi_scan_sink *sink)
{
    const bool first = scan->state == ESCAPE;

    if (step_control(scan, at, sink)) {
        return at + 1;
    }
    if (*at >= 0x80) {
        scan->state = TEXT;
        return at;
    }
    if (*at < 0x30) {
        scan->state = ESCAPE_MORE;
        return at + 1;
    }
    scan->state = TEXT;
    if (first && *at == 'k') {
        string_begin(scan, TITLE, true);
    } else if (first && *at == 'c') { /* everything anew */
        tell_code(sink, RPI_SCAN_ALTERNATE, 0);
        tell_code(sink, RPI_SCAN_CURSOR, 1);
    } else if (first && *at < 0x60 && is_introducer((unsigned char)(*at + 0x40))) {
        introduce(scan, (unsigned char)(*at + 0x40), false);
    }
    return at + 1;
}

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Not 0 when one of the eight bytes is 0. */
static uint64_t has_zero(uint64_t word)
{
    return (word - EACH_BYTE(1)) & ~word & EACH_BYTE(0x80);
}

/* Skips words of eight bytes in which nothing but ASCII without ESC and BEL is. */
static place skip_words(place at, place end)
{
    while (end - at >= 8) {
        uint64_t word;

        memcpy(&word, at, sizeof word);
        if (((word & EACH_BYTE(0x80)) | has_zero(word ^ EACH_BYTE(ESC)) |
             has_zero(word ^ EACH_BYTE(BEL))) != 0) {
            break;
        }
        at += 8;
    }
    return at;
}

/* The first byte from here on that is not simply text. */
static place find_control(rpi_scan *scan, place at, place end)
{
    while (at < end) {
        if (scan->more == 0) {
            place next = skip_words(at, end);

            if (next != at) {
                at = next;
                continue;
            }
        }
        if ((is_c1(scan, *at) && is_introducer(*at)) || *at == ESC || *at == BEL) {
            return at;
        }
        at++;
    }
    return end;
}

static place step_text(rpi_scan *scan, place at, place end, const rpi_scan_sink *sink)
{
    place control = find_control(scan, at, end);

    if (control < end && *control == BEL) {
        tell_text(sink, at, control + 1);
        tell_code(sink, RPI_SCAN_BELL, 0);
        return control + 1;
    }
    tell_text(sink, at, control);
    if (control == end) {
        return end;
    }
    if (*control == ESC) {
        scan->state = ESCAPE;
    } else {
        introduce(scan, *control, true);
    }
    return control + 1;
}

/* ---- the whole ---------------------------------------------------------------------------- */

void rpi_scan_init(rpi_scan *scan, char *body, size_t body_size)
{
    *scan = (rpi_scan){.body = body, .body_max = body_size};
}

void rpi_scan_feed(rpi_scan *scan, rp_view bytes, const rpi_scan_sink *sink)
{
    place at = (place)bytes.data;
    place end = at + bytes.size;

    while (at < end) {
        switch ((scan_state)scan->state) {
        case TEXT:
            at = step_text(scan, at, end, sink);
            break;
        case ESCAPE:
        case ESCAPE_MORE:
            at = step_escape(scan, at, sink);
            break;
        case CSI:
            at = step_csi(scan, at, sink);
            break;
        case OSC:
        case TITLE:
        case STRING:
            at = step_string(scan, at, sink);
            break;
        case OSC_ESCAPE:
        case TITLE_ESCAPE:
        case STRING_ESCAPE:
            at = step_string_escape(scan, at, sink);
            break;
        }
    }
}

static void append(rp_view text, void *user)
{
    char **end = user;

    memmove(*end, text.data, text.size);
    *end += text.size;
}

size_t rpi_scan_strip(rpi_scan *scan, rp_view bytes, char *ret_text)
{
    char *end = ret_text;
    const rpi_scan_sink sink = {.text = append, .user = &end};

    rpi_scan_feed(scan, bytes, &sink);
    return (size_t)(end - ret_text);
}

bool rpi_scan_is_at_text(const rpi_scan *scan)
{
    return scan->state == TEXT && scan->more == 0;
}
