# What of core/ needs no loop: commands, environments, launches, exits.
rp_test(
    NAME command
    SOURCES core/test_command.c core/test_environment.c core/test_exit.c core/test_launch.c support/fault.c
    LABELS unit
    TIMEOUT 120)
