# The fuzz targets: built by the preset `fuzz`, a minute each as a test.
rp_fuzz(NAME command_line SOURCES fuzz/fuzz_command_line.c)
rp_fuzz(NAME lines SOURCES fuzz/fuzz_lines.c)
rp_fuzz(NAME ring SOURCES fuzz/fuzz_ring.c)
rp_fuzz(NAME scan SOURCES fuzz/fuzz_scan.c)
if(RP_HAVE_SCREEN)
    rp_fuzz(NAME screen SOURCES fuzz/fuzz_screen.c)
endif()
rp_fuzz(NAME utf8 SOURCES fuzz/fuzz_utf8.c)
