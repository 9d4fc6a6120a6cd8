# The tests of Windows, under Wine through tests/windows/emulator.sh: the sources of the other systems, as far as what they are
# about is there, and what only this system has.

set(contract reactor/contract_operations.c reactor/contract_turn.c support/fault.c)
rp_test(
    NAME reactor_fake
    SOURCES ${contract} reactor/rig_fake.c fake/fake.c
    LABELS contract
    TIMEOUT 120)
rp_test(
    NAME reactor_iocp
    SOURCES ${contract} reactor/rig_windows.c reactor/system_windows.c
    LABELS contract
    TIMEOUT 300)
target_compile_definitions(test_reactor_iocp PRIVATE RIG_BACKEND=RP_BACKEND_IOCP)

foreach(module capture marks attention_rule idle_rule)
    rp_test(NAME ${module} SOURCES core/test_${module}.c support/fault.c LABELS unit TIMEOUT 300)
endforeach()
rp_test(NAME text SOURCES base/test_text.c LABELS unit TIMEOUT 120)

foreach(subject streams stdin)
    rp_test(NAME ${subject} SOURCES core/test_${subject}.c support/fault.c support/stage.c LABELS integration TIMEOUT 600)
endforeach()
rp_test(NAME console_windows SOURCES core/test_console_windows.c support/fault.c support/stage.c LABELS integration
        TIMEOUT 600)
rp_test(NAME windows SOURCES core/test_windows.c support/fault.c support/stage.c LABELS integration TIMEOUT 600)

if(RP_HAVE_REGEX)
    rp_test(NAME expect SOURCES core/test_expect.c support/expecting.c support/fault.c support/stage.c LABELS integration
            TIMEOUT 600)
endif()

# The supervisor, told by its exit codes and what it writes.
if(RP_BUILD_CLI)
    add_test(
        NAME cli_windows
        COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/windows/cli.sh" "${CMAKE_CURRENT_SOURCE_DIR}/windows/emulator.sh"
                $<TARGET_FILE:running-process> $<TARGET_FILE:rp_child>)
    set_tests_properties(cli_windows PROPERTIES LABELS integration TIMEOUT 120)
endif()
