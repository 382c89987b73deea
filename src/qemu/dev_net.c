/* qemu/dev_net.c - network interfaces: host side (netdev) and guest side
 *
 * Owns:    which descriptors an interface needs: one tap queue, and one vhost where the host has it, per queue
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED naming the part of <interface>
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "host/tap.h"
#include "qemu/build.h"

bool qemu_net_is_tap(const NetDef *net)
{
    return net->type == NET_BRIDGE || net->type == NET_ETHERNET || net->type == NET_NETWORK;
}

static bool net_is_virtio(const NetDef *net)
{
    return net->model && strncmp(net->model, "virtio", 6) == 0;
}

bool qemu_net_wants_vhost(const NetDef *net)
{
    return qemu_net_is_tap(net) && net_is_virtio(net) && net->driver_name != NET_DRIVER_QEMU;
}

static void user_addresses(json_t *o, const NetDef *net)
{
    for (unsigned i = 0; net->ips && i < net->ips->len; i++) {
        const NetIpDef *ip = net->ips->pdata[i];
        if (ip->address == NULL)
            continue;
        if (ip->family && strcmp(ip->family, "ipv6") == 0) {
            props_str(o, "ipv6-prefix", ip->address);
            props_opt(o, "ipv6-prefixlen", ip->prefix);
        } else if (ip->prefix.set) {
            props_strf(o, "net", "%s/%" PRIu64, ip->address, ip->prefix.v);
        } else {
            props_str(o, "net", ip->address);
        }
    }
}

json_t *qemu_netdev_props(const NetDef *net, const char *fds, const char *vhost_fds, Err *err)
{
    json_t *o = json_object();
    if (net->type == NET_USER) {
        props_str(o, "type", "user");
        user_addresses(o, net);
    } else if (qemu_net_is_tap(net)) {
        props_str(o, "type", "tap");
        if (fds)
            props_str(o, strchr(fds, ':') ? "fds" : "fd", fds);
        if (vhost_fds) {
            props_bool(o, "vhost", true);
            props_str(o, strchr(vhost_fds, ':') ? "vhostfds" : "vhostfd", vhost_fds);
        }
        props_opt(o, "sndbuf", net->sndbuf);
    } else {
        json_decref(o);
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "interface type '%s'", enum_word(net_type_names, NET_MAX, (int)net->type));
        return NULL;
    }
    props_strf(o, "id", "host%s", net->info.alias);
    return o;
}

static const char *net_driver(const NetDef *net)
{
    static const char *const names[][2] = {
        {"virtio", "virtio-net-pci"},
        {"virtio-transitional", "virtio-net-pci-transitional"},
        {"virtio-non-transitional", "virtio-net-pci-non-transitional"},
        {"netfront", NULL},
    };
    if (net->model == NULL)
        return "rtl8139";
    for (unsigned i = 0; i < N_ELEMENTS(names); i++) {
        if (strcmp(net->model, names[i][0]) == 0)
            return names[i][1];
    }
    return net->model; /* QEMU says what it does not know */
}

static void virtio_props(json_t *o, const NetDef *net)
{
    if (net->queues.set && net->queues.v > 1) {
        props_bool(o, "mq", true);
        props_u64(o, "vectors", 2 * net->queues.v + 2); /* in and out of each, control, configuration */
    }
    if (net->txmode != NET_TXMODE_ABSENT)
        props_str(o, "tx", net->txmode == NET_TXMODE_IOTHREAD ? "bh" : "timer");
    props_tri(o, "ioeventfd", net->ioeventfd);
    props_tri(o, "event_idx", net->event_idx);
    props_opt(o, "rx_queue_size", net->rx_queue_size);
    props_opt(o, "tx_queue_size", net->tx_queue_size);
    props_opt(o, "host_mtu", net->mtu);
}

json_t *qemu_net_props(const DomainDef *def, const NetDef *net, const QemuCaps *caps, Err *err)
{
    const char *driver = net_driver(net);
    if (driver == NULL) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "interface model '%s'", net->model);
        return NULL;
    }
    json_t *o = json_object();
    props_str(o, "driver", driver);
    if (net_is_virtio(net))
        virtio_props(o, net);
    props_strf(o, "netdev", "host%s", net->info.alias);
    props_str(o, "id", net->info.alias);
    props_strf(o, "mac", "%02x:%02x:%02x:%02x:%02x:%02x", net->mac[0], net->mac[1], net->mac[2], net->mac[3], net->mac[4],
               net->mac[5]);
    unsigned boot = qemu_boot_index(def, DEVICE_NET, net);
    if (boot)
        props_u64(o, "bootindex", boot);
    if (props_address(o, def, &net->info, "an interface", err) < 0) {
        json_decref(o);
        return NULL;
    }
    props_rom(o, &net->info);
    return o;
}

/* Plans one descriptor per queue; "31:32". Caller frees. */
static char *plan_queues(ArgvBuild *b, const NetDef *net, ArgvFdKind kind)
{
    GString *s = g_string_new(NULL);
    unsigned queues = net->queues.set && net->queues.v > 1 ? (unsigned)net->queues.v : 1;
    for (unsigned q = 0; q < queues; q++) {
        int n = argv_plan_fd(b, kind, O_RDWR, kind == ARGV_FD_VHOST ? "/dev/vhost-net" : NULL, net->info.alias);
        ArgvFd *f = &g_array_index(b->a->fds, ArgvFd, b->a->fds->len - 1);
        f->net = net;
        f->queue = q;
        g_string_append_printf(s, "%s%d", q ? ":" : "", n);
    }
    return g_string_free(s, FALSE);
}

/* What a definition may say and nobody here does: a guest must not run as if it had been done. */
static int check_net(const NetDef *net, Err *err)
{
    if (net->type == NET_NETWORK)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "interface type 'network': virtual networks are not available yet");
    if (net->filter)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "filterref '%s' of an interface", net->filter);
    if (net->script || net->downscript)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "<%s path='%s'> of an interface", net->script ? "script" : "downscript",
                       net->script ? net->script : net->downscript);
    if (net->port_isolated == TRI_YES)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "<port isolated='yes'> of an interface");
    if (net->trust_guest_rx_filters == TRI_YES)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "trustGuestRxFilters='yes' of an interface");
    if (net->ips && net->ips->len && net->type != NET_USER)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "<ip> of an interface, but for type='user'");
    if (net->queues.set && net->queues.v > TAP_MAX_QUEUES) /* a descriptor each, before the kernel is asked */
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "%" PRIu64 " queues of an interface; the kernel allows %u", net->queues.v, TAP_MAX_QUEUES);
    return 0;
}

int argv_nets(ArgvBuild *b, Err *err)
{
    for (unsigned i = 0; i < b->def->nets->len; i++) {
        const NetDef *net = b->def->nets->pdata[i];
        g_autofree char *fds = NULL;
        g_autofree char *vhost = NULL;
        if (check_net(net, err) < 0)
            return -1;
        if (qemu_net_is_tap(net)) {
            fds = plan_queues(b, net, ARGV_FD_TAP);
            if (b->env->vhost_net && qemu_net_wants_vhost(net))
                vhost = plan_queues(b, net, ARGV_FD_VHOST);
        }
        json_t *netdev = qemu_netdev_props(net, fds, vhost, err);
        if (netdev == NULL)
            return -1;
        argv_add_json(b, "-netdev", netdev);
        json_t *device = qemu_net_props(b->def, net, b->env->caps, err);
        if (device == NULL)
            return -1;
        argv_add_json(b, "-device", device);
    }
    return 0;
}
