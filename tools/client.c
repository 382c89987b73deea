/* tools/client.c - a connection of a small command to the daemon
 *
 * Owns:    framing; errors are printed where they are met
 * Threads: one
 * Errors:  stderr
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api_enums.h"
#include "protocol/net_protocol.h"
#include "protocol/procs.h"
#include "protocol/remote_protocol.h"
#include "protocol/wire_types.h"
#include "tools/client.h"

#define HEAD_BYTES 24u
#define WORD 4u

#define EARLY_MAX 1000u

/* An event that came while an answer was waited for. */
typedef struct Early {
    virNetMessageHeader head;
    uint8_t *body;
    size_t len;
} Early;

struct Client {
    int fd;
    unsigned serial;
    GQueue early; /* Early*, oldest first */
};

static int write_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int read_all(int fd, void *data, size_t len)
{
    char *p = data;
    while (len) {
        ssize_t n = read(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int send_call(Client *c, uint32_t prog, int proc, const WireType *args, const void *value)
{
    virNetMessageHeader h = {.prog = prog, .vers = 1, .proc = proc, .type = VIR_NET_CALL, .serial = ++c->serial, .status = VIR_NET_OK};
    size_t body = args->size ? wire_size(args, value) : 0, len = WORD + HEAD_BYTES + body;
    if (args->size && !body)
        return -EINVAL;
    g_autofree uint8_t *packet = g_malloc(len);
    uint32_t word = htonl((uint32_t)len);
    memcpy(packet, &word, sizeof(word));
    ssize_t r = wire_encode(&wire_message_header, &h, packet + WORD, HEAD_BYTES);
    if (r > 0 && body)
        r = wire_encode(args, value, packet + WORD + HEAD_BYTES, body);
    return r < 0 ? (int)r : write_all(c->fd, packet, len);
}

/* The next packet into *ret_body (caller frees), which follows the header. */
static int read_packet(Client *c, virNetMessageHeader *ret_head, uint8_t **ret_body, size_t *ret_len)
{
    uint32_t word;
    int r = read_all(c->fd, &word, sizeof(word));
    if (r < 0)
        return r;
    size_t len = ntohl(word);
    if (len < WORD + HEAD_BYTES || len > VIR_NET_MESSAGE_MAX + WORD)
        return -EBADMSG;
    len -= WORD;
    g_autofree uint8_t *packet = g_malloc(len);
    r = read_all(c->fd, packet, len);
    if (r == 0)
        r = wire_decode(&wire_message_header, ret_head, packet, HEAD_BYTES, NULL);
    if (r < 0)
        return r;
    *ret_len = len - HEAD_BYTES;
    *ret_body = g_malloc(*ret_len + 1); /* an empty one too is a buffer */
    memcpy(*ret_body, packet + HEAD_BYTES, *ret_len);
    return 0;
}

/* The answer to our call.  Events that come before it are kept. */
static int receive(Client *c, virNetMessageHeader *ret_head, uint8_t **ret_body, size_t *ret_len)
{
    for (;;) {
        int r = read_packet(c, ret_head, ret_body, ret_len);
        if (r < 0 || (ret_head->type == VIR_NET_REPLY && ret_head->serial == c->serial))
            return r;
        if (c->early.length >= EARLY_MAX)
            return -ENOBUFS;
        Early *e = g_new0(Early, 1);
        *e = (Early){*ret_head, g_steal_pointer(ret_body), *ret_len};
        g_queue_push_tail(&c->early, e);
    }
}

/* The next event. */
static int next_event(Client *c, virNetMessageHeader *ret_head, uint8_t **ret_body, size_t *ret_len)
{
    Early *e = g_queue_pop_head(&c->early);
    if (!e)
        return read_packet(c, ret_head, ret_body, ret_len);
    *ret_head = e->head;
    *ret_body = e->body;
    *ret_len = e->len;
    g_free(e);
    return 0;
}

static void print_error(const uint8_t *body, size_t len)
{
    virNetMessageError e = {0};
    if (wire_decode(&wire_message_error, &e, body, len, NULL) < 0) {
        fputs("berth-jobs: the daemon refused, and its reason cannot be read\n", stderr);
        return;
    }
    fprintf(stderr, "berth-jobs: %s\n", e.message ? *e.message : "the daemon refused without a reason");
    wire_free(&wire_message_error, &e);
}

int client_call(Client *c, uint32_t prog, int proc, const void *args, void *ret)
{
    const ProcInfo *row = proc_lookup(prog, proc);
    virNetMessageHeader h = {0};
    g_autofree uint8_t *body = NULL;
    size_t len = 0;
    int r = send_call(c, prog, proc, &row->args, args);
    if (r == 0)
        r = receive(c, &h, &body, &len);
    if (r == 0 && h.status != VIR_NET_OK) {
        print_error(body, len);
        return -1;
    }
    if (r == 0 && row->ret.size)
        r = wire_decode(&row->ret, ret, body, len, NULL);
    if (r == 0)
        return 0;
    fprintf(stderr, "berth-jobs: the connection to the daemon failed: %s\n", g_strerror(-r));
    return -1;
}

void client_free_ret(uint32_t prog, int proc, void *ret)
{
    wire_free(&proc_lookup(prog, proc)->ret, ret);
}

int client_event(Client *c, uint32_t prog, int proc, xdrproc_t filter, void *ret)
{
    for (;;) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (g_queue_is_empty(&c->early) && poll(&p, 1, -1) < 0)
            return 0;
        virNetMessageHeader h = {0};
        g_autofree uint8_t *body = NULL;
        size_t len = 0;
        int r = next_event(c, &h, &body, &len);
        if (r == 0 && (h.type != VIR_NET_MESSAGE || h.prog != prog || h.proc != proc))
            continue; /* nothing we asked for */
        XDR x;
        if (r == 0) {
            xdrmem_create(&x, (char *)body, (u_int)len, XDR_DECODE);
            if (filter(&x, ret))
                return 1;
            xdr_free(filter, ret);
            r = -EBADMSG;
        }
        fprintf(stderr, "berth-jobs: the daemon ended the connection: %s\n", g_strerror(-r));
        return -1;
    }
}

/* The socket's permissions decide who we are; a daemon that wants more than that is for other clients. */
static int authenticate(Client *c)
{
    remote_auth_list_ret ret = {0};
    if (client_call(c, REMOTE_PROGRAM, REMOTE_PROC_AUTH_LIST, NULL, &ret) < 0)
        return -1;
    bool free_entry = ret.types.types_len == 0;
    for (unsigned i = 0; i < ret.types.types_len; i++)
        free_entry = free_entry || ret.types.types_val[i] == REMOTE_AUTH_NONE;
    client_free_ret(REMOTE_PROGRAM, REMOTE_PROC_AUTH_LIST, &ret);
    if (free_entry)
        return 0;
    fputs("berth-jobs: the daemon asks for authentication, which this command cannot do; run it as root\n", stderr);
    return -1;
}

Client *client_open(const char *socket_path, const char *uri, bool read_only)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(socket_path) >= sizeof(a.sun_path)) {
        fprintf(stderr, "berth-jobs: the socket's path is too long: %s\n", socket_path);
        return NULL;
    }
    g_strlcpy(a.sun_path, socket_path, sizeof(a.sun_path));
    Client *c = g_new0(Client, 1);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        fprintf(stderr, "berth-jobs: cannot connect to '%s': %s\n", socket_path, g_strerror(errno));
        client_close(c);
        return NULL;
    }
    remote_nonnull_string name = g_strdup(uri);
    remote_connect_open_args args = {.name = &name, .flags = read_only ? VIR_CONNECT_RO : 0};
    bool good = authenticate(c) == 0 && client_call(c, REMOTE_PROGRAM, REMOTE_PROC_CONNECT_OPEN, &args, NULL) == 0;
    g_free(name);
    if (good)
        return c;
    client_close(c);
    return NULL;
}

void client_close(Client *c)
{
    if (!c)
        return;
    for (Early *e; (e = g_queue_pop_head(&c->early));) {
        g_free(e->body);
        g_free(e);
    }
    if (c->fd >= 0)
        close(c->fd);
    g_free(c);
}
