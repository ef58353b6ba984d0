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
 * else the system's. A file's variable that names the system's own does not count. `beside`:
 * `ca_file` is trusted beside the system's directory of certificates, not instead of it. Loopback,
 * by any name and address, is asked through no proxy. */
void http_trust_open(struct http_trust *trust, const char *ca_file, bool beside);
void http_trust_close(struct http_trust *trust);
void http_trust_apply(const struct http_trust *trust, CURL *easy);

#endif
