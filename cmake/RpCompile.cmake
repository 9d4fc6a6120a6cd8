# How the project's C is compiled: the warnings, the sanitizers, and the C standard by file name. Used by the library, and
# through rp_compile_program by every program of the tree.

add_library(rp_warnings INTERFACE)
target_compile_options(
    rp_warnings
    INTERFACE -Wall
              -Wextra
              -Wpedantic
              -Wshadow
              -Wconversion
              -Wsign-conversion
              -Wstrict-prototypes
              -Wmissing-prototypes
              -Wundef
              -Wvla
              -Wcast-qual
              -Wwrite-strings
              -Wformat=2
              -Wimplicit-fallthrough
              -Wnull-dereference
              -Wswitch-enum
              $<$<BOOL:${RP_WERROR}>:-Werror>)

add_library(rp_sanitize INTERFACE)
if(RP_SANITIZE)
    target_compile_options(
        rp_sanitize INTERFACE "-fsanitize=${RP_SANITIZE}" -fno-omit-frame-pointer
                              -fno-sanitize-recover=all)
    target_link_options(rp_sanitize INTERFACE "-fsanitize=${RP_SANITIZE}")
endif()

# Counters are updated atomically: a child of ours counts in the memory of its parent.
if(RP_COVERAGE)
    target_compile_options(rp_sanitize INTERFACE --coverage -fprofile-update=atomic -fprofile-abs-path)
    target_link_options(rp_sanitize INTERFACE --coverage)
endif()

# Strict C11, except in files named for one system (x_linux.c, x_posix.c): those see that system's interfaces. A folder that
# looks into the system in every file sets RP_C_EXTENSIONS.
set(RP_C_EXTENSIONS OFF)
function(rp_set_standard target)
    set_target_properties(
        ${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ${RP_C_EXTENSIONS})
    get_target_property(sources ${target} SOURCES)
    get_target_property(directory ${target} SOURCE_DIR)
    foreach(source IN LISTS sources)
        if(source MATCHES "_(linux|posix|bsd|freebsd|macos|windows)\\.c$")
            set_property(
                SOURCE "${source}" DIRECTORY "${directory}" APPEND
                PROPERTY COMPILE_OPTIONS -std=gnu11)
        endif()
    endforeach()
endfunction()

# The library's objects: position independent, nothing exported but what RP_API marks.
function(rp_compile_library target)
    rp_set_standard(${target})
    set_target_properties(
        ${target} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
    target_include_directories(
        ${target} PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")
    target_compile_definitions(
        ${target}
        PRIVATE "RP_API=__attribute__((visibility(\"default\")))"
                "RPI_GUARD_PROGRAM=\"${CMAKE_INSTALL_FULL_LIBEXECDIR}/running-process-guard\""
                "RPI_VERSION=\"${PROJECT_VERSION}\"" ${RP_URING_DEFINITIONS}
                ${RP_REGEX_DEFINITIONS})
    target_link_libraries(
        ${target} PRIVATE rp_warnings rp_sanitize Threads::Threads ${RP_URING_LIBRARY}
                          ${RP_REGEX_LIBRARY} ${RP_SCREEN_LIBRARY})
endfunction()

# A program of the tree: the same rules. What it links is the caller's to say.
function(rp_compile_program target)
    rp_set_standard(${target})
    target_link_libraries(${target} PRIVATE rp_warnings rp_sanitize)
endfunction()
