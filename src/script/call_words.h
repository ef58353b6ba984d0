/* Texts of recorded calls without what is likely to be a secret. The same text gives the same
 * result, so that a call is found again in a recording. */
#ifndef MOLECULE_SCRIPT_CALL_WORDS_H
#define MOLECULE_SCRIPT_CALL_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#define CALL_WORDS_MAXIMUM 4096 /* bytes of one text; what is longer ends with its digest */

/* Whether a name such as "api_key", "X-Auth-Token" or "--password" promises a secret. */
bool call_words_secret(const char *name, size_t length);

/* A copy of a URL, an argument or a command line. Replaced by "[hidden]" are: what log_redact
 * hides, the user and password of a URL, the value in NAME=value, of a header "Name: value" and of
 * an option "--name value" where the name promises a secret, and what follows "Bearer". Valid
 * UTF-8. Yours to free. */
char *call_words_hide(const char *text);

/* A copy of what was answered, which may hold zero bytes: without what log_redact hides, and
 * without the values of JSON members that hold credentials, such as "access_token". Yours to free.
 */
char *call_words_hide_answer(const char *bytes, size_t length, size_t *left);

#endif
