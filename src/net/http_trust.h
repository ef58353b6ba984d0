/* Which certificates a client of ours trusts, and which hosts it asks no proxy for. Only the HTTP client includes this. */
#ifndef MOLECULE_NET_HTTP_TRUST_H
#define MOLECULE_NET_HTTP_TRUST_H

#include <curl/curl.h>
#include <stdbool.h>

/* What CURLOPT_NOPROXY takes: what no_proxy (or NO_PROXY) says, and every name and address of loopback. Yours to free. */
char *http_trust_no_proxy(void);

/* By precedence: `ca_file` (--ca-file), else CURL_CA_BUNDLE, else SSL_CERT_FILE and SSL_CERT_DIR, else the system's. A file's
 * variable that names the system's own does not count. `beside`: `ca_file` is trusted beside the system's directory of
 * certificates, not instead of it. */
void http_trust_apply(CURL *easy, const char *ca_file, bool beside);

#endif
