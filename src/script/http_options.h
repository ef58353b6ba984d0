/* What the table at stack index 1 says of a request: everything is checked here, before anything is
 * allocated. */
#ifndef MOLECULE_SCRIPT_HTTP_OPTIONS_H
#define MOLECULE_SCRIPT_HTTP_OPTIONS_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEADERS_MAXIMUM 100

/* The texts are Lua's, valid while they are on the stack. */
struct http_options {
    const char *url, *method, *body; /* body NULL: none */
    size_t body_length;
    int headers;        /* stack index of the table of headers, or of nil */
    size_t text_length; /* bytes of url, body and headers */
    int64_t timeout_ms, redirects;
    size_t response_maximum;
    bool public_only; /* only public addresses: what a sender's file names */
};

/* Leaves on the stack what `options` refers to. Raises at the script's line for what is wrong. */
void http_options_read(lua_State *L, bool streaming, struct http_options *options);
/* Fills in "name: value" for each header, and NULL; yours to free. Raises nothing. */
void http_options_copy_headers(lua_State *L, const struct http_options *options,
                               char *headers[HTTP_HEADERS_MAXIMUM + 1]);

#endif
