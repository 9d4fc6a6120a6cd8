# Packs the objects into librunning-process.so and librunning-process.a, and names them for those who link:
# running_process::running_process_shared, running_process::running_process_static, and running_process::running_process,
# which in the build tree is the one that BUILD_SHARED_LIBS asks for (as everywhere in CMake: not set means static).

# The linker exports what the list names and nothing else, whatever a compiler or a sanitizer adds.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${RP_SYMBOL_LIST}")
file(STRINGS "${RP_SYMBOL_LIST}" names REGEX "^rp_")
string(REPLACE ";" ";\n        " RP_SYMBOLS "${names};")
set(version_script "${CMAKE_CURRENT_BINARY_DIR}/running-process.map")
configure_file("${CMAKE_CURRENT_LIST_DIR}/running-process.map.in" "${version_script}" @ONLY)

function(rp_finish_library target)
    set_target_properties(
        ${target} PROPERTIES OUTPUT_NAME running-process LINKER_LANGUAGE C)
    target_include_directories(
        ${target} PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
                         "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
    target_link_libraries(
        ${target} PRIVATE $<BUILD_INTERFACE:rp_sanitize> Threads::Threads ${RP_URING_LIBRARY}
                          ${RP_REGEX_LIBRARY} ${RP_SCREEN_LIBRARY} ${RP_TRACK_LIBRARY})
    add_library(running_process::${target} ALIAS ${target})
endfunction()

add_library(running_process_shared SHARED $<TARGET_OBJECTS:rp_objects>)
rp_finish_library(running_process_shared)
set_target_properties(
    running_process_shared
    PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
               LINK_DEPENDS "${version_script}")
if(RP_SYSTEM STREQUAL "macos")
    list(TRANSFORM names PREPEND "_" OUTPUT_VARIABLE exported)
    string(REPLACE ";" "\n" exported "${exported};")
    file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/running-process.exports" CONTENT "${exported}" @ONLY)
    target_link_options(
        running_process_shared
        PRIVATE "LINKER:-exported_symbols_list,${CMAKE_CURRENT_BINARY_DIR}/running-process.exports")
elseif(NOT RP_SYSTEM STREQUAL "windows")
    target_link_options(running_process_shared PRIVATE "LINKER:--version-script=${version_script}")
endif()
# A sanitizer's own symbols come from the program, and on FreeBSD so does `environ`.
if(RP_SYSTEM STREQUAL "linux" AND NOT RP_SANITIZE)
    target_link_options(running_process_shared PRIVATE LINKER:-z,defs)
endif()

add_library(running_process_static STATIC $<TARGET_OBJECTS:rp_objects>)
rp_finish_library(running_process_static)
if(RP_TEST_KQUEUE) # it enters itself into the table of system calls, and nobody names it
    target_link_options(running_process_static INTERFACE LINKER:-u,rpi_kqueue_shim_open)
endif()

if(BUILD_SHARED_LIBS)
    add_library(running_process::running_process ALIAS running_process_shared)
else()
    add_library(running_process::running_process ALIAS running_process_static)
endif()

# As part of somebody's build, only the one that he links is built.
if(NOT RP_INSTALL AND NOT PROJECT_IS_TOP_LEVEL)
    set_target_properties(
        running_process_shared running_process_static PROPERTIES EXCLUDE_FROM_ALL ON)
endif()
