#include "net/http_trouble.h"

#include <stdio.h>
#include <string.h>

const char *http_trouble_explain(const char *error)
{
    static const struct {
        const char *part, *meaning;
    } known[] = {
        /* OpenSSL's and GnuTLS's, of an answer that begins with "HTTP" */
        {"wrong version number",
         "what listens there does not speak TLS: is it http:// instead of https://?"},
        {"packet length too long",
         "what listens there does not speak TLS: is it http:// instead of https://?"},
        {"unexpected TLS packet",
         "what listens there does not speak TLS: is it http:// instead of https://?"},
        /* libcurl's, of a TLS alert */
        {"HTTP/0.9",
         "what listens there does not speak plain HTTP: is it https:// instead of http://?"},
    };
    static _Thread_local char text[512];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strstr(error, known[i].part)) {
            snprintf(text, sizeof text, "%s (%s)", known[i].meaning, error);
            return text;
        }
    return error;
}
