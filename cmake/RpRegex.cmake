# Regular expressions: whether they are built. Sets RP_HAVE_REGEX (TRUE or FALSE), RP_REGEX_LIBRARY (what to link) and
# RP_REGEX_DEFINITIONS (RP_HAVE_REGEX, or nothing: the C code asks with `#ifdef`).

if(NOT RP_WITH_REGEX MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "RP_WITH_REGEX is AUTO, ON or OFF, not '${RP_WITH_REGEX}'.")
endif()

set(RP_HAVE_REGEX FALSE)
set(RP_REGEX_LIBRARY "")
if(NOT RP_WITH_REGEX STREQUAL "OFF")
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        # 10.38: what matches text that is not UTF-8 (PCRE2_MATCH_INVALID_UTF) is right from there on.
        pkg_check_modules(RP_PCRE2 QUIET IMPORTED_TARGET libpcre2-8>=10.38)
    endif()
    if(RP_PCRE2_FOUND)
        set(RP_HAVE_REGEX TRUE)
        set(RP_REGEX_LIBRARY PkgConfig::RP_PCRE2)
        message(STATUS "Regular expressions: PCRE2 ${RP_PCRE2_VERSION}")
    elseif(RP_WITH_REGEX STREQUAL "AUTO")
        message(STATUS "Regular expressions: left out, as pkg-config finds no libpcre2-8 of 10.38 or newer")
    else()
        message(FATAL_ERROR "RP_WITH_REGEX is ON, but pkg-config finds no libpcre2-8 of 10.38 or newer (Debian: libpcre2-dev).")
    endif()
else()
    message(STATUS "Regular expressions: left out, as RP_WITH_REGEX is OFF")
endif()

set(RP_REGEX_DEFINITIONS $<$<BOOL:${RP_HAVE_REGEX}>:RP_HAVE_REGEX>)
