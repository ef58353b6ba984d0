/* Bytes that grow, up to a stated maximum. */
#ifndef MOLECULE_BASE_BUFFER_H
#define MOLECULE_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data;    /* NUL-terminated once anything was appended; NULL before */
    size_t length; /* without that NUL */
    size_t capacity;
    size_t maximum; /* appending beyond it is refused and changes nothing */
};

void buffer_init(struct buffer *buffer, size_t maximum);
void buffer_free(struct buffer *buffer);  /* leaves it empty and usable */
void buffer_clear(struct buffer *buffer); /* length 0, memory kept */
bool buffer_append(struct buffer *buffer, const void *bytes, size_t length);
bool buffer_append_text(struct buffer *buffer, const char *text);
bool buffer_append_char(struct buffer *buffer, char character);
bool buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_consume(struct buffer *buffer, size_t length); /* drop bytes from the front */
/* the bytes, NUL-terminated, now the caller's; never NULL */
char *buffer_take(struct buffer *buffer);

#endif
