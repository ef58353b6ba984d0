/* Rows of the usual kind, read without a tree. For envelope.c. */
#ifndef MOLECULE_WIRE_ENVELOPE_PLAIN_H
#define MOLECULE_WIRE_ENVELOPE_PLAIN_H

#include "wire/envelope.h"

/* X(enumerator, the name in a row) */
#define ENVELOPE_COLUMN_NAMES(X)             \
    X(ENVELOPE_REQUEST_BODY, "request_body") \
    X(ENVELOPE_ID, "id")                     \
    X(ENVELOPE_SOURCE_ID, "source_id")       \
    X(ENVELOPE_CREATED_AT, "created_at")     \
    X(ENVELOPE_METHOD, "method")             \
    X(ENVELOPE_STATUS, "status")             \
    X(ENVELOPE_SUMMARY, "summary")           \
    X(ENVELOPE_SEQ, "seq")                   \
    X(ENVELOPE_PEER_NAME, "peer_name")       \
    X(ENVELOPE_PEER_ROLE, "peer_role")       \
    X(ENVELOPE_RESPONSE_BODY, "response_body")
enum envelope_column {
#define X(column, name) column,
    ENVELOPE_COLUMN_NAMES(X)
#undef X
        ENVELOPE_COLUMNS
};

/* What tells a row's kind; strings are NULL where absent. */
struct envelope_signs {
    bool responded, requested; /* it has a response_body, a request_body */
    const char *status, *summary, *method;
};
enum envelope_kind envelope_kind_of(const struct envelope_signs *signs, const char *source_id,
                                    const char *self);
/* What must stay in order; yours to free. */
char *envelope_conversation(const struct message *message);

/* Fills a message that has its `raw`, from the row's columns. false: the row is not of the usual
 * kind (large, a notice of the platform, a request that is not an object, text that has to be
 * repaired, what wire/slice.h does not take), and the message is as before. */
bool envelope_read_plain(struct message *message, const struct page_row values[ENVELOPE_COLUMNS],
                         const char *self);

#endif
