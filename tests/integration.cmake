# Tests of the whole library through its public functions, with real children.

add_executable(rp_noise_child stress/noise_child.c)
rp_compile_program(rp_noise_child)
set_target_properties(rp_noise_child PROPERTIES C_EXTENSIONS ON) # kill, cfmakeraw
target_include_directories(rp_noise_child PRIVATE "${PROJECT_SOURCE_DIR}")
set(RP_NOISE_CHILD "RP_TEST_NOISE_CHILD=\"$<TARGET_FILE:rp_noise_child>\"")

foreach(kind children terminals)
    rp_test(NAME random_${kind} SOURCES stress/test_random_${kind}.c LABELS stress TIMEOUT 300)
    target_compile_definitions(test_random_${kind} PRIVATE ${RP_NOISE_CHILD})
    add_dependencies(test_random_${kind} rp_noise_child)
endforeach()

if(RP_HAVE_TRACK)
    rp_test(NAME track_locked SOURCES stress/test_track_locked.c support/fault.c support/stage.c LABELS stress TIMEOUT 300
            LIBS ${RP_TRACK_LIBRARY})
endif()
