/* host/rtlink.c - network links by rtnetlink
 *
 * Owns:    nothing that lasts: one netlink socket a call
 * Threads: any that may wait for the kernel's routing lock: the kernel does what is asked for before the request returns
 * Errors:  negative errno
 *
 * By libnl's messages.  Its library of links (libnl-route) has tables of every kind of link and address, half a megabyte of an idle daemon's
 * memory, for three requests.
 */
#include "config.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <string.h>

#include "host/rtlink.h"

#define MAC_LEN 6

typedef struct nl_sock NlSock;
typedef struct nl_msg NlMsg;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NlSock, nl_socket_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NlMsg, nlmsg_free)

/* A request about one link, by its index or (0) by its name; NULL: no link can have this name. */
static NlMsg *request(int type, int flags, int index, const char *name)
{
    struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_index = index};
    g_autoptr(NlMsg) m = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);
    if (m == NULL || nlmsg_append(m, &link, sizeof(link), NLMSG_ALIGNTO) < 0)
        g_error("out of memory");
    if (name) {
        size_t len = strlen(name);
        if (len == 0 || len >= IFNAMSIZ || nla_put_string(m, IFLA_IFNAME, name) < 0)
            return NULL;
    }
    return g_steal_pointer(&m);
}

static int take_link(NlMsg *answer, void *ret)
{
    static const struct nla_policy policy[IFLA_MAX + 1] = {[IFLA_MTU] = {.type = NLA_U32}, [IFLA_LINKINFO] = {.type = NLA_NESTED}};
    static const struct nla_policy info_policy[IFLA_INFO_MAX + 1] = {[IFLA_INFO_KIND] = {.type = NLA_NUL_STRING}};
    struct nlattr *a[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
    RtLink *l = ret;
    const struct ifinfomsg *link = nlmsg_data(nlmsg_hdr(answer));
    if (nlmsg_parse(nlmsg_hdr(answer), sizeof(*link), a, IFLA_MAX, policy) < 0)
        return NL_SKIP;
    l->index = link->ifi_index;
    if (a[IFLA_MTU])
        l->mtu = nla_get_u32(a[IFLA_MTU]);
    if (a[IFLA_LINKINFO] && nla_parse_nested(info, IFLA_INFO_MAX, a[IFLA_LINKINFO], info_policy) == 0 && info[IFLA_INFO_KIND])
        nla_strlcpy(l->kind, info[IFLA_INFO_KIND], sizeof(l->kind));
    return NL_OK;
}

static int take_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *ret)
{
    (void)from;
    *(int *)ret = e->error;
    return NL_STOP;
}

/* Sends a request and takes the kernel's one answer to it: the link, an acknowledgement, or an error. */
static int ask(NlMsg *m, RtLink *ret)
{
    int error = 0;
    g_autoptr(NlSock) s = nl_socket_alloc();
    if (s == NULL)
        return -ENOMEM;
    nl_socket_disable_auto_ack(s);
    nl_socket_modify_err_cb(s, NL_CB_CUSTOM, take_error, &error);
    if (ret)
        nl_socket_modify_cb(s, NL_CB_VALID, NL_CB_CUSTOM, take_link, ret);
    errno = 0;
    if (nl_connect(s, NETLINK_ROUTE) < 0 || nl_send_auto(s, m) < 0 || nl_recvmsgs_default(s) < 0)
        return error ? error : errno ? -errno : -EIO;
    return error;
}

int rtlink_get(const char *name, RtLink *ret)
{
    *ret = (RtLink){0};
    g_autoptr(NlMsg) m = request(RTM_GETLINK, 0, 0, name);
    int r = m ? ask(m, ret) : -ENODEV;
    return r == 0 && ret->index == 0 ? -EBADMSG : r;
}

int rtlink_bring_up(int index, const RtLinkChange *change)
{
    g_autoptr(NlMsg) m = request(RTM_NEWLINK, NLM_F_ACK, index, NULL);
    struct ifinfomsg *link = nlmsg_data(nlmsg_hdr(m));
    link->ifi_flags = link->ifi_change = IFF_UP;
    if ((change->mac && nla_put(m, IFLA_ADDRESS, MAC_LEN, change->mac) < 0) || (change->mtu && nla_put_u32(m, IFLA_MTU, change->mtu) < 0) ||
        (change->master && nla_put_u32(m, IFLA_MASTER, (uint32_t)change->master) < 0))
        return -ENOMEM;
    return ask(m, NULL);
}

int rtlink_delete(const char *name)
{
    g_autoptr(NlMsg) m = request(RTM_DELLINK, NLM_F_ACK, 0, name);
    return m ? ask(m, NULL) : -ENODEV;
}
