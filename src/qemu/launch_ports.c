/* qemu/launch_ports.c - display ports of this daemon's guests
 *
 * Owns:    the set of ports given out
 * Threads: any
 * Locks:   ports.lock (leaf)
 * Errors:  VIR_ERR_INTERNAL_ERROR when a range is used up
 *
 * A port is free when none of our guests has it and the kernel lets it be bound.  Between that test and QEMU's own bind another program
 * may take it; QEMU then says so and the start fails.
 */
#include "config.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "qemu/launch_private.h"
#include "util/fd.h"
#include "util/lock.h"

static struct {
    pthread_once_t once;
    Mutex lock;
    uint8_t taken[65536 / 8];
} ports = {.once = PTHREAD_ONCE_INIT};

static void ports_init(void)
{
    mutex_init(&ports.lock, LOCK_LEAF, "display ports");
}

static bool taken(int port)
{
    return ports.taken[port / 8] & (1u << (port % 8));
}

/* Both families on all addresses, as QEMU may be told any. */
static bool can_bind(int port)
{
    AUTO_CLOSE int s4 = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AUTO_CLOSE int s6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (s6 >= 0) {
        setsockopt(s6, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
        setsockopt(s6, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(s6, (struct sockaddr *)&a6, sizeof(a6)) < 0 && errno == EADDRINUSE)
            return false;
    }
    if (s4 >= 0) {
        setsockopt(s4, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(s4, (struct sockaddr *)&a4, sizeof(a4)) < 0 && errno == EADDRINUSE)
            return false;
    }
    return true;
}

int launch_port_take(int min, int max, Err *err)
{
    pthread_once(&ports.once, ports_init);
    LOCK_SCOPE(&ports.lock);
    for (int p = MAX(min, 1); p <= MIN(max, 65535); p++) {
        if (taken(p) || !can_bind(p))
            continue;
        ports.taken[p / 8] |= (uint8_t)(1u << (p % 8));
        return p;
    }
    err_set(err, VIR_ERR_INTERNAL_ERROR, "Unable to find an unused port in range 'display' (%d-%d)", min, max);
    return err_hint(err, "remote_display_port_min and _max in qemu.conf set the range");
}

void launch_port_mark(int port)
{
    if (port <= 0 || port > 65535)
        return;
    pthread_once(&ports.once, ports_init);
    LOCK_SCOPE(&ports.lock);
    ports.taken[port / 8] |= (uint8_t)(1u << (port % 8));
}

void launch_port_release(int port)
{
    if (port <= 0 || port > 65535)
        return;
    pthread_once(&ports.once, ports_init);
    LOCK_SCOPE(&ports.lock);
    ports.taken[port / 8] &= (uint8_t) ~(1u << (port % 8));
}
