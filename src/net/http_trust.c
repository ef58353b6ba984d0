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

/* One that names the system's own says nothing: images set all variables of this kind to it. */
static const char *chosen_file(const char *name)
{
    const char *file = variable(name), *systems = curl_version_info(CURLVERSION_NOW)->cainfo;
    return file && systems && strcmp(file, systems) == 0 ? NULL : file;
}

char *http_trust_no_proxy(void)
{
    const char *given = variable("no_proxy");
    given = given ? given : variable("NO_PROXY");
    if (given && strcmp(given, "*") == 0) /* for nothing at all */
        return memory_copy_text(given);
    return given ? memory_format("%s," LOOPBACK, given) : memory_copy_text(LOOPBACK);
}

void http_trust_apply(CURL *easy, const char *ca_file, bool beside)
{
    const char *bundle = chosen_file("CURL_CA_BUNDLE"), *file = chosen_file("SSL_CERT_FILE");
    const char *directory = variable("SSL_CERT_DIR");
    if (ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
        if (!beside)
            curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        else if (directory)
            curl_easy_setopt(easy, CURLOPT_CAPATH, directory);
    } else if (bundle) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, bundle);
    } else {
        if (file)
            curl_easy_setopt(easy, CURLOPT_CAINFO, file);
        if (directory)
            curl_easy_setopt(easy, CURLOPT_CAPATH, directory);
    }
}
