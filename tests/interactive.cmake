# Tests of what is interactive: typed commands, consoles and their terminal, the relay.
rp_test(NAME command_line SOURCES core/test_command_line.c LABELS unit TIMEOUT 60)
