# Groups, their grades and the guard: real trees of children, on each backend.
rp_test(NAME group SOURCES group/test_group.c group/rig.c support/fault.c support/stage.c LABELS integration TIMEOUT 300)
rp_test(NAME guard SOURCES group/test_guard.c group/rig.c support/fault.c support/stage.c LABELS integration TIMEOUT 300)
