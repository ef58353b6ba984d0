/* Allocation that does not fail: out of memory ends the process with a message. The state on disk
 * is safe at every instant, so ending the process is safe; sizes that a peer chooses are bounded by
 * their buffers instead. */
#ifndef MOLECULE_BASE_MEMORY_H
#define MOLECULE_BASE_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

void *memory_allocate(size_t size);                  /* zeroed; free() it */
void *memory_resize(void *block, size_t size);       /* like realloc */
char *memory_copy(const void *bytes, size_t length); /* a copy with a NUL after it */
char *memory_copy_text(const char *text);            /* NULL stays NULL */
/* Of texts, one after the other. */
#define memory_join(...) memory_join_all((const char *const[]){__VA_ARGS__, NULL})
char *memory_join_all(const char *const texts[]); /* NULL-terminated */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Frees a secret and leaves nothing of it behind. NULL is fine. */
void memory_wipe(char *secret);

#endif
