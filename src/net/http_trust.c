#include "net/http_trust.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define LOOPBACK "localhost,127.0.0.1,127.0.0.0/8,::1" /* the range: libcurl 7.86 and later */

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* A variable that names the system's own file means nothing: images set all of them to it. */
static const char *chosen_file(const char *name)
{
    const char *file = variable(name), *systems = curl_version_info(CURLVERSION_NOW)->cainfo;
    return file && systems && strcmp(file, systems) == 0 ? NULL : file;
}

static bool names_proxy(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (variable(names[i]))
            return true;
    return false;
}

/* What the environment excepts, and loopback. */
static char *find_no_proxy(void)
{
    const char *given = variable("no_proxy");
    given = given ? given : variable("NO_PROXY");
    if (given && strcmp(given, "*") == 0) /* for nothing at all */
        return memory_copy_text(given);
    return given ? memory_format("%s," LOOPBACK, given) : memory_copy_text(LOOPBACK);
}

void http_trust_open(struct http_trust *trust, const char *ca_file, bool beside)
{
    const char *bundle = ca_file ? ca_file : chosen_file("CURL_CA_BUNDLE");
    trust->file = memory_copy_text(bundle ? bundle : chosen_file("SSL_CERT_FILE"));
    trust->file_alone = ca_file && !beside;
    trust->directory = trust->file_alone || (bundle && !ca_file)
                           ? NULL
                           : memory_copy_text(variable("SSL_CERT_DIR"));
    trust->no_proxy = names_proxy() ? find_no_proxy() : NULL;
}

void http_trust_close(struct http_trust *trust)
{
    free(trust->file);
    free(trust->directory);
    free(trust->no_proxy);
}

void http_trust_apply(const struct http_trust *trust, CURL *easy)
{
    if (trust->file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, trust->file);
    if (trust->directory || trust->file_alone)
        curl_easy_setopt(easy, CURLOPT_CAPATH, trust->directory);
    if (trust->no_proxy)
        curl_easy_setopt(easy, CURLOPT_NOPROXY, trust->no_proxy);
    /* a tunneling proxy does not see the token */
    curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
}
