/* host/tap.c - tap devices, and network links by netlink
 *
 * Owns:    nothing that lasts: one netlink socket per call
 * Threads: any that may wait for the kernel's routing lock
 * Errors:  VIR_ERR_SYSTEM_ERROR naming device or bridge; negative errno from the small ones
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <string.h>
#include <sys/ioctl.h>

#include "host/tap.h"
#include "util/fd.h"

typedef struct nl_sock NlSock;
typedef struct rtnl_link RtnlLink;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NlSock, nl_socket_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RtnlLink, rtnl_link_put)

/* libnl's errors as negative errno. */
static int nl_errno(int r)
{
    switch (-r) {
    case NLE_SUCCESS:
        return 0;
    case NLE_NODEV:
    case NLE_OBJ_NOTFOUND:
        return -ENODEV;
    case NLE_PERM:
    case NLE_NOACCESS:
        return -EPERM;
    case NLE_NOMEM:
        return -ENOMEM;
    case NLE_BUSY:
        return -EBUSY;
    case NLE_EXIST:
        return -EEXIST;
    case NLE_OPNOTSUPP:
        return -EOPNOTSUPP;
    case NLE_RANGE:
    case NLE_INVAL:
        return -EINVAL;
    default:
        return -EIO;
    }
}

static NlSock *route_socket(int *ret_errno)
{
    g_autoptr(NlSock) s = nl_socket_alloc();
    *ret_errno = -ENOMEM;
    if (s == NULL)
        return NULL;
    errno = 0;
    int r = nl_connect(s, NETLINK_ROUTE);
    *ret_errno = errno == EMFILE || errno == ENFILE ? -errno : nl_errno(r); /* libnl has no number for these */
    return r < 0 ? NULL : g_steal_pointer(&s);
}

static int get_link(NlSock *s, const char *name, RtnlLink **ret)
{
    return nl_errno(rtnl_link_get_kernel(s, 0, name, ret));
}

/* ---- taps -------------------------------------------------------------------------------------------------------------------- */

/* The bridge's index and MTU. */
static int find_bridge(NlSock *s, const char *bridge, int *ret_index, unsigned *ret_mtu, Err *err)
{
    g_autoptr(RtnlLink) l = NULL;
    int r = get_link(s, bridge, &l);
    if (r == -ENODEV)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "Cannot get interface MTU on '%s': No such device", bridge);
    if (r < 0)
        return err_set_errno(err, -r, "cannot look up bridge '%s'", bridge);
    const char *type = rtnl_link_get_type(l);
    if (type && strcmp(type, "bridge") != 0 && strcmp(type, "openvswitch") != 0)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "interface '%s' is no bridge but of type '%s'", bridge, type);
    *ret_index = rtnl_link_get_ifindex(l);
    *ret_mtu = rtnl_link_get_mtu(l);
    return 0;
}

static int configure_tap(const TapOpts *o, const char *name, Err *err)
{
    int e;
    g_autoptr(NlSock) s = route_socket(&e);
    if (s == NULL)
        return err_set_errno(err, -e, "cannot configure '%s': netlink", name);
    int bridge = 0;
    unsigned mtu = o->mtu;
    unsigned bridge_mtu = 0;
    if (o->bridge && find_bridge(s, o->bridge, &bridge, &bridge_mtu, err) < 0)
        return -1;
    if (mtu == 0)
        mtu = bridge_mtu; /* a port with a smaller one would shrink the bridge's */
    g_autoptr(RtnlLink) old = NULL;
    int r = get_link(s, name, &old);
    if (r < 0)
        return err_set_errno(err, -r, "cannot look up '%s'", name);
    g_autoptr(RtnlLink) change = rtnl_link_alloc();
    if (o->guest_mac) {
        uint8_t mac[6];
        memcpy(mac, o->guest_mac, sizeof(mac));
        mac[0] = 0xfe;
        struct nl_addr *a = nl_addr_build(AF_LLC, mac, sizeof(mac));
        rtnl_link_set_addr(change, a);
        nl_addr_put(a);
    }
    if (mtu)
        rtnl_link_set_mtu(change, mtu);
    rtnl_link_set_flags(change, IFF_UP);
    if (bridge)
        rtnl_link_set_master(change, bridge);
    r = nl_errno(rtnl_link_change(s, old, change, 0));
    if (r < 0 && bridge)
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
    int e;
    g_autoptr(NlSock) s = route_socket(&e);
    g_autoptr(RtnlLink) l = NULL;
    return s && get_link(s, name, &l) == 0;
}

int link_delete(const char *name)
{
    int e;
    g_autoptr(NlSock) s = route_socket(&e);
    if (s == NULL)
        return e;
    g_autoptr(RtnlLink) l = rtnl_link_alloc();
    rtnl_link_set_name(l, name);
    int r = nl_errno(rtnl_link_delete(s, l));
    return r == -ENODEV ? 0 : r;
}

int link_set_up(const char *name, bool up)
{
    int e;
    g_autoptr(NlSock) s = route_socket(&e);
    if (s == NULL)
        return e;
    g_autoptr(RtnlLink) old = NULL;
    int r = get_link(s, name, &old);
    if (r < 0)
        return r;
    g_autoptr(RtnlLink) change = rtnl_link_alloc();
    if (up)
        rtnl_link_set_flags(change, IFF_UP);
    else
        rtnl_link_unset_flags(change, IFF_UP);
    return nl_errno(rtnl_link_change(s, old, change, 0));
}
