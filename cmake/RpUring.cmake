# The io_uring backend: whether it is built, and what the installed liburing knows. Sets RP_HAVE_URING (TRUE or FALSE),
# RP_URING_LIBRARY (what to link) and RP_URING_DEFINITIONS (RP_HAVE_URING, or nothing: the C code asks with `#ifdef`).

include(CheckCSourceCompiles)

if(NOT RP_WITH_URING MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "RP_WITH_URING is AUTO, ON or OFF, not '${RP_WITH_URING}'.")
endif()

set(RP_HAVE_URING FALSE)
set(RP_URING_LIBRARY "")
if(NOT RP_WITH_URING STREQUAL "OFF")
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        pkg_check_modules(RP_LIBURING QUIET IMPORTED_TARGET liburing)
    endif()
    if(RP_LIBURING_FOUND)
        set(RP_HAVE_URING TRUE)
        set(RP_URING_LIBRARY PkgConfig::RP_LIBURING)
        message(STATUS "io_uring backend: liburing ${RP_LIBURING_VERSION}")
    elseif(RP_WITH_URING STREQUAL "AUTO")
        message(STATUS "io_uring backend: left out, as pkg-config finds no liburing; the epoll backend is used")
    else()
        message(FATAL_ERROR "RP_WITH_URING is ON, but pkg-config finds no liburing (Debian: liburing-dev).")
    endif()
else()
    message(STATUS "io_uring backend: left out, as RP_WITH_URING is OFF; the epoll backend is used")
endif()

set(RP_URING_DEFINITIONS $<$<BOOL:${RP_HAVE_URING}>:RP_HAVE_URING>)

# rp_check_liburing(NAME...): for each name of liburing.h, a constant, an enumerator, a macro or a function, defines
# RPI_HAVE_<NAME> as 1 or 0 for the library. A name that is missing is then defined by the file that uses it.
function(rp_check_liburing)
    set(CMAKE_REQUIRED_LIBRARIES ${RP_URING_LIBRARY})
    set(CMAKE_REQUIRED_DEFINITIONS -D_GNU_SOURCE)
    set(CMAKE_REQUIRED_QUIET TRUE)
    foreach(name IN LISTS ARGN)
        check_c_source_compiles(
            "#include <liburing.h>
             int main(void) { return (int)(sizeof(${name}) == 0); }"
            RP_LIBURING_HAS_${name})
        if(RP_LIBURING_HAS_${name})
            target_compile_definitions(rp_objects PRIVATE RPI_HAVE_${name}=1)
        else()
            target_compile_definitions(rp_objects PRIVATE RPI_HAVE_${name}=0)
        endif()
    endforeach()
endfunction()
