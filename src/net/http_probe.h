/* One request that waits for its end, to find out what is wrong: it tells how far it came. For
 * commands, outside of any loop; certificates and proxies as every client of ours has them. */
#ifndef MOLECULE_NET_HTTP_PROBE_H
#define MOLECULE_NET_HTTP_PROBE_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where it ended. */
enum http_probe_end {
    HTTP_PROBE_URL,     /* not a URL, or what it needs is not here */
    HTTP_PROBE_PROXY,   /* the proxy cannot be reached, or refuses */
    HTTP_PROBE_NAME,    /* the host's name has no address */
    HTTP_PROBE_CONNECT, /* no connection */
    HTTP_PROBE_TRUST,   /* --ca-file cannot be read */
    HTTP_PROBE_TLS,     /* no TLS, or a certificate that is not trusted */
    HTTP_PROBE_SILENT,  /* connected, and no whole answer */
    HTTP_PROBE_ANSWERED
};

struct http_probe_request {
    const char *url;
    char *const *headers; /* "Name: value", NULL-terminated; NULL: none */
    const char *ca_file;  /* as struct http_client_options */
    int64_t timeout_ms;
    size_t maximum; /* of the body */
    bool stream;    /* a good answer ends with its head */
};

struct http_probe {
    enum http_probe_end end;
    int status;              /* 0: no answer */
    struct buffer head;      /* the answer's header lines */
    struct buffer body;      /* may be cut at the maximum */
    char error[512];         /* "" if answered */
    char proxy[300];         /* without credentials; "": none is used */
    char proxy_variable[32]; /* that names it */
    char address[64];        /* what it connected to; "": nothing */
    int64_t answered_ms;     /* wall clock */
};

void http_probe(const struct http_probe_request *request, struct http_probe *probe);
void http_probe_free(struct http_probe *probe);
/* The last header of this name. false: none. */
bool http_probe_header(const struct http_probe *probe, const char *name, char *value, size_t size);
/* Of the Date header; 0: none that can be read. */
int64_t http_probe_date_s(const struct http_probe *probe);

/* What a server shows, trusted or not; nothing is sent to it. */
struct http_certificate {
    int64_t begins_s, expires_s; /* 0: unknown */
    char subject[256], issuer[256], names[512];
};
/* false: it shows none. */
bool http_probe_certificate(const char *url, int64_t timeout_ms,
                            struct http_certificate *certificate);

#endif
