#include "base/check.h"

#include "base/log.h"

#include <stdlib.h>

void check_failed(const char *condition, const char *file, int line)
{
    log_error(LOG_INTERNAL_ERROR, NULL,
              "internal error at %s:%d: %s does not hold; the state on disk is safe, start again",
              file, line, condition);
    log_flush();
    abort();
}
