# Tests of the whole library through its public functions, with real children.

add_executable(rp_noise_child stress/noise_child.c)
rp_compile_program(rp_noise_child)
set_target_properties(rp_noise_child PROPERTIES C_EXTENSIONS ON) # kill
target_include_directories(rp_noise_child PRIVATE "${PROJECT_SOURCE_DIR}")
set(RP_NOISE_CHILD "RP_TEST_NOISE_CHILD=\"$<TARGET_FILE:rp_noise_child>\"")

rp_test(NAME random_children SOURCES stress/test_random_children.c LABELS stress TIMEOUT 300)
target_compile_definitions(test_random_children PRIVATE ${RP_NOISE_CHILD})
add_dependencies(test_random_children rp_noise_child)
