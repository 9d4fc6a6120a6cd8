# The tests of the programs: Python over the real thing, a file a subject.

foreach(subject options output signals events pty)
    add_test(NAME cli_${subject} COMMAND Python3::Interpreter
                                         "${CMAKE_CURRENT_SOURCE_DIR}/cli/test_${subject}.py")
    set_tests_properties(
        cli_${subject}
        PROPERTIES LABELS integration TIMEOUT 240
                   ENVIRONMENT "RP_CLI=$<TARGET_FILE:running-process>;${RP_TEST_ENVIRONMENT}")
endforeach()
