/* Fuzzes rp_command_line against the same rules written down another way, as the machine of states
 * that Python's shlex is: each text gives the same words, or both refuse it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "rp/interactive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct machine {
    char state;  /* ' ' between words, 'a' in a word, a quote: in that quotation */
    char *words; /* NUL-terminated, one after the other */
    size_t size, count;
} machine;

static void put(machine *at, char byte)
{
    at->words[at->size++] = byte;
}

static void end_word(machine *at)
{
    put(at, '\0');
    at->count++;
    at->state = ' ';
}

static void step(machine *at, char byte)
{
    const bool blank = strchr(" \t\r\n", byte) != NULL;

    if (at->state == ' ') {
        if (byte == '"' || byte == '\'') {
            at->state = byte;
        } else if (!blank) {
            at->state = 'a';
            put(at, byte);
        }
    } else if (at->state == 'a' ? blank : byte == at->state) {
        end_word(at);
    } else {
        put(at, byte);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    machine expected = {.state = ' ', .words = malloc(2 * size + 2)};
    char **argv = NULL;
    const char *word = expected.words;
    size_t length;
    int r;

    RP_ASSERT(text != NULL && expected.words != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        step(&expected, text[i]);
    }
    if (expected.state == 'a') {
        end_word(&expected);
    }
    r = rp_command_line(text, &argv);
    RP_ASSERT(r == (expected.state == ' ' ? 0 : RP_EINVAL));
    for (size_t i = 0; r == 0 && i < expected.count; i++) {
        RP_ASSERT(argv[i] != NULL && strcmp(argv[i], word) == 0);
        word += strlen(word) + 1;
    }
    RP_ASSERT(r < 0 || argv[expected.count] == NULL);
    rp_free(argv);
    free(text);
    free(expected.words);
    return 0;
}
