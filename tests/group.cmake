# Groups, their grades and the guard: real trees of children, on each backend. The guard's hosts are copies of the test that
# start threads, which ThreadSanitizer has to be told to allow.
rp_test(NAME group SOURCES group/test_group.c group/rig.c support/fault.c support/stage.c LABELS integration TIMEOUT 300)
rp_test(NAME group_fault SOURCES group/test_group_fault.c group/rig.c support/fault.c support/stage.c
        LABELS integration TIMEOUT 300)
rp_test(NAME survivors SOURCES group/test_survivors.c group/rig.c support/fault.c support/stage.c LABELS integration
        TIMEOUT 300)
rp_test(NAME limits SOURCES group/test_limits.c group/fake_cgroup.c group/rig.c support/fault.c support/stage.c
        LABELS integration TIMEOUT 300)
rp_test(NAME strangers SOURCES group/test_strangers.c LABELS integration TIMEOUT 300)
rp_test(NAME guard SOURCES group/test_guard.c group/rig.c support/fault.c support/stage.c LABELS integration TIMEOUT 300
        ENVIRONMENT "TSAN_OPTIONS=halt_on_error=1:die_after_fork=0:suppressions=${CMAKE_CURRENT_SOURCE_DIR}/support/tsan.supp")
