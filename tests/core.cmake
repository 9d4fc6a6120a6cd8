# Tests of the core. The pure modules stand alone; the others run real children (child.c) on each backend, through the public
# functions, on a stage that afterwards looks for what was left behind.

foreach(module lines capture marks attention_rule idle_rule)
    rp_test(NAME ${module} SOURCES core/test_${module}.c support/fault.c LABELS unit TIMEOUT 300)
endforeach()

foreach(subject idle process streams drain stdin stop timeouts close admission pull run loop fork badinput fault family
        find holders explain)
    rp_test(NAME ${subject} SOURCES core/test_${subject}.c support/fault.c support/stage.c LABELS integration TIMEOUT 300)
endforeach()

if(RP_HAVE_REGEX)
    foreach(subject expect expect_wait expect_terminal)
        rp_test(NAME ${subject} SOURCES core/test_${subject}.c support/expecting.c support/fault.c support/stage.c
                LABELS integration TIMEOUT 300)
    endforeach()
    rp_test(NAME matcher SOURCES core/test_matcher.c support/fault.c LABELS unit TIMEOUT 300)
    rp_test(NAME differential SOURCES core/test_differential.c LABELS unit TIMEOUT 300 LIBS ${RP_REGEX_LIBRARY})
endif()

if(RP_HAVE_TRACK)
    rp_test(NAME track SOURCES core/test_track.c support/fault.c support/stage.c LABELS integration TIMEOUT 600
            LIBS ${RP_TRACK_LIBRARY})
endif()
