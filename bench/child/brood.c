/* A child that becomes many, for group_kill: `rp-bench-brood MODE COUNT FD`. Every one of them
 * writes its number (an int64_t) to the pipe FD when it is there, and pauses until it is killed.
 *
 *     tree       half of them by the child itself, each with one more of its own
 *     scattered  each a session of its own, the parent gone
 *     bomb       everybody forks on until there are COUNT
 *
 * Whatever happens they are gone after two minutes. */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int line;

static _Noreturn void stay(void)
{
    const int64_t number = getpid();

    (void)alarm(120);
    if (write(line, &number, sizeof number) != (ssize_t)sizeof number) {
        _exit(1);
    }
    for (;;) {
        (void)pause();
    }
}

static void make_tree(long count)
{
    for (long made = 1; made < count; made += 2) {
        if (fork() == 0) {
            if (made + 1 < count && fork() == 0) {
                stay();
            }
            stay();
        }
    }
}

/* As daemons do it: a session, and a parent that ends. */
static void scatter(long count)
{
    for (long made = 1; made < count; made++) {
        if (fork() == 0) {
            if (setsid() < 0 || fork() != 0) {
                _exit(0);
            }
            stay();
        }
    }
}

static void bomb(long count)
{
    atomic_long *made =
        mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (made == MAP_FAILED) {
        _exit(1);
    }
    atomic_store(made, 1);
    while (atomic_fetch_add(made, 1) < count) {
        (void)fork(); /* parent and child go on alike */
    }
}

int main(int argc, char **argv)
{
    long count;

    if (argc != 4) {
        return 2;
    }
    count = strtol(argv[2], NULL, 10);
    line = (int)strtol(argv[3], NULL, 10);
    if (strcmp(argv[1], "tree") == 0) {
        make_tree(count);
    } else if (strcmp(argv[1], "scattered") == 0) {
        scatter(count);
    } else {
        bomb(count);
    }
    stay();
}
