# The tests of what an embedder copies: each example as built here, and the README's programs built from its text.

foreach(example hello capture fanout embed_epoll)
    add_test(NAME example_${example}
             COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/examples/test_${example}.py")
    set_tests_properties(
        example_${example}
        PROPERTIES LABELS integration TIMEOUT 240
                   ENVIRONMENT "RP_EXAMPLES=$<TARGET_FILE_DIR:example_hello>;${RP_TEST_ENVIRONMENT}")
endforeach()
