/* The terminal of `molecule dev`: reads typed lines on its own thread, and combines what the host
 * reports of messages with what the emulator sees. lua/molecule/emulator/console.lua interprets the
 * lines and prints everything. */
#ifndef MOLECULE_COMMANDS_DEV_TERMINAL_H
#define MOLECULE_COMMANDS_DEV_TERMINAL_H

#include "molecule/molecule.h"
#include "script/emulator.h"

struct dev_terminal;
struct thread;

struct dev_terminal *dev_terminal_open(void);
/* Reads standard input from now on. The emulator runs on `thread` and has a console; both outlive
 * dev_terminal_stop. */
void dev_terminal_start(struct dev_terminal *terminal, struct thread *thread,
                        struct emulator *emulator);
void dev_terminal_stop(struct dev_terminal *terminal);
void dev_terminal_close(struct dev_terminal *terminal);

/* What the host reports, between start and stop; its replies come by dev_terminal_reply. */
void dev_terminal_event(struct dev_terminal *terminal, const struct molecule_event *event);
/* This reply is about to be posted: hash_bytes of its body, and how many bytes it has. */
void dev_terminal_reply(struct dev_terminal *terminal, const char *row_id, uint64_t digest,
                        size_t length);
/* For emulator_options.reply_to: from any thread. */
bool dev_terminal_reply_to(struct dev_terminal *terminal, const char *body, size_t length,
                           char row_id[EMULATOR_ROW_ID_SIZE]);

#endif
