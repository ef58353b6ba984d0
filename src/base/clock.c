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
    /* a log line seldom comes alone in its second */
    static _Thread_local time_t known = -1;
    static _Thread_local char second[CLOCK_TEXT_SIZE];
    static _Thread_local size_t length;
    wall_ms = clock_bound_ms(wall_ms);
    time_t seconds = (time_t)(wall_ms / 1000);
    int millis = (int)(wall_ms % 1000);
    if (seconds != known) {
        struct tm parts;
        gmtime_r(&seconds, &parts);
        length = strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &parts);
        known = seconds;
    }
    memcpy(text, second, length);
    const char rest[] = {'.',
                         (char)('0' + millis / 100),
                         (char)('0' + millis / 10 % 10),
                         (char)('0' + millis % 10),
                         'Z',
                         '\0'};
    memcpy(text + length, rest, sizeof rest);
}

/* So many digits at `text`; -1: something else is there. */
static int read_digits(const char *text, int count)
{
    int number = 0;
    for (int i = 0; i < count; i++) {
        if (!isdigit((unsigned char)text[i]))
            return -1;
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar. */
static int64_t days_since_epoch(int year, int month, int day)
{
    int64_t shifted = month > 2 ? year : year - 1; /* years begin in March: the leap day ends them
                                                    */
    int64_t era = shifted / 400, of_era = shifted % 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* What every platform writes: 2026-05-01T00:00:00.123456Z, with one to nine digits or none. false:
 * it may be another form. */
static bool parse_common(const char *text, int64_t *wall_us)
{
    if (strnlen(text, 20) < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
        text[13] != ':' || text[16] != ':')
        return false;
    int year = read_digits(text, 4), month = read_digits(text + 5, 2);
    int day = read_digits(text + 8, 2), hour = read_digits(text + 11, 2);
    int minute = read_digits(text + 14, 2), second = read_digits(text + 17, 2);
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 59)
        return false;
    const char *rest = text + 19;
    int64_t micros = 0, scale = 100000;
    if (*rest == '.') {
        const char *digits = ++rest;
        for (; isdigit((unsigned char)*rest); rest++, scale /= 10)
            micros += (*rest - '0') * scale;
        if (rest == digits || rest - digits > 9)
            return false;
    }
    if (*rest != 'Z' || rest[1])
        return false;
    int64_t seconds = days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 +
                      second;
    *wall_us = seconds * 1000000 + micros;
    return true;
}

bool clock_parse(const char *text, int64_t *wall_us)
{
    if (parse_common(text, wall_us))
        return true;
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
