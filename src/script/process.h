/* A program that a handler starts and waits for: its input is given, its output collected. */
#ifndef MOLECULE_SCRIPT_PROCESS_H
#define MOLECULE_SCRIPT_PROCESS_H

#include "script/vm_await.h"

#include <stddef.h>

struct process_request {
    char **argv;           /* NULL-terminated; argv[0] is looked up in PATH */
    char **environment;    /* NULL-terminated "NAME=value", the whole of it; NULL: ours */
    const char *directory; /* NULL: ours */
    const char *input;     /* standard input; NULL: /dev/null */
    size_t input_length;
    int64_t timeout_ms; /* 0: only the handler's own limit */
    /* it is ended soon after it has printed this text; NULL: it exits by itself */
    const char *last_word;
    size_t output_maximum; /* bytes kept of standard output and of standard error each */
    bool inherit;          /* output goes where ours goes (os.execute) */
};

struct process_result {
    int code;   /* exit code; -1 if a signal ended it */
    int signal; /* 0: none */
    bool timed_out;
    bool stayed; /* it did not exit after its last word, and was ended */
    const char *output, *errors;
    size_t output_length, errors_length;
    /* there was more; the start of the output and the end of the errors are kept */
    bool output_cut;
};

/* What the script gets for the result: pushes it, may raise. */
typedef int process_results(lua_State *L, const struct process_result *result, void *context);

/* Starts it. NULL: `error` is a negative libuv error and nothing runs. Everything in the request is
 * copied. The operation is for vm_await. `context` is freed with free(). */
struct operation *process_start(struct vm *vm, const struct process_request *request,
                                process_results *results, void *context, int *error);

#endif
