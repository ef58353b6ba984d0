/* A property that holds for every input, whatever NDEBUG says. */
#ifndef MOLECULE_TESTS_FUZZ_H
#define MOLECULE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define HOLDS(condition)  \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
