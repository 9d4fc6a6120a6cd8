/* The thin runner's main, apart, so that a program with one of its own may use the assertions. */
#include "tests/support/runner.h"

int main(int argc, char **argv)
{
    return runner_main(argc, argv);
}
