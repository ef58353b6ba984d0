/* Random numbers for spreading retries and picking ids; not for secrets. */
#ifndef MOLECULE_BASE_RANDOM_H
#define MOLECULE_BASE_RANDOM_H

#include <stdint.h>

/* From the kernel; derived from the monotonic clock where the kernel refuses. */
uint64_t random_number(void);

#endif
