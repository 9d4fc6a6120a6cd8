# The tests of FreeBSD and macOS: the sources of the other systems, as far as what they are about is there.

set(contract reactor/contract_operations.c reactor/contract_turn.c support/fault.c)
rp_test(
    NAME reactor_fake
    SOURCES ${contract} reactor/rig_fake.c fake/fake.c
    LABELS contract
    TIMEOUT 120)
rp_test(
    NAME reactor_kqueue
    SOURCES ${contract} reactor/rig_system.c reactor/rig_process_bsd.c
    LABELS contract
    TIMEOUT 300)
target_compile_definitions(test_reactor_kqueue PRIVATE RIG_BACKEND=RP_BACKEND_KQUEUE)

foreach(module lines capture marks attention_rule idle_rule)
    rp_test(NAME ${module} SOURCES core/test_${module}.c support/fault.c LABELS unit TIMEOUT 300)
endforeach()
foreach(module heap text)
    rp_test(NAME ${module} SOURCES base/test_${module}.c support/fault.c LABELS unit TIMEOUT 300)
endforeach()

# Real children, in one program: it is what is carried to a system that only runs it.
set(conformance "")
foreach(subject process streams drain stdin stop timeouts close pull run)
    list(APPEND conformance core/test_${subject}.c)
endforeach()
foreach(subject terminal typing drain)
    list(APPEND conformance pty/test_${subject}.c)
endforeach()
rp_test(NAME conformance SOURCES ${conformance} pty/rig.c support/stage.c support/fault.c
        LABELS integration TIMEOUT 1200)
