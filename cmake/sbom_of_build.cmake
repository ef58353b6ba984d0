# SBOM, a bill of materials (cmake/sbom.cmake), is made again when a package is installed or upgraded.
set(sbom_libraries ${MOLECULE_ARCHIVES})
set(sbom_packages "")
foreach(prefix LIBCURL LUA LIBUV JANSSON SQLITE MICROHTTPD NETTLE)
    get_target_property(linked PkgConfig::${prefix} INTERFACE_LINK_LIBRARIES)
    list(FILTER linked INCLUDE REGEX "^/.*\\.so")
    list(APPEND sbom_libraries ${linked})
    list(APPEND sbom_packages ${${prefix}_MODULE_NAME}=${${prefix}_VERSION})
endforeach()
find_library(LIBC_LIBRARY NAMES libc.so.6)
find_library(LIBM_LIBRARY NAMES libm.so.6)
find_library(LIBEDIT_LIBRARY NAMES libedit.so.2)
list(APPEND sbom_libraries ${LIBC_LIBRARY} ${LIBM_LIBRARY})
list(REMOVE_DUPLICATES sbom_libraries)
set(sbom_depends cmake/sbom.cmake)
if(EXISTS /var/lib/dpkg/status)
    list(APPEND sbom_depends /var/lib/dpkg/status)
endif()
add_custom_command(OUTPUT ${SBOM}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${SBOM} -DVERSION=${PROJECT_VERSION} "-DLIBRARIES=${sbom_libraries}"
            "-DOPTIONAL=$<$<BOOL:${LIBEDIT_LIBRARY}>:${LIBEDIT_LIBRARY}>" "-DPACKAGES=${sbom_packages}"
            -P ${CMAKE_SOURCE_DIR}/cmake/sbom.cmake
    DEPENDS ${sbom_depends} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM)
