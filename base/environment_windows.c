/* The calling process's environment as UTF-8, for rpi_os_environment. The system keeps it as one
 * block of UTF-16 that any thread may change; so a copy is made for the calling thread, which lives
 * until the next load by the same thread, or its end. An unchanged block is not converted again. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/os_windows.h"

typedef struct snapshot {
    wchar_t *block; // as the system gave it; owned
    size_t block_size;
    char **entries; // NULL-terminated; owned, one block of memory with the texts
} snapshot;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

static void snapshot_free(void *memory)
{
    snapshot *freed = memory;

    free(freed->block);
    free(freed->entries);
    free(freed);
}

static void make_key(void)
{
    key_error = pthread_key_create(&key, snapshot_free);
}

/** The calling thread's, made where there is none yet; NULL: no memory. */
static snapshot *own_snapshot(void)
{
    snapshot *own;

    (void)pthread_once(&once, make_key); // fails for no valid argument
    if (key_error != 0) {
        return NULL;
    }
    own = pthread_getspecific(key);
    if (own == NULL) {
        own = calloc(1, sizeof *own);
        if (own != NULL && pthread_setspecific(key, own) != 0) {
            free(own);
            own = NULL;
        }
    }
    return own;
}

/** Characters of the block, with the two zeros at its end; and its entries. */
static size_t measure(const wchar_t *block, size_t *ret_count)
{
    size_t length = 0;

    *ret_count = 0;
    while (block[length] != L'\0') {
        length += wcslen(block + length) + 1;
        ++*ret_count;
    }
    return length + 1;
}

/** The entries as UTF-8, in one block of memory; NULL: no memory. */
static char **convert(const wchar_t *block, size_t length, size_t count)
{
    const int size = WideCharToMultiByte(CP_UTF8, 0, block, (int)length, NULL, 0, NULL, NULL);
    char **entries = malloc((count + 1) * sizeof(char *) + (size_t)(size > 0 ? size : 0));
    char *text = (char *)(void *)(entries + count + 1);

    if (entries == NULL) {
        return NULL;
    }
    if (size > 0) {
        (void)WideCharToMultiByte(CP_UTF8, 0, block, (int)length, text, size, NULL, NULL);
    }
    for (size_t i = 0; i < count; i++) {
        entries[i] = text;
        text += strlen(text) + 1;
    }
    entries[count] = NULL;
    return entries;
}

int rpi_os_environment_load(void)
{
    snapshot *own = own_snapshot();
    wchar_t *block = own != NULL ? GetEnvironmentStringsW() : NULL;
    wchar_t *copy = NULL;
    char **entries = NULL;
    size_t count = 0;
    size_t length;

    if (block == NULL) {
        return -ENOMEM;
    }
    length = measure(block, &count);
    if (own->block_size == length * sizeof *block && own->block != NULL &&
        memcmp(own->block, block, own->block_size) == 0) {
        (void)FreeEnvironmentStringsW(block); // the system's own
        return 0;
    }
    copy = malloc(length * sizeof *copy);
    entries = copy != NULL ? convert(block, length, count) : NULL;
    if (entries == NULL) {
        free(copy);
        (void)FreeEnvironmentStringsW(block); // as above
        return -ENOMEM;
    }
    memcpy(copy, block, length * sizeof *copy);
    (void)FreeEnvironmentStringsW(block); // as above
    free(own->block);
    free(own->entries);
    *own = (snapshot){copy, length * sizeof *copy, entries};
    return 0;
}

bool rpi_os_same_variable(const char *a, const char *b, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        // ASCII's letters only; the block that a child gets is compared as the system does it.
        const char x = a[i] >= 'a' && a[i] <= 'z' ? (char)(a[i] - 'a' + 'A') : a[i];
        const char y = b[i] >= 'a' && b[i] <= 'z' ? (char)(b[i] - 'a' + 'A') : b[i];

        if (x != y || x == '\0') {
            return x == y;
        }
    }
    return true;
}

char *const *rpi_os_environment(void)
{
    const snapshot *own = own_snapshot();

    return own != NULL ? own->entries : NULL;
}
