/* host/rtlink.c - network links by rtnetlink
 *
 * Owns:    the messages; one socket a call
 * Threads: any that may wait for the kernel's routing lock: the kernel does what is asked for before the request returns
 * Errors:  negative errno
 *
 * Three requests are all we have; the library for all others, with the tables of every kind of link, takes half a megabyte.
 */
#include "config.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/rtlink.h"
#include "util/fd.h"

#define ROOM 512u          /* for the attributes of a request */
#define REPLY_MAX 32768u   /* a link's description without its virtual functions is a page */
#define MAC_LEN 6u

typedef struct Request {
    struct nlmsghdr head;
    struct ifinfomsg link;
    uint8_t attributes[ROOM];
} Request;

static Request request(uint16_t type, uint16_t flags)
{
    return (Request){.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags},
                     .link = {.ifi_family = AF_UNSPEC}};
}

static void put(Request *r, unsigned short type, const void *data, size_t len)
{
    struct rtattr a = {.rta_len = (unsigned short)RTA_LENGTH(len), .rta_type = type};
    uint8_t *at = (uint8_t *)r + NLMSG_ALIGN(r->head.nlmsg_len);
    g_assert(r->head.nlmsg_len + RTA_SPACE(len) <= sizeof(*r));
    memcpy(at, &a, sizeof(a));
    memcpy(at + RTA_LENGTH(0), data, len);
    r->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(r->head.nlmsg_len) + RTA_SPACE(len));
}

/* False: no link can have this name. */
static bool put_name(Request *r, const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len >= IFNAMSIZ)
        return false;
    put(r, IFLA_IFNAME, name, len + 1);
    return true;
}

/* The kernel's one answer, in `buf`: its length, or the error it is. */
static ssize_t ask(const Request *r, uint8_t *buf, size_t size)
{
    AUTO_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (fd < 0 || sendto(fd, r, r->head.nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return -errno;
    ssize_t n;
    do {
        n = recv(fd, buf, size, MSG_TRUNC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    struct nlmsghdr head;
    if ((size_t)n > size || (size_t)n < sizeof(head))
        return -EMSGSIZE;
    memcpy(&head, buf, sizeof(head));
    if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > (size_t)n)
        return -EBADMSG;
    if (head.nlmsg_type != NLMSG_ERROR)
        return head.nlmsg_len;
    int error;
    if (head.nlmsg_len < NLMSG_LENGTH(sizeof(error)))
        return -EBADMSG;
    memcpy(&error, buf + NLMSG_HDRLEN, sizeof(error));
    return error < 0 ? error : 0; /* 0 acknowledges */
}

static int order(const Request *r)
{
    uint8_t buf[1024];
    ssize_t n = ask(r, buf, sizeof(buf));
    return n < 0 ? (int)n : 0;
}

/* Calls fn for each attribute of `len` bytes of them. */
static void each(const uint8_t *at, size_t len, void (*fn)(RtLink *l, unsigned type, const uint8_t *data, size_t n), RtLink *l)
{
    struct rtattr a;
    while (len >= sizeof(a)) {
        memcpy(&a, at, sizeof(a));
        if (a.rta_len < sizeof(a) || a.rta_len > len)
            return;
        fn(l, a.rta_type & NLA_TYPE_MASK, at + sizeof(a), a.rta_len - sizeof(a));
        size_t step = MIN(RTA_ALIGN((size_t)a.rta_len), len);
        at += step;
        len -= step;
    }
}

static void take_info(RtLink *l, unsigned type, const uint8_t *data, size_t n)
{
    if (type == IFLA_INFO_KIND)
        memcpy(l->kind, data, MIN(n, sizeof(l->kind) - 1));
}

static void take(RtLink *l, unsigned type, const uint8_t *data, size_t n)
{
    if (type == IFLA_MTU && n == sizeof(l->mtu))
        memcpy(&l->mtu, data, sizeof(l->mtu));
    else if (type == IFLA_LINKINFO)
        each(data, n, take_info, l);
}

int rtlink_get(const char *name, RtLink *ret)
{
    *ret = (RtLink){0};
    Request r = request(RTM_GETLINK, 0);
    if (!put_name(&r, name))
        return -ENODEV;
    g_autofree uint8_t *buf = g_malloc(REPLY_MAX);
    ssize_t n = ask(&r, buf, REPLY_MAX);
    if (n < 0)
        return (int)n;
    struct ifinfomsg link;
    const size_t skip = NLMSG_SPACE(sizeof(link));
    if ((size_t)n < skip)
        return -EBADMSG;
    memcpy(&link, buf + NLMSG_HDRLEN, sizeof(link));
    ret->index = link.ifi_index;
    each(buf + skip, (size_t)n - skip, take, ret);
    return 0;
}

int rtlink_bring_up(int index, const RtLinkChange *change)
{
    Request r = request(RTM_NEWLINK, NLM_F_ACK);
    r.link.ifi_index = index;
    r.link.ifi_flags = r.link.ifi_change = IFF_UP;
    if (change->mac)
        put(&r, IFLA_ADDRESS, change->mac, MAC_LEN);
    if (change->mtu)
        put(&r, IFLA_MTU, &change->mtu, sizeof(change->mtu));
    if (change->master)
        put(&r, IFLA_MASTER, &change->master, sizeof(change->master));
    return order(&r);
}

int rtlink_delete(const char *name)
{
    Request r = request(RTM_DELLINK, NLM_F_ACK);
    return put_name(&r, name) ? order(&r) : -ENODEV;
}
