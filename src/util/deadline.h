/* util/deadline.h - absolute ends of waits
 *
 * Every wait takes one.  It is an absolute CLOCK_MONOTONIC time in microseconds, so nested waits share it without arithmetic.
 */
#pragma once

#include "base.h"

typedef struct Deadline {
    uint64_t at_us; /* CLOCK_MONOTONIC; UINT64_MAX is not used by waits on QEMU, storage or clients */
} Deadline;

static inline uint64_t now_us(void)
{
    return (uint64_t)g_get_monotonic_time();
}

static inline Deadline deadline_in_ms(uint64_t ms)
{
    return (Deadline){now_us() + ms * 1000};
}

static inline bool deadline_passed(Deadline d)
{
    return now_us() >= d.at_us;
}

/* Milliseconds left, 0 when passed, capped at INT_MAX: fits poll(). */
static inline int deadline_left_ms(Deadline d)
{
    uint64_t now = now_us();
    if (now >= d.at_us)
        return 0;
    uint64_t ms = (d.at_us - now + 999) / 1000;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static inline Deadline deadline_min(Deadline a, Deadline b)
{
    return a.at_us < b.at_us ? a : b;
}
