/* How long things took, by fixed bounds: what a Prometheus histogram shows. One thread observes at
 * a time; any thread reads. */
#ifndef MOLECULE_BASE_HISTOGRAM_H
#define MOLECULE_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Upper bounds: X(microseconds, as text in seconds) */
#define HISTOGRAM_BOUNDS(X) \
    X(1000, "0.001")        \
    X(2500, "0.0025")       \
    X(5000, "0.005")        \
    X(10000, "0.01")        \
    X(25000, "0.025")       \
    X(50000, "0.05")        \
    X(100000, "0.1")        \
    X(250000, "0.25")       \
    X(500000, "0.5")        \
    X(1000000, "1.0")       \
    X(2500000, "2.5")       \
    X(5000000, "5.0")       \
    X(10000000, "10.0")     \
    X(30000000, "30.0")     \
    X(60000000, "60.0")     \
    X(120000000, "120.0")   \
    X(300000000, "300.0")
enum {
#define X(us, text) +1
    HISTOGRAM_BUCKETS = 0 HISTOGRAM_BOUNDS(X) + 1 /* and one for what took longer */
#undef X
};

struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS]; /* each of its own range alone */
    _Atomic uint64_t sum_us;
};

static inline void histogram_add(_Atomic uint64_t *number, uint64_t more)
{
    atomic_fetch_add_explicit(number, more, memory_order_relaxed);
}

static inline void histogram_observe_us(struct histogram *histogram, int64_t us)
{
    static const int64_t bounds[] = {
#define X(us, text) us,
        HISTOGRAM_BOUNDS(X)
#undef X
    };
    size_t bucket = 0;
    while (bucket < HISTOGRAM_BUCKETS - 1 && us > bounds[bucket])
        bucket++;
    histogram_add(&histogram->counts[bucket], 1);
    histogram_add(&histogram->sum_us, us > 0 ? (uint64_t)us : 0);
}

#endif
