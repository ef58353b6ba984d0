/* Which certificates a client of ours trusts, and which hosts it asks no proxy for. Only the HTTP
 * client's files include this. */
#ifndef MOLECULE_NET_HTTP_TRUST_H
#define MOLECULE_NET_HTTP_TRUST_H

#include <curl/curl.h>
#include <stdbool.h>

/* Of a client, looked up once. */
struct http_trust {
    char *file, *directory; /* NULL: libcurl's own */
    bool file_alone;        /* no directory at all */
    char *no_proxy;         /* for CURLOPT_NOPROXY; NULL: the environment names no proxy */
};

/* By precedence: `ca_file` (--ca-file), else CURL_CA_BUNDLE, else SSL_CERT_FILE and SSL_CERT_DIR,
 * else the system's. A variable that names the system's own file does not count. `beside`:
 * `ca_file` is trusted in addition to the system's directory of certificates, not instead of it.
 * Loopback, by any name or address, is never reached through a proxy. */
void http_trust_open(struct http_trust *trust, const char *ca_file, bool beside);
void http_trust_close(struct http_trust *trust);
void http_trust_apply(const struct http_trust *trust, CURL *easy);

#endif
