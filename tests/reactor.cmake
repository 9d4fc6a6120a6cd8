# The reactor's tests: one contract against every backend, and what only real systems do against the real ones.

set(contract reactor/contract_operations.c reactor/contract_turn.c support/fault.c)
set(system
    reactor/rig_process_linux.c
    reactor/rig_system.c
    reactor/system_kernel.c
    reactor/system_open.c
    reactor/system_support.c
    reactor/system_wake.c
    reactor/system_watch.c)

rp_test(
    NAME reactor_fake
    SOURCES ${contract} reactor/rig_fake.c fake/fake.c
    LABELS contract
    TIMEOUT 120)

set(backends epoll)
if(RP_HAVE_URING)
    list(APPEND backends uring)
endif()
if(RP_TEST_KQUEUE)
    set(backends kqueue) # the others' tests are those of a build without it
endif()
foreach(backend IN LISTS backends)
    rp_test(
        NAME reactor_${backend}
        SOURCES ${contract} ${system}
        LABELS contract
        TIMEOUT 300)
    string(TOUPPER ${backend} name)
    target_compile_definitions(test_reactor_${backend} PRIVATE RIG_BACKEND=RP_BACKEND_${name} "RIG_BACKEND_NAME=\"${backend}\"")
endforeach()
