#include "net/versions.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <uv.h>

void versions_describe(char *text, size_t size)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    snprintf(text, size, "libcurl %s (%s)\nlibuv %s\njansson %s", curl->version,
             curl->ssl_version ? curl->ssl_version : "no TLS", uv_version_string(),
             jansson_version_str());
}

void versions_label(char *text, size_t size)
{
    snprintf(text, size, "curl=\"%s\",uv=\"%s\",jansson=\"%s\"",
             curl_version_info(CURLVERSION_NOW)->version, uv_version_string(),
             jansson_version_str());
}
