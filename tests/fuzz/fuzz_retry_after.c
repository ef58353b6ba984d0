/* Any text as a Retry-After header, and any URL and id, which operators type. */
#include "fuzz.h"

#include "wire/platform.h"
#include "wire/retry.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    HOLDS(retry_parse_after(text, 1777777777777) >= -1);

    struct platform platform;
    const char *problem = NULL;
    bool opened = platform_open(&platform, text, "w", NULL, &problem);
    HOLDS(opened == !problem);
    if (opened) {
        HOLDS(strncmp(platform.base_url, platform.origin, strlen(platform.origin)) == 0);
        platform_is_private(&platform);
        struct platform_request request = platform_activity(
            &platform, text, &(struct platform_fetch){.since_id = text});
        HOLDS(request.url && !strpbrk(request.url, " \r\n"));
        platform_request_free(&request);
    }
    platform_close(&platform);
    platform_normalise_id(text);
    platform_valid_id(text);
    free(text);
    return 0;
}
