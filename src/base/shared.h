/* Bytes that several owners read and nobody changes: a row on its way to the disk thread, for
 * instance. Freed by the last one that lets go of them, on whichever thread that is. */
#ifndef MOLECULE_BASE_SHARED_H
#define MOLECULE_BASE_SHARED_H

#include <stddef.h>

const char *shared_copy(const void *bytes, size_t length); /* NUL-terminated; one owner */
const char *shared_take(const char *bytes);                /* one more owner; NULL for NULL */
void shared_release(const char *bytes);                    /* NULL is fine */

#endif
