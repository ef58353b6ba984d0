# What `cmake --install` writes: the program with its manual and completions, and what programs that embed the host need.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS molecule RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
# for specs in a plain busted: docs/testing.md
install(DIRECTORY lua/molecule DESTINATION ${CMAKE_INSTALL_DATADIR}/molecule/lua COMPONENT program
    FILES_MATCHING PATTERN "*.lua" PATTERN emulator EXCLUDE PATTERN playground EXCLUDE PATTERN completion EXCLUDE
    PATTERN templates EXCLUDE PATTERN types.lua EXCLUDE PATTERN repl.lua EXCLUDE)
install(FILES lua/molecule/types.lua DESTINATION ${CMAKE_INSTALL_DATADIR}/molecule COMPONENT program)

foreach(part 1 7)
    install(DIRECTORY ${MANUAL_DIR}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man${part} COMPONENT program OPTIONAL
        FILES_MATCHING PATTERN "*.${part}")
endforeach()
set(completions lua/molecule/completion)
install(FILES ${completions}/bash.txt DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
    RENAME molecule COMPONENT program)
install(FILES ${completions}/zsh.txt DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions
    RENAME _molecule COMPONENT program)
install(FILES ${completions}/fish.txt DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
    RENAME molecule.fish COMPONENT program)

# The units start the program where it is installed.
file(GLOB units CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} dist/systemd/*.service dist/systemd/*.socket)
install(CODE "
    foreach(unit ${units})
        file(READ \"${CMAKE_SOURCE_DIR}/\${unit}\" text)
        string(REPLACE /usr/bin/molecule \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/molecule\" text \"\${text}\")
        get_filename_component(name \${unit} NAME)
        file(WRITE \"${CMAKE_BINARY_DIR}/units/\${name}\" \"\${text}\")
        file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/lib/systemd/system\" TYPE FILE
            FILES \"${CMAKE_BINARY_DIR}/units/\${name}\")
    endforeach()" COMPONENT program)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/molecule)
set_target_properties(libmolecule PROPERTIES EXPORT_NAME molecule)
install(TARGETS libmolecule EXPORT molecule ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT molecule NAMESPACE molecule:: FILE molecule-targets.cmake DESTINATION ${config_dir} COMPONENT development)
configure_package_config_file(cmake/molecule-config.cmake.in molecule-config.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(molecule-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/molecule-config.cmake ${CMAKE_BINARY_DIR}/molecule-config-version.cmake
    DESTINATION ${config_dir} COMPONENT development)
install(DIRECTORY include/molecule DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR} OR IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
    set(pc_prefix ${CMAKE_INSTALL_PREFIX})
    set(pc_libdir ${CMAKE_INSTALL_FULL_LIBDIR})
    set(pc_includedir ${CMAKE_INSTALL_FULL_INCLUDEDIR})
else() # wherever it was installed to
    string(REGEX REPLACE "[^/]+" ".." up ${CMAKE_INSTALL_LIBDIR})
    set(pc_prefix "\${pcfiledir}/../${up}")
    set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(cmake/molecule.pc.in molecule.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/molecule.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
