# What `cmake --install` puts where: both libraries, the public headers, the programs, the manual pages, and two ways to be
# found: pkg-config (running-process) and find_package(running_process).

include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/running_process")
set(generated_dir "${CMAKE_CURRENT_BINARY_DIR}/package")

# Two export sets, as a program that links the shared library needs nothing of what the static one does.
install(
    TARGETS running_process_shared
    EXPORT running_process_shared
    RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(
    TARGETS running_process_static
    EXPORT running_process_static
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
foreach(kind shared static)
    install(
        EXPORT running_process_${kind}
        NAMESPACE running_process::
        FILE running_process-${kind}.cmake
        DESTINATION "${package_dir}")
endforeach()

if(TARGET running-process-guard)
    install(TARGETS running-process-guard RUNTIME DESTINATION "${CMAKE_INSTALL_LIBEXECDIR}")
endif()
if(RP_BUILD_CLI)
    install(TARGETS running-process running-process-cleanup RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

install(
    DIRECTORY "${PROJECT_SOURCE_DIR}/include/rp"
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING PATTERN "*.h")

configure_package_config_file(
    "${CMAKE_CURRENT_LIST_DIR}/running_processConfig.cmake.in"
    "${generated_dir}/running_processConfig.cmake"
    INSTALL_DESTINATION "${package_dir}"
    NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(
    "${generated_dir}/running_processConfigVersion.cmake"
    VERSION ${PROJECT_VERSION}
    COMPATIBILITY SameMajorVersion)
install(
    FILES "${generated_dir}/running_processConfig.cmake"
          "${generated_dir}/running_processConfigVersion.cmake"
    DESTINATION "${package_dir}")

# pkg-config knows no generator expressions: what the static library needs is spelled out. The prefix is found from the
# file's own place, so that an installed tree may be moved, unless a directory was given as an absolute path.
set(RP_PC_REQUIRES_PRIVATE "")
if(RP_HAVE_URING)
    list(APPEND RP_PC_REQUIRES_PRIVATE liburing)
endif()
if(RP_HAVE_REGEX)
    list(APPEND RP_PC_REQUIRES_PRIVATE libpcre2-8)
endif()
if(RP_HAVE_SCREEN)
    list(APPEND RP_PC_REQUIRES_PRIVATE vterm)
endif()
if(RP_HAVE_TRACK)
    list(APPEND RP_PC_REQUIRES_PRIVATE sqlite3)
endif()
list(JOIN RP_PC_REQUIRES_PRIVATE ", " RP_PC_REQUIRES_PRIVATE)
set(RP_PC_LIBS_PRIVATE "-lpthread")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(RP_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(RP_PC_PREFIX "\${pcfiledir}/${up}")
endif()
foreach(kind LIB INCLUDE)
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}DIR}")
        set(RP_PC_${kind}DIR "${CMAKE_INSTALL_${kind}DIR}")
    else()
        set(RP_PC_${kind}DIR "\${prefix}/${CMAKE_INSTALL_${kind}DIR}")
    endif()
endforeach()
configure_file(
    "${CMAKE_CURRENT_LIST_DIR}/running-process.pc.in" "${generated_dir}/running-process.pc" @ONLY)
install(
    FILES "${generated_dir}/running-process.pc"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

foreach(section 1 3 7)
    file(GLOB pages "${PROJECT_SOURCE_DIR}/docs/man/*.${section}")
    if(pages)
        install(FILES ${pages} DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}")
    endif()
endforeach()
