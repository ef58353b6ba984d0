/* The subcommands: one file each. */
#ifndef MOLECULE_COMMANDS_COMMANDS_H
#define MOLECULE_COMMANDS_COMMANDS_H

#include "commands/options.h"

/* In the order of `molecule --help`. */
#define COMMANDS(X)       \
    X(command_connect)    \
    X(command_fleet)      \
    X(command_serve)      \
    X(command_dev)        \
    X(command_try)        \
    X(command_repl)       \
    X(command_check)      \
    X(command_test)       \
    X(command_replay)     \
    X(command_init)       \
    X(command_doctor)     \
    X(command_report)     \
    X(command_status)     \
    X(command_backup)     \
    X(command_restore)    \
    X(command_compact)    \
    X(command_peers)      \
    X(command_send)       \
    X(command_dead)       \
    X(command_answer)     \
    X(command_config)     \
    X(command_completion) \
    X(command_version)

#define X(symbol) extern const struct command symbol;
COMMANDS(X)
#undef X

#endif
