# What `cmake --install` writes: the program with its manual and completions, and what programs that embed the host need.
include(GNUInstallDirs)
install(TARGETS molecule RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
# for specs in a plain busted: docs/testing.md
install(DIRECTORY lua/molecule DESTINATION ${CMAKE_INSTALL_DATADIR}/molecule/lua COMPONENT program
    FILES_MATCHING PATTERN "*.lua" PATTERN emulator EXCLUDE PATTERN playground EXCLUDE PATTERN completion EXCLUDE
    PATTERN templates EXCLUDE PATTERN types.lua EXCLUDE PATTERN repl.lua EXCLUDE)
install(FILES lua/molecule/types.lua DESTINATION ${CMAKE_INSTALL_DATADIR}/molecule COMPONENT program)

foreach(part 1 7)
    install(DIRECTORY ${MANUAL_DIR}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man${part} COMPONENT program
        FILES_MATCHING PATTERN "*.${part}")
endforeach()
set(completions lua/molecule/completion)
install(FILES ${completions}/bash.txt DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
    RENAME molecule COMPONENT program)
install(FILES ${completions}/zsh.txt DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions
    RENAME _molecule COMPONENT program)
install(FILES ${completions}/fish.txt DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
    RENAME molecule.fish COMPONENT program)

install(TARGETS libmolecule ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY include/molecule DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
configure_file(cmake/molecule.pc.in molecule.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/molecule.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
