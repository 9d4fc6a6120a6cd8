# The database of tracking: whether SQLite is built in. Sets RP_HAVE_TRACK (TRUE or FALSE) and RP_TRACK_LIBRARY (what to
# link). Without it, rp_track_open is RP_EUNSUPPORTED.

if(NOT RP_WITH_TRACK MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "RP_WITH_TRACK is AUTO, ON or OFF, not '${RP_WITH_TRACK}'.")
endif()

set(RP_HAVE_TRACK FALSE)
set(RP_TRACK_LIBRARY "")
if(NOT RP_WITH_TRACK STREQUAL "OFF")
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        # 3.20 has statements that are kept for long (sqlite3_prepare_v3), 3.22 reads a WAL without writing.
        pkg_check_modules(RP_SQLITE QUIET IMPORTED_TARGET "sqlite3 >= 3.22")
    endif()
    if(RP_SQLITE_FOUND)
        set(RP_HAVE_TRACK TRUE)
        set(RP_TRACK_LIBRARY PkgConfig::RP_SQLITE)
        message(STATUS "Tracking: SQLite ${RP_SQLITE_VERSION}")
    elseif(RP_WITH_TRACK STREQUAL "AUTO")
        message(STATUS "Tracking: left out, as pkg-config finds no sqlite3 of 3.22 or newer")
    else()
        message(FATAL_ERROR "RP_WITH_TRACK is ON, but pkg-config finds no sqlite3 of 3.22 or newer (Debian: libsqlite3-dev).")
    endif()
else()
    message(STATUS "Tracking: left out, as RP_WITH_TRACK is OFF")
endif()
