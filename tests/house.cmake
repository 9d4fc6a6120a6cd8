# The tests of the house: style, the list of symbols, headers that stand alone, and the package as an outsider meets it.

add_test(
    NAME tidy
    COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/tidy.py"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
add_test(
    NAME tidy_finds_what_is_wrong
    COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/tidy.py" --self-test)

add_test(
    NAME symbols
    COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/symbols.py" --nm "${CMAKE_NM}" --list
            "${RP_SYMBOL_LIST}" --include "${PROJECT_SOURCE_DIR}/include/rp"
            --archive "$<TARGET_FILE:running_process_static>" "$<TARGET_FILE:running_process_shared>")

# The thin runner, also where Criterion runs the tests.
add_executable(rp_runner_sample support/runner_sample.c)
rp_compile_program(rp_runner_sample)
target_include_directories(rp_runner_sample PRIVATE "${PROJECT_SOURCE_DIR}")
target_link_libraries(rp_runner_sample PRIVATE rp_runner)
add_test(NAME runner COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/support/test_runner.py"
                             $<TARGET_FILE:rp_runner_sample>)
set_tests_properties(runner PROPERTIES LABELS unit TIMEOUT 120)

# Both languages that the headers promise; the project itself needs no C++ compiler.
find_program(RP_CXX NAMES c++ g++ clang++)
if(RP_CXX)
    add_test(
        NAME headers
        COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/headers.sh" "${PROJECT_SOURCE_DIR}/include"
                "${CMAKE_C_COMPILER}" "${RP_CXX}")
else()
    message(STATUS "The test of the headers is left out: no C++ compiler (Debian: g++).")
endif()

# A sanitized library cannot be linked by an outsider who does not sanitize.
if(NOT RP_SANITIZE)
    add_test(
        NAME package
        COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/package/run.sh" "${PROJECT_SOURCE_DIR}"
                "${CMAKE_CURRENT_BINARY_DIR}/package" "${CMAKE_COMMAND}" "${CMAKE_C_COMPILER}"
                "${PKG_CONFIG_EXECUTABLE}" "${RP_WITH_URING}")
    set_tests_properties(package PROPERTIES TIMEOUT 300)
endif()

set(house_tests tidy tidy_finds_what_is_wrong symbols)
set_tests_properties(${house_tests} PROPERTIES LABELS lint TIMEOUT 120)
foreach(name headers package)
    if(TEST ${name})
        set_property(TEST ${name} PROPERTY LABELS package)
    endif()
endforeach()
