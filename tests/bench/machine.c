/* What the machine charges for what a host does for every message: a system call, and a round trip
 * between two threads through eventfds. Prints nanoseconds. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CALLS 1000000
#define TRIPS 50000
#define RUNS 5

static int there, back;

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void pass(int from, int to)
{
    uint64_t one;
    if (read(from, &one, sizeof one) != sizeof one)
        exit(1);
    one = 1;
    if (write(to, &one, sizeof one) != sizeof one)
        exit(1);
}

static void *answer(void *unused)
{
    for (int i = 0; i < TRIPS * RUNS; i++)
        pass(there, back);
    return unused;
}

int main(void)
{
    pthread_t other;
    double call = 1e18, trip = 1e18; /* the least: what else ran meanwhile is not the machine's */
    for (int run = 0; run < RUNS; run++) {
        double began = now_ns();
        for (int i = 0; i < CALLS; i++)
            syscall(SYS_getppid);
        double each = (now_ns() - began) / CALLS;
        call = each < call ? each : call;
    }
    there = eventfd(1, 0);
    back = eventfd(0, 0);
    if (there < 0 || back < 0 || pthread_create(&other, NULL, answer, NULL) != 0)
        return 1;
    for (int run = 0; run < RUNS; run++) {
        double began = now_ns();
        for (int i = 0; i < TRIPS - (run == RUNS - 1); i++)
            pass(back, there);
        double each = (now_ns() - began) / TRIPS;
        trip = each < trip ? each : trip;
    }
    printf("system call %.0f ns, eventfd round trip %.0f ns\n", call, trip);
    return 0;
}
