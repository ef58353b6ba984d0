/* The directory that holds tokens, cursors and ledgers: nobody else may enter it. */
#ifndef MOLECULE_STATE_PRIVATE_DIRECTORY_H
#define MOLECULE_STATE_PRIVATE_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>

enum private_directory {
    PRIVATE_DIRECTORY_FINE,
    PRIVATE_DIRECTORY_TIGHTENED, /* others could enter; its mode is 0700 now */
    /* others can enter, and it is not ours alone: `problem` says what to do */
    PRIVATE_DIRECTORY_REFUSED
};

/* Tightens a directory that belongs to this user and holds nothing but what molecule keeps in one.
 * Any other directory that others may enter is refused: its mode was someone's decision. */
enum private_directory private_directory_check(const char *path, char *problem,
                                               size_t problem_size);

#endif
