/* Another program, and what it prints: systemctl, journalctl. */
#ifndef MOLECULE_COMMANDS_PROGRAM_H
#define MOLECULE_COMMANDS_PROGRAM_H

#include "base/buffer.h"

#include <stdint.h>

/* Its exit code; -1: it is not there, ended by a signal, or took longer, and was ended. What it
 * wrote to standard output is in `output`, up to its maximum; standard error is dropped. */
int program_run(const char *const words[], int64_t timeout_ms, struct buffer *output);

#endif
