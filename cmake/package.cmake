# The packages: `cpack --config build/release/CPackConfig.cmake -G DEB` makes molecule_*.deb, the program, and
# libmolecule-dev_*.deb, the library. dist/make makes all that a release has.
set(MOLECULE_MAINTAINER "molecule maintainers <maintainers@users.noreply.github.com>" CACHE STRING
    "Who maintains the packages")

# Whoever builds without SOURCE_DATE_EPOCH gets the date of the newest section of CHANGELOG.md.
file(STRINGS CHANGELOG.md dates REGEX "^## [0-9]+-[0-9]+-[0-9]+" LIMIT_COUNT 1)
string(REGEX MATCH "([0-9]+)-0?([0-9]+)-0?([0-9]+)" date "${dates}")
set(year ${CMAKE_MATCH_1})
set(month ${CMAKE_MATCH_2})
if(month LESS 3) # March is the first month of a year whose last day is the leap day
    math(EXPR year "${year} - 1")
    math(EXPR month "${month} + 12")
endif()
math(EXPR MOLECULE_EPOCH "(${year} * 365 + ${year} / 4 - ${year} / 100 + ${year} / 400 + (153 * (${month} - 3) + 2) / 5 +
    ${CMAKE_MATCH_3} - 719469) * 86400")

set(CPACK_PACKAGE_NAME molecule)
set(CPACK_PACKAGE_VENDOR "the molecule authors")
set(CPACK_PACKAGE_CONTACT "${MOLECULE_MAINTAINER}")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "host that runs a Lua script as an agent")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL program development)
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 1)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME molecule)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS "libedit2, lua-busted, tzdata")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/dist/debian/postinst
    ${CMAKE_SOURCE_DIR}/dist/debian/postrm)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "molecule attaches a machine to a workspace on an agent platform (Molecule AI),
hands every message to a Lua script, and posts the reply that the script
returns. It survives crashes and outages without losing a message or answering
one twice, and needs no public address. It can also serve the script to other
agents, as an A2A server.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libmolecule-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libcurl4-openssl-dev, liblua5.4-dev, libuv1-dev, libjansson-dev, \
libsqlite3-dev, libmicrohttpd-dev, nettle-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "The static library and the headers of molecule, for programs that embed the
host that molecule connect runs. pkg-config and CMake find them.")
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/debian.cmake)
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_BINARY_DIR}/package-date.cmake)
file(CONFIGURE OUTPUT package-date.cmake @ONLY CONTENT [[
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
    set(ENV{SOURCE_DATE_EPOCH} @MOLECULE_EPOCH@)
endif()
]])
set(CPACK_MOLECULE_SOURCE_DIR ${CMAKE_SOURCE_DIR})
include(CPack)
