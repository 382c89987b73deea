/* host/rtlink.h - network links by rtnetlink: looked up, brought up, deleted
 *
 * Threads: any that may wait for the kernel's routing lock.
 * Errors:  negative errno, -ENODEV for a link that is not there.
 */
#pragma once

#include "base.h"

typedef struct RtLink {
    int index;
    unsigned mtu;
    char kind[16]; /* "bridge", "tun", …; empty for a plain one */
} RtLink;

typedef struct RtLinkChange {
    const uint8_t *mac; /* 6 bytes; NULL: as it is */
    unsigned mtu;       /* 0: as it is */
    int master;         /* index; 0: as it is */
} RtLinkChange;

int rtlink_get(const char *name, RtLink *ret);
/* And brings it up; all in one message. */
int rtlink_bring_up(int index, const RtLinkChange *change);
int rtlink_delete(const char *name);
