/* Forms with files, as libmicrohttpd reads them. */
#include "net/http_server_request.h"

#define FORM_BUFFER 8192

struct form {
    http_file_visitor *visit;
    void *context;
    bool going;
};

static enum MHD_Result on_piece(void *context, enum MHD_ValueKind kind, const char *key,
                                const char *name, const char *type, const char *encoding,
                                const char *bytes, uint64_t offset, size_t length)
{
    (void)kind, (void)encoding;
    struct form *form = context;
    if (!name) /* a field without a file */
        return MHD_YES;
    form->going = form->visit(form->context, key, name, type, bytes, length, offset == 0);
    return form->going ? MHD_YES : MHD_NO;
}

bool http_request_each_file(struct http_request *request, http_file_visitor *visit, void *context)
{
    struct form form = {visit, context, true};
    struct MHD_PostProcessor *processor = MHD_create_post_processor(request->connection,
                                                                    FORM_BUFFER, on_piece, &form);
    if (!processor)
        return false;
    size_t length;
    const char *body = http_request_body(request, &length);
    bool fed = MHD_post_process(processor, body, length) == MHD_YES;
    return MHD_destroy_post_processor(processor) == MHD_YES && fed && form.going;
}
