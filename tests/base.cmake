# The tests of base/.
rp_test(NAME base SOURCES base/test_base.c support/fault.c LABELS unit TIMEOUT 120)
rp_test(NAME heap SOURCES base/test_heap.c support/fault.c LABELS unit TIMEOUT 120)
rp_test(NAME ring SOURCES base/test_ring.c support/fault.c LABELS unit TIMEOUT 300)
rp_test(NAME status SOURCES base/test_status.c LABELS unit TIMEOUT 60)
rp_test(NAME text SOURCES base/test_text.c LABELS unit TIMEOUT 120)
include(core_command.cmake)
