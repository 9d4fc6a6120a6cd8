# The tests of the programs: Python over the real thing, a file a subject.

set(subjects options output signals events pty leaks dumps why)
if(RP_HAVE_TRACK)
    list(APPEND subjects tracking)
endif()
foreach(subject IN LISTS subjects)
    add_test(NAME cli_${subject} COMMAND Python3::Interpreter
                                         "${CMAKE_CURRENT_SOURCE_DIR}/cli/test_${subject}.py")
    set_tests_properties(
        cli_${subject}
        PROPERTIES LABELS integration TIMEOUT 240
                   ENVIRONMENT "RP_CLI=$<TARGET_FILE:running-process>;RP_CLEANUP=$<TARGET_FILE:running-process-cleanup>;RUNNING_PROCESS_PID_DB=${CMAKE_CURRENT_BINARY_DIR}/tracked-pids.sqlite3;${RP_TEST_ENVIRONMENT}")
endforeach()
