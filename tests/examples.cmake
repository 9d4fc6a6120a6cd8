# The tests of what an embedder copies: each example as built here, and the README's programs built from its text.

foreach(example hello capture fanout embed_epoll expect_login idle_agent pty_shell minimake)
    add_test(NAME example_${example}
             COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/examples/test_${example}.py")
    set_tests_properties(
        example_${example}
        PROPERTIES LABELS integration TIMEOUT 240
                   ENVIRONMENT "RP_EXAMPLES=$<TARGET_FILE_DIR:example_hello>;${RP_TEST_ENVIRONMENT}")
endforeach()

# As a stranger compiles them: his compiler, all warnings, the public headers, the shared library.
set(compile "'${CMAKE_C_COMPILER}' -std=c11 -Wall -Wextra -Wpedantic -Werror '-I${PROJECT_SOURCE_DIR}/include'")
if(RP_SANITIZE)
    string(APPEND compile " '-fsanitize=${RP_SANITIZE}'")
endif()
set(cli "")
if(RP_BUILD_CLI)
    set(cli "$<TARGET_FILE:running-process>")
endif()
add_test(NAME readme COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/examples/test_readme.py")
set(readme_environment
    "RP_ROOT=${PROJECT_SOURCE_DIR}"
    "RP_COMPILE=${compile}"
    "RP_LINK='$<TARGET_FILE:running_process_shared>' '-Wl,-rpath,$<TARGET_FILE_DIR:running_process_shared>'"
    "RP_CLI=${cli}")
set_tests_properties(
    readme PROPERTIES LABELS integration TIMEOUT 240
                      ENVIRONMENT "${readme_environment};${RP_TEST_ENVIRONMENT}")
