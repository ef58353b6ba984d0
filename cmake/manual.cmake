# The manual pages, made from --help of the program that was built and from docs/. A Lua interpreter makes them: without
# one, or where the program cannot run here, there are none.
find_program(LUA_PROGRAM NAMES lua5.4 lua54 lua DOC "makes the manual pages")
set(MANUAL_DIR ${CMAKE_BINARY_DIR}/man)
if(NOT LUA_PROGRAM OR (CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR))
    message(STATUS "no manual pages: they need lua5.4, and a program that runs here")
    return()
endif()
set(manual_sources cmake/manual-pages cmake/mdoc.lua cmake/help.lua README.md CHANGELOG.md docs/script-api.md
    docs/guarantees.md docs/configuration.md docs/operations.md)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/man.stamp
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${MANUAL_DIR}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${MANUAL_DIR}
    COMMAND ${LUA_PROGRAM} cmake/manual-pages $<TARGET_FILE:molecule> ${MANUAL_DIR}
    COMMAND ${CMAKE_COMMAND} -E touch ${CMAKE_BINARY_DIR}/man.stamp
    DEPENDS molecule ${manual_sources} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} VERBATIM)
add_custom_target(manual ALL DEPENDS ${CMAKE_BINARY_DIR}/man.stamp)
