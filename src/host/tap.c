/* host/tap.c - tap devices, and network links by netlink
 *
 * Owns:    nothing that lasts; the messages to the kernel are rtlink.c's
 * Threads: any that may wait for the kernel's routing lock
 * Errors:  VIR_ERR_SYSTEM_ERROR naming device or bridge; negative errno from the small ones
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

#include "host/rtlink.h"
#include "host/tap.h"
#include "util/fd.h"

/* ---- taps -------------------------------------------------------------------------------------------------------------------- */

static int find_bridge(const char *bridge, RtLink *ret, Err *err)
{
    int r = rtlink_get(bridge, ret);
    if (r == -ENODEV)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "Cannot get interface MTU on '%s': No such device", bridge);
    if (r < 0)
        return err_set_errno(err, -r, "cannot look up bridge '%s'", bridge);
    if (ret->kind[0] && strcmp(ret->kind, "bridge") != 0 && strcmp(ret->kind, "openvswitch") != 0)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "interface '%s' is no bridge but of type '%s'", bridge, ret->kind);
    return 0;
}

static int configure_tap(const TapOpts *o, const char *name, Err *err)
{
    RtLink bridge = {0}, tap;
    uint8_t mac[6];
    if (o->bridge && find_bridge(o->bridge, &bridge, err) < 0)
        return -1;
    int r = rtlink_get(name, &tap);
    if (r < 0)
        return err_set_errno(err, -r, "cannot look up '%s'", name);
    /* a port with a smaller MTU would shrink the bridge's */
    RtLinkChange change = {.mtu = o->mtu ? o->mtu : bridge.mtu, .master = bridge.index};
    if (o->guest_mac) {
        memcpy(mac, o->guest_mac, sizeof(mac));
        mac[0] = 0xfe;
        change.mac = mac;
    }
    r = rtlink_bring_up(tap.index, &change);
    if (r < 0 && o->bridge)
        return err_set_errno(err, -r, "cannot add '%s' to bridge '%s'", name, o->bridge);
    if (r < 0)
        return err_set_errno(err, -r, "cannot bring up '%s'", name);
    return 0;
}

static int open_queue(struct ifreq *req, const char *name, Err *err)
{
    AUTO_CLOSE int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open /dev/net/tun");
    if (ioctl(fd, TUNSETIFF, req) < 0) {
        err_set_errno(err, errno, "cannot %s tap device '%s'", req->ifr_name[0] && !strchr(name, '%') ? "open" : "make", name);
        if (errno == EBUSY)
            err_hint(err, "another process uses it");
        return -1;
    }
    return take_fd(&fd);
}

int tap_open(const TapOpts *o, int *ret_fds, char ret_name[LINK_NAME_LEN], Err *err)
{
    unsigned queues = o->queues ? o->queues : 1;
    const char *name = o->name ? o->name : "vnet%d";
    if (queues > TAP_MAX_QUEUES || strlen(name) >= LINK_NAME_LEN)
        return err_set(err, VIR_ERR_INVALID_ARG, "tap device '%s' with %u queues", name, queues);
    if (o->existing && !link_exists(name))
        return err_set(err, VIR_ERR_OPERATION_FAILED, "tap device '%s' does not exist", name);
    struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    if (o->vnet_hdr)
        req.ifr_flags |= IFF_VNET_HDR;
    if (queues > 1)
        req.ifr_flags |= IFF_MULTI_QUEUE;
    g_strlcpy(req.ifr_name, name, sizeof(req.ifr_name));
    unsigned n = 0;
    for (; n < queues; n++) { /* the first gives the name the others then ask for */
        ret_fds[n] = open_queue(&req, name, err);
        if (ret_fds[n] < 0)
            break;
    }
    if (n == queues && (o->existing || configure_tap(o, req.ifr_name, err) == 0)) {
        g_strlcpy(ret_name, req.ifr_name, LINK_NAME_LEN);
        return 0;
    }
    while (n > 0)
        fd_close(&ret_fds[--n]);
    return -1;
}

int vhost_net_open(void)
{
    int fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* ---- links ------------------------------------------------------------------------------------------------------------------- */

int link_exists(const char *name)
{
    RtLink l;
    return rtlink_get(name, &l) == 0;
}

int link_delete(const char *name)
{
    int r = rtlink_delete(name);
    return r == -ENODEV ? 0 : r;
}
