/* Bytes that several owners read and nobody changes, such as a row on its way to the disk thread.
 * Freed by whoever releases them last, on any thread. */
#ifndef MOLECULE_BASE_SHARED_H
#define MOLECULE_BASE_SHARED_H

#include <stddef.h>

char *shared_allocate(size_t length); /* to be filled before it has a second owner */
const char *shared_copy(const void *bytes, size_t length); /* NUL-terminated; one owner */
const char *shared_take(const char *bytes);                /* one more owner; NULL for NULL */
void shared_release(const char *bytes);                    /* NULL is fine */

#endif
