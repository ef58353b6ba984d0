/* Time. Durations and deadlines use the monotonic clock; the wall clock is only for showing, for
 * the wire, and for what outlives the process. */
#ifndef MOLECULE_BASE_CLOCK_H
#define MOLECULE_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_SIZE 32
#define CLOCK_MAXIMUM_MS 253402300799999 /* the end of the year 9999 */

int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
int64_t clock_wall_ms(void); /* since the epoch */
/* The wall clock as it was when the process first asked, and what has passed since, also while the
 * machine slept: setting the clock does not move the process's own times. */
int64_t clock_steady_ms(void);
int64_t clock_boot_ms(void); /* monotonic, and it counts while the machine sleeps */
/* Monotonic: the time during which the process ran, provided that somebody asks every second.
 * Suspend, SIGSTOP and the like do not count. */
int64_t clock_awake_ms(void);
int64_t clock_thread_cpu_ms(void); /* CPU time of the calling thread */

/* Clamps a time from a file or from others to one that is safe to calculate with: between the epoch
 * and CLOCK_MAXIMUM_MS. */
int64_t clock_bound_ms(int64_t wall_ms);

/* "2026-05-01T20:14:07.123Z" */
void clock_format(int64_t wall_ms, char text[CLOCK_TEXT_SIZE]);
/* RFC 3339 with up to 9 fractional digits and a zone; microseconds since the epoch. false: not a
 * time. */
bool clock_parse(const char *text, int64_t *wall_us);

/* "250ms", "30s", "5m", "2h", "1.5s", "1m30s", or a plain number of seconds; a length of time in
 * milliseconds. false: not a duration, negative, or above ten years. */
bool clock_parse_duration(const char *text, int64_t *milliseconds);

#endif
