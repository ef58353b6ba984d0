/* Which web pages of other origins may read our answers (CORS). */
#include "net/http_server_request.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

void http_server_match_origin(struct http_request *request)
{
    const char *origin = http_request_header(request, "Origin");
    for (size_t i = 0; origin && i < request->server->options.cors_origin_count; i++)
        if (strcmp(origin, request->server->cors_origins[i]) == 0)
            request->origin = request->server->cors_origins[i];
}

bool http_server_preflight(struct http_request *request)
{
    static const struct http_header headers[] = {
        {"Access-Control-Allow-Methods", "GET, POST, DELETE"},
        {"Access-Control-Allow-Headers",
         "Authorization, Content-Type, A2A-Version, A2A-Extensions, Last-Event-ID"},
        {"Access-Control-Max-Age", "3600"}};
    if (!request->origin || strcmp(request->method, "OPTIONS") != 0 ||
        !http_request_header(request, "Access-Control-Request-Method"))
        return false;
    http_request_answer(request, &(struct http_answer){.status = MHD_HTTP_NO_CONTENT,
                                                       .headers = headers,
                                                       .header_count = COUNT(headers)});
    return true;
}

void http_server_add_cors(const struct http_request *request, struct MHD_Response *response)
{
    if (!request->origin)
        return;
    (void)MHD_add_response_header(response, "Access-Control-Allow-Origin", request->origin);
    (void)MHD_add_response_header(response, "Vary", "Origin");
}
