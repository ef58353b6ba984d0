/* The file of `molecule try --store`: a JSON object, the script's stored values by key. */
#ifndef MOLECULE_COMMANDS_TRY_STORE_H
#define MOLECULE_COMMANDS_TRY_STORE_H

#include <stdbool.h>
#include <stddef.h>

/* Puts what the file holds into a workspace's ledger, which no host has open; a file that is
 * missing holds nothing. false: `problem` says why. */
bool try_store_load(const char *file, const char *ledger_path, const char *platform, char *problem,
                    size_t problem_size);
/* Replaces the file with what the ledger holds. */
bool try_store_save(const char *file, const char *ledger_path, char *problem, size_t problem_size);

#endif
