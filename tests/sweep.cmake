# The fault sweep: scenarios as data, a program a kind so that they run side by side; and hosts that deny or disturb.

foreach(kind pipes terminals trees)
    rp_test(NAME sweep_${kind} SOURCES sweep/test_${kind}.c sweep/life.c pty/rig.c support/fault.c support/stage.c
            LABELS stress TIMEOUT 900)
endforeach()
