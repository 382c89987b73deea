/* host/tap.h - tap devices, and links by netlink (their counters: linkstat.h)
 */
#pragma once

#include "util/err.h"

#define TAP_MAX_QUEUES 256u
#define LINK_NAME_LEN 16 /* IFNAMSIZ */

typedef struct TapOpts {
    const char *name;       /* NULL or with "%d": the kernel numbers it ("vnet%d") */
    unsigned queues;        /* 0 counts as 1 */
    bool vnet_hdr;          /* for virtio */
    bool existing;          /* must be there already and is only opened; nothing below is applied */
    const uint8_t *guest_mac; /* the host's side gets it with fe as first byte, so that a bridge never takes it as its own; NULL: random */
    unsigned mtu;           /* 0: the bridge's, or the default */
    const char *bridge;     /* to be a port of; NULL: none */
    bool isolated;          /* port talks to no other isolated port */
} TapOpts;

/* Makes (or opens) a tap device, one descriptor per queue in ret_fds (queues of them, owned by the caller, close-on-exec), its name in
 * ret_name, and brings it up.  The device lives as long as a descriptor is open.  Errors name the device or the bridge. */
int tap_open(const TapOpts *opts, int *ret_fds, char ret_name[LINK_NAME_LEN], Err *err);
/* A vhost-net descriptor, or negative errno when the host has none. */
int vhost_net_open(void);

/* Deletes a link; a missing one is 0. Negative errno. */
int link_delete(const char *name);
int link_exists(const char *name);
