# The system that is built for. Sets RP_SYSTEM (linux, freebsd, macos or windows) and gives rp_select, by which each room
# picks its files: the one place of the build that knows which system takes which.

if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    set(RP_SYSTEM linux)
    set(RP_SOURCE_GROUPS COMMON POSIX LINUX)
elseif(CMAKE_SYSTEM_NAME STREQUAL "FreeBSD")
    set(RP_SYSTEM freebsd)
    set(RP_SOURCE_GROUPS COMMON POSIX NOT_LINUX BSD FREEBSD)
elseif(CMAKE_SYSTEM_NAME STREQUAL "Darwin")
    set(RP_SYSTEM macos)
    set(RP_SOURCE_GROUPS COMMON POSIX NOT_LINUX BSD MACOS)
elseif(CMAKE_SYSTEM_NAME STREQUAL "Windows")
    set(RP_SYSTEM windows)
    set(RP_SOURCE_GROUPS COMMON NOT_LINUX WINDOWS)
else()
    message(
        FATAL_ERROR
            "running-process ${PROJECT_VERSION} does not know ${CMAKE_SYSTEM_NAME}: Linux, FreeBSD, macOS (Darwin), Windows.")
endif()

# rp_select(ret_files [COMMON file...] [POSIX file...] [LINUX file...] [BSD file...] [FREEBSD file...] [MACOS file...]
#           [WINDOWS file...] [NOT_LINUX file...])
# Those of the files that this system takes. BSD is FreeBSD and macOS; POSIX is all but Windows.
function(rp_select ret_files)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "COMMON;POSIX;LINUX;NOT_LINUX;BSD;FREEBSD;MACOS;WINDOWS")
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "rp_select: ${arg_UNPARSED_ARGUMENTS} stands in no group")
    endif()
    set(files "")
    foreach(group IN LISTS RP_SOURCE_GROUPS)
        list(APPEND files ${arg_${group}})
    endforeach()
    set(${ret_files} "${files}" PARENT_SCOPE)
endfunction()

# The same groups; what this system takes becomes part of the library. Paths are seen from the caller's folder.
function(rp_library_sources)
    rp_select(files ${ARGN})
    list(TRANSFORM files PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
    target_sources(rp_objects PRIVATE ${files})
endfunction()
