#include "base/clock.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* somebody asks every second; the process did not run during a longer gap */
#define AWAKE_GAP_MS 2000

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_boot_ms(void)
{
    return read_us(CLOCK_BOOTTIME) / 1000;
}

static int64_t steady_offset_ms;

static void set_steady_offset(void)
{
    steady_offset_ms = clock_wall_ms() - clock_boot_ms();
}

int64_t clock_steady_ms(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_steady_offset);
    return clock_boot_ms() + steady_offset_ms;
}

int64_t clock_awake_ms(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static int64_t asked_ms, awake_ms;
    pthread_mutex_lock(&mutex);
    int64_t now = clock_monotonic_ms(), passed = asked_ms > 0 ? now - asked_ms : 0;
    asked_ms = now;
    awake_ms += passed < AWAKE_GAP_MS ? passed : AWAKE_GAP_MS;
    int64_t awake = awake_ms;
    pthread_mutex_unlock(&mutex);
    return awake;
}

int64_t clock_thread_cpu_ms(void)
{
    return read_us(CLOCK_THREAD_CPUTIME_ID) / 1000;
}

int64_t clock_bound_ms(int64_t wall_ms)
{
    return wall_ms < 0 ? 0 : wall_ms > CLOCK_MAXIMUM_MS ? CLOCK_MAXIMUM_MS : wall_ms;
}

void clock_format(int64_t wall_ms, char text[CLOCK_TEXT_SIZE])
{
    wall_ms = clock_bound_ms(wall_ms);
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t length = strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + length, CLOCK_TEXT_SIZE - length, ".%03dZ", (int)(wall_ms % 1000));
}

bool clock_parse(const char *text, int64_t *wall_us)
{
    struct tm parts = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (!rest)
        return false;
    int64_t micros = 0;
    if (*rest == '.') {
        int64_t scale = 100000;
        const char *digits = ++rest;
        for (; isdigit((unsigned char)*rest); rest++, scale /= 10)
            micros += (*rest - '0') * scale;
        if (rest == digits || rest - digits > 9)
            return false;
    }
    int64_t offset = 0;
    if (*rest == 'Z' || *rest == 'z') {
        rest++;
    } else {
        int hours, minutes, used = 0;
        char sign = *rest;
        if ((sign != '+' && sign != '-') ||
            sscanf(rest + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || used != 5)
            return false;
        offset = (hours * 60 + minutes) * 60 * (sign == '-' ? -1 : 1);
        rest += 6;
    }
    if (*rest)
        return false;
    *wall_us = ((int64_t)timegm(&parts) - offset) * 1000000 + micros;
    return true;
}

bool clock_parse_duration(const char *text, int64_t *milliseconds)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    double total = 0;
    if (!*text)
        return false;
    for (const char *at = text; *at;) {
        char *end;
        if (!isdigit((unsigned char)*at) && *at != '.')
            return false;
        double number = strtod(at, &end);
        if (end == at || !isfinite(number))
            return false;
        if (!*end && at == text) {
            total = number * 1000;
            break;
        }
        size_t letters = strspn(end, "abcdefghijklmnopqrstuvwxyz");
        double scale = 0;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (strlen(units[i].unit) == letters && strncmp(units[i].unit, end, letters) == 0)
                scale = units[i].ms;
        if (scale == 0)
            return false;
        total += number * scale;
        at = end + letters;
    }
    if (total > 10.0 * 365 * 86400000)
        return false;
    *milliseconds = (int64_t)llround(total);
    return true;
}
