/* The header lines of a request to the platform. Most requests of a workspace carry the same ones,
 * which are built once and shared. */
#ifndef MOLECULE_WIRE_PLATFORM_HEADERS_H
#define MOLECULE_WIRE_PLATFORM_HEADERS_H

struct platform;
struct platform_headers;

/* Which lines they are, beside Authorization, Origin and X-Molecule-Org-Id. */
enum platform_header_set {
    PLATFORM_HEADERS_GET,
    PLATFORM_HEADERS_EVENTS, /* Accept: text/event-stream */
    PLATFORM_HEADERS_POST,   /* Content-Type: application/json */
    PLATFORM_HEADERS_PEER,   /* the same, and X-Workspace-ID */
    PLATFORM_HEADERS_SETS
};

/* What a platform keeps of them: they hold for one token. On the network thread alone. */
struct platform_header_cache {
    char *token; /* NULL: without one */
    struct platform_headers *sets[PLATFORM_HEADERS_SETS];
};

/* One more owner of the shared lines. */
struct platform_headers *platform_headers_take(const struct platform *platform, const char *token,
                                               enum platform_header_set set);
/* Lines that are not shared: a multipart/form-data body with this boundary. */
struct platform_headers *platform_headers_of_upload(const struct platform *platform,
                                                    const char *token, const char *boundary);
/* "Name: value", NULL-terminated. */
char *const *platform_headers_lines(const struct platform_headers *headers);
void platform_headers_release(struct platform_headers *headers); /* wiped by the last; or NULL */
void platform_headers_forget(struct platform_header_cache *cache);

#endif
