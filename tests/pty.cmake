# Terminals: the pure modules stand alone; children on pseudo-terminals, through the public functions, on each backend.
rp_test(NAME scan SOURCES pty/test_scan.c LABELS unit TIMEOUT 120)
if(RP_HAVE_SCREEN)
    rp_test(NAME screen SOURCES pty/test_screen.c support/fault.c LABELS unit TIMEOUT 120)
endif()
foreach(subject attention terminal seen drain typing stop fault)
    rp_test(NAME pty_${subject} SOURCES pty/test_${subject}.c pty/rig.c support/fault.c support/stage.c LABELS integration
            TIMEOUT 300)
endforeach()

rp_test(NAME pty_many SOURCES pty/test_many.c pty/rig.c support/fault.c support/stage.c LABELS stress TIMEOUT 300)
target_compile_definitions(test_pty_many PRIVATE "RP_TEST_NOISE_CHILD=\"$<TARGET_FILE:rp_noise_child>\"")
add_dependencies(test_pty_many rp_noise_child)
