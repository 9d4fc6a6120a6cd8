# Tests of what is interactive: typed commands, consoles and their terminal, the relay.
rp_test(NAME command_line SOURCES core/test_command_line.c LABELS unit TIMEOUT 60)
rp_test(
    NAME console
    SOURCES interactive/test_console.c support/caller.c support/fault.c
    LABELS integration
    TIMEOUT 300)
rp_test(NAME relay_keys SOURCES core/test_relay_keys.c LABELS unit TIMEOUT 60)
rp_test(
    NAME relay
    SOURCES interactive/test_relay.c support/caller.c support/fault.c
    LABELS integration
    TIMEOUT 300)
# Programs that are installed here, used as a person would.
rp_test(
    NAME programs
    SOURCES programs/test_programs.c support/fault.c support/stage.c
    LABELS integration
    TIMEOUT 600)
