# The spawn path: how children are made, and what a host may do to it meanwhile.

# The children: static and without sanitizers, so that they start fast and have no descriptor of their own.
add_executable(rp_spawn_report spawn/report.c)
target_link_libraries(rp_spawn_report PRIVATE rp_warnings)
target_link_options(rp_spawn_report PRIVATE -static)
add_executable(rp_spawn_tiny spawn/tiny.c)
target_link_libraries(rp_spawn_tiny PRIVATE rp_warnings)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|aarch64|arm64")
    target_link_options(rp_spawn_tiny PRIVATE -static -nostdlib)
endif()
set_target_properties(rp_spawn_report rp_spawn_tiny PROPERTIES C_EXTENSIONS ON)

function(rp_spawn_rig program)
    target_compile_definitions(
        ${program} PRIVATE "RP_TEST_REPORT=\"$<TARGET_FILE:rp_spawn_report>\""
                           "RP_TEST_TINY=\"$<TARGET_FILE:rp_spawn_tiny>\"")
    add_dependencies(${program} rp_spawn_report rp_spawn_tiny)
endfunction()

function(rp_spawn_test name label timeout)
    rp_test(
        NAME spawn_${name}
        SOURCES spawn/test_${name}.c spawn/rig.c ${ARGN}
        LABELS ${label}
        TIMEOUT ${timeout})
    rp_spawn_rig(test_spawn_${name})
endfunction()

rp_spawn_test(methods contract 300)
rp_spawn_test(descriptors stress 900)
rp_spawn_test(signals integration 300)
rp_spawn_test(busy stress 600)
rp_spawn_test(filters integration 300)
rp_spawn_test(spawner integration 300 support/fault.c)

# Under valgrind, which ends a program at the first unusual clone. Where it is not installed, or a sanitizer is in its place,
# the test is there by name and does not run.
add_executable(rp_spawn_valgrind spawn/under_valgrind.c spawn/rig.c)
rp_compile_program(rp_spawn_valgrind)
set_target_properties(rp_spawn_valgrind PROPERTIES C_EXTENSIONS ON)
target_include_directories(rp_spawn_valgrind PRIVATE "${PROJECT_SOURCE_DIR}")
target_link_libraries(
    rp_spawn_valgrind PRIVATE running_process_static RP_TEST_FRAMEWORK Threads::Threads)
rp_spawn_rig(rp_spawn_valgrind)
find_program(RP_VALGRIND valgrind)
if(RP_VALGRIND AND NOT RP_SANITIZE)
    add_test(NAME spawn_valgrind
             COMMAND "${RP_VALGRIND}" --quiet --error-exitcode=9 --leak-check=full
                     --errors-for-leak-kinds=definite $<TARGET_FILE:rp_spawn_valgrind>)
else()
    add_test(NAME spawn_valgrind COMMAND rp_spawn_valgrind)
    set_tests_properties(spawn_valgrind PROPERTIES DISABLED TRUE)
endif()
set_tests_properties(spawn_valgrind PROPERTIES LABELS integration TIMEOUT 120)
