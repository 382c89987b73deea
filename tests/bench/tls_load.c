/* tests/bench/tls_load.c - TLS for bench_transport.py: the least server there can be, the RPC layer alone, clients
 *
 * Owns:    servers `bare` (gnutls and nothing else, a thread a client) and `rpc` (an RpcServer with two procedures); clients `call`,
 *          `bulk`, `connect`, `hold`, `flood`, `hello`.  Each prints one JSON object
 *
 * Both servers speak packets: procedure 157 is answered with 8 bytes, 2 with the content of FILE as a stream.
 *
 *   tls_load bare|rpc PORT PKI FILE
 *   tls_load bulk PORT CLIENT COUNT
 *   tls_load call|connect|hold unix|tcp|tls|sasl PATH|PORT CLIENT COUNT [open]    sasl: TCP, CLIENT is USER:PASSWORD
 *   tls_load flood|hello PORT CLIENT THREADS    until its input ends; hello: first messages only, which cost who sends them nothing
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rpc/server.h"
#include "rpc/stream.h"
#include "rpc/tls.h"
#include "tests/bench/sasl_client.h"
#include "util/err.h"
#include "util/pool.h"

#define PROG 0x20008086u
#define PROC_NULL 157
#define PROC_FILE 2
#define PART (256u * 1024u)

static void __attribute__((noreturn)) die(const char *what, int r)
{
    fprintf(stderr, "tls_load: %s: %s\n", what, r < 0 ? gnutls_strerror(r) : strerror(errno));
    exit(EXIT_FAILURE);
}

static char *pki_file(const char *pki, const char *name)
{
    return g_build_filename(pki, name, NULL);
}

/* ---- a channel: a socket, with TLS, with a security layer of SASL, or without ------------------------------------------------ */

typedef struct Chan {
    int fd;
    gnutls_session_t s; /* NULL: no TLS */
    sasl_conn_t *sasl;  /* NULL: no layer */
    GByteArray *plain;  /* out of the layer and not read */
} Chan;

/* False when the other end is gone. */
static bool chan_write(Chan *c, const void *buf, size_t len)
{
    const char *p = buf;
    unsigned coded = 0;
    if (c->sasl && sasl_encode(c->sasl, buf, (unsigned)len, &p, &coded) != SASL_OK)
        return false;
    len = c->sasl ? coded : len;
    for (size_t done = 0; done < len;) {
        ssize_t n = c->s ? gnutls_record_send(c->s, p + done, len - done) : send(c->fd, p + done, len - done, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static ssize_t read_layer(Chan *c, void *buf, size_t len)
{
    while (c->plain->len == 0) {
        char coded[16384];
        const char *p = NULL;
        unsigned n_plain = 0;
        ssize_t n = read(c->fd, coded, sizeof(coded));
        if (n <= 0 || sasl_decode(c->sasl, coded, (unsigned)n, &p, &n_plain) != SASL_OK)
            return -1;
        if (n_plain > 0)
            g_byte_array_append(c->plain, (const uint8_t *)p, n_plain);
    }
    len = MIN(len, c->plain->len);
    memcpy(buf, c->plain->data, len);
    g_byte_array_remove_range(c->plain, 0, (guint)len);
    return (ssize_t)len;
}

/* False at the end. */
static bool chan_read(Chan *c, void *buf, size_t len)
{
    for (size_t done = 0; done < len;) {
        uint8_t *p = (uint8_t *)buf + done;
        ssize_t n = c->sasl ? read_layer(c, p, len - done) : c->s ? gnutls_record_recv(c->s, p, len - done) : read(c->fd, p, len - done);
        if (c->s && (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED))
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static void must_read(Chan *c, void *buf, size_t len)
{
    if (!chan_read(c, buf, len))
        die("the server hung up", 0);
}

static int tcp_socket(const char *port, struct sockaddr_in *sin)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *sin = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (fd < 0)
        die("socket", 0);
    return fd;
}

static void no_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static gnutls_certificate_credentials_t credentials(const char *ca, const char *cert, const char *key)
{
    gnutls_certificate_credentials_t cred;
    int r = gnutls_certificate_allocate_credentials(&cred);
    if (r == 0)
        r = gnutls_certificate_set_x509_trust_file(cred, ca, GNUTLS_X509_FMT_PEM);
    if (r > 0)
        r = gnutls_certificate_set_x509_key_file(cred, cert, key, GNUTLS_X509_FMT_PEM);
    if (r < 0)
        die("credentials", r);
    return cred;
}

static gnutls_session_t session(unsigned flags, gnutls_certificate_credentials_t cred, int fd)
{
    gnutls_session_t s;
    int r = gnutls_init(&s, flags);
    if (r == 0)
        r = gnutls_priority_set_direct(s, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
    if (r == 0)
        r = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, cred);
    if (r < 0)
        die("session", r);
    gnutls_transport_set_int(s, fd);
    return s;
}

static int shake(gnutls_session_t s)
{
    int r;
    do {
        r = gnutls_handshake(s);
    } while (r < 0 && !gnutls_error_is_fatal(r));
    return r;
}

/* ---- the least server ------------------------------------------------------------------------------------------------------- */

typedef struct Bare {
    gnutls_certificate_credentials_t cred;
    const char *file;
    int fd;
} Bare;

static void answer(Chan *c, const RpcHeader *call, uint32_t type, uint32_t status, const void *body, size_t len, uint8_t *buf)
{
    RpcHeader h = *call;
    h.type = type;
    h.status = status;
    rpc_header_encode(buf, &h, len);
    if (body)
        memcpy(buf + RPC_HEADER_SIZE, body, len);
    chan_write(c, buf, RPC_HEADER_SIZE + len);
}

static gpointer bare_client(gpointer arg)
{
    g_autofree Bare *b = arg;
    Chan c = {.fd = b->fd, .s = session(GNUTLS_SERVER | GNUTLS_NO_TICKETS | GNUTLS_NO_SIGNAL, b->cred, b->fd)};
    g_autofree uint8_t *buf = g_malloc(RPC_HEADER_SIZE + PART);
    uint8_t head[RPC_HEADER_SIZE];
    static const uint8_t eight[8], one = 1;
    gnutls_certificate_server_set_request(c.s, GNUTLS_CERT_REQUEST);
    if (shake(c.s) == 0)
        chan_write(&c, &one, 1);
    while (chan_read(&c, head, sizeof(head))) {
        RpcHeader h;
        rpc_header_decode(head, &h);
        if (h.proc != PROC_FILE) {
            answer(&c, &h, RPC_TYPE_REPLY, RPC_STATUS_OK, eight, sizeof(eight), buf);
            continue;
        }
        answer(&c, &h, RPC_TYPE_REPLY, RPC_STATUS_OK, NULL, 0, buf);
        int fd = open(b->file, O_RDONLY | O_CLOEXEC);
        for (ssize_t n; (n = read(fd, buf + RPC_HEADER_SIZE, PART)) > 0;)
            answer(&c, &h, RPC_TYPE_STREAM, RPC_STATUS_CONTINUE, NULL, (size_t)n, buf);
        close(fd);
        answer(&c, &h, RPC_TYPE_STREAM, RPC_STATUS_CONTINUE, NULL, 0, buf);
    }
    gnutls_deinit(c.s);
    close(c.fd);
    return NULL;
}

static int listen_on(const char *port)
{
    struct sockaddr_in sin;
    int on = 1, fd = tcp_socket(port, &sin);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, 1000) < 0)
        die("listen", 0);
    return fd;
}

static void server_files(const char *pki, char **ca, char **cert, char **key)
{
    *ca = pki_file(pki, "CA/cacert.pem");
    *cert = pki_file(pki, "libvirt/servercert.pem");
    *key = pki_file(pki, "libvirt/private/serverkey.pem");
}

static void ready(void)
{
    puts("ready");
    fflush(stdout);
}

static void bare(const char *port, const char *pki, const char *file)
{
    g_autofree char *ca = NULL, *cert = NULL, *key = NULL;
    server_files(pki, &ca, &cert, &key);
    Bare b = {.cred = credentials(ca, cert, key), .file = file};
    int fd = listen_on(port);
    ready();
    for (;;) {
        b.fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (b.fd < 0)
            die("accept", 0);
        no_delay(b.fd);
        g_thread_unref(g_thread_new("client", bare_client, g_memdup2(&b, sizeof(b))));
    }
}

/* ---- the RPC layer ---------------------------------------------------------------------------------------------------------- */

static Pool *pool;
static const char *stream_file;

static bool known(void *ud, RpcConn *c, uint32_t prog, uint32_t vers)
{
    return true;
}

static void on_call(void *ud, RpcMsg *m)
{
    static const uint8_t eight[8];
    if (m->h.proc == PROC_FILE) {
        rpc_stream_open_read(m, open(stream_file, O_RDONLY | O_CLOEXEC), 0, UINT64_MAX, false, pool, NULL);
        rpc_reply(m, NULL, NULL, NULL, 0, NULL);
    } else {
        g_autoptr(GBytes) body = g_bytes_new_static(eight, sizeof(eight));
        rpc_reply_encoded(m, body, NULL);
    }
    rpc_msg_free(m);
}

static void rpc(const char *port, const char *pki, const char *file)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *ca = NULL, *cert = NULL, *key = NULL;
    EventLoop *loop = event_loop_new("bench");
    RpcTls *tls = rpc_tls_new(loop);
    server_files(pki, &ca, &cert, &key);
    stream_file = file;
    pool = pool_new(&(PoolLimits){.cap = {0, 4, 4, 4}, .max_threads = 8, .idle_ms = 1000});
    RpcServer *s = rpc_server_new(loop, "bench", &RPC_LIMITS_DEFAULT, &(RpcService){.known_program = known, .call = on_call});
    RpcListenerSpec spec = {.name = "bench", .kind = RPC_KIND_TLS, .make_transport = rpc_tls_transport, .ud = tls};
    if (rpc_tls_load(tls, &(RpcTlsConfig){.ca_file = ca, .cert_file = cert, .key_file = key}, &err) < 0 ||
        rpc_server_listen(s, listen_on(port), &spec, &err) < 0) {
        fprintf(stderr, "tls_load: %s\n", err.detail);
        exit(EXIT_FAILURE);
    }
    ready();
    event_loop_run(loop);
}

/* ---- clients ---------------------------------------------------------------------------------------------------------------- */

static gnutls_certificate_credentials_t client_cred;
static const char *client_user; /* of SASL: USER:PASSWORD */

static void client_files(const char *dir)
{
    g_autofree char *ca = pki_file(dir, "cacert.pem"), *cert = pki_file(dir, "clientcert.pem"), *key = pki_file(dir, "clientkey.pem");
    if (strchr(dir, ':'))
        client_user = dir;
    else if (strcmp(dir, "-") != 0)
        client_cred = credentials(ca, cert, key);
}

/* A call and the payload of its good answer. */
static void exchange(void *ud, int32_t proc, const uint8_t *body, size_t len, uint8_t **ret, size_t *ret_len)
{
    Chan *c = ud;
    RpcHeader h = {PROG, 1, proc, RPC_TYPE_CALL, 0, RPC_STATUS_OK};
    g_autofree uint8_t *buf = g_malloc(RPC_HEADER_SIZE + len);
    rpc_header_encode(buf, &h, len);
    if (len)
        memcpy(buf + RPC_HEADER_SIZE, body, len);
    if (!chan_write(c, buf, RPC_HEADER_SIZE + len))
        die("the server hung up", 0);
    must_read(c, buf, RPC_HEADER_SIZE);
    *ret_len = rpc_header_decode(buf, &h) - RPC_HEADER_SIZE;
    if (h.status != RPC_STATUS_OK || *ret_len > RPC_PACKET_MAX_PREAUTH)
        die("a call failed", 0);
    *ret = g_malloc(*ret_len + 1);
    must_read(c, *ret, *ret_len);
}

static void log_in(Chan *c)
{
    g_auto(GStrv) who = g_strsplit(client_user, ":", 2);
    c->sasl = sasl_client_prove("DIGEST-MD5", who[0], who[1], exchange, c);
    c->plain = g_byte_array_new();
}

static Chan chan_open(const char *kind, const char *where)
{
    Chan c = {0};
    if (strcmp(kind, "unix") == 0) {
        struct sockaddr_un sun = {.sun_family = AF_UNIX};
        g_strlcpy(sun.sun_path, where, sizeof(sun.sun_path));
        c.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(c.fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
            die(where, 0);
        return c;
    }
    struct sockaddr_in sin;
    c.fd = tcp_socket(where, &sin);
    if (connect(c.fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
        die("connect", 0);
    no_delay(c.fd);
    if (strcmp(kind, "tls") == 0) {
        uint8_t in = 0;
        c.s = session(GNUTLS_CLIENT, client_cred, c.fd);
        int r = shake(c.s);
        if (r < 0)
            die("handshake", r);
        must_read(&c, &in, 1);
    } else if (strcmp(kind, "sasl") == 0) {
        uint8_t *list = NULL;
        size_t len = 0;
        exchange(&c, 66, NULL, 0, &list, &len);
        g_free(list);
        log_in(&c);
    }
    return c;
}

static void chan_close(Chan *c)
{
    if (c->s)
        gnutls_deinit(c->s);
    if (c->sasl)
        sasl_dispose(&c->sasl);
    if (c->plain)
        g_byte_array_unref(c->plain);
    close(c->fd);
}

static void call_one(Chan *c, int32_t proc, uint32_t serial, const void *body, size_t len)
{
    uint8_t buf[256];
    RpcHeader h = {PROG, 1, proc, RPC_TYPE_CALL, serial, RPC_STATUS_OK};
    rpc_header_encode(buf, &h, len);
    if (len)
        memcpy(buf + RPC_HEADER_SIZE, body, len);
    if (!chan_write(c, buf, RPC_HEADER_SIZE + len))
        die("the server hung up", 0);
    must_read(c, buf, RPC_HEADER_SIZE);
    size_t rest = rpc_header_decode(buf, &h) - RPC_HEADER_SIZE;
    if (h.status != RPC_STATUS_OK || rest > sizeof(buf))
        die("a call failed", 0);
    must_read(c, buf, rest);
}

/* AUTH_LIST and CONNECT_OPEN of qemu:///system. */
static void open_system(Chan *c)
{
    static const char args[] = "\0\0\0\1\0\0\0\x0eqemu:///system\0\0\0\0\0";
    call_one(c, 66, 0, NULL, 0);
    call_one(c, 1, 1, args, 4 + 4 + 16 + 4);
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void calls(const char *kind, const char *where, unsigned count, bool open_first)
{
    Chan c = chan_open(kind, where);
    g_autofree double *us = g_new(double, count);
    if (open_first)
        open_system(&c);
    for (unsigned i = 0; i < count / 10; i++)
        call_one(&c, PROC_NULL, i, NULL, 0);
    for (unsigned i = 0; i < count; i++) {
        double from = seconds();
        call_one(&c, PROC_NULL, i, NULL, 0);
        us[i] = (seconds() - from) * 1e6;
    }
    qsort(us, count, sizeof(*us), by_value);
    printf("{\"p50\": %.2f, \"p99\": %.2f}\n", us[count / 2], us[count * 99 / 100]);
    chan_close(&c);
}

static void bulk(const char *port, unsigned count)
{
    Chan c = chan_open("tls", port);
    g_autofree uint8_t *buf = g_malloc(PART * 2);
    double best = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t bytes = 0;
        double from = seconds();
        call_one(&c, PROC_FILE, i, NULL, 0);
        for (;;) {
            RpcHeader h;
            must_read(&c, buf, RPC_HEADER_SIZE);
            size_t len = rpc_header_decode(buf, &h) - RPC_HEADER_SIZE;
            if (len == 0)
                break;
            if (len > PART * 2)
                die("a packet is too long", 0);
            must_read(&c, buf, len);
            bytes += len;
        }
        double rate = (double)bytes / (seconds() - from) / 1048576;
        best = MAX(best, rate);
        chan_close(&c);
        c = chan_open("tls", port);
    }
    printf("{\"rate\": %.1f}\n", best);
    chan_close(&c);
}

static void connects(const char *kind, const char *where, unsigned count)
{
    double from = seconds();
    for (unsigned i = 0; i < count; i++) {
        Chan c = chan_open(kind, where);
        open_system(&c);
        chan_close(&c);
    }
    printf("{\"rate\": %.1f}\n", count / (seconds() - from));
}

static void hold(const char *kind, const char *where, unsigned count)
{
    struct rlimit lim = {count + 100, count + 100};
    setrlimit(RLIMIT_NOFILE, &lim);
    for (unsigned i = 0; i < count; i++) {
        Chan c = chan_open(kind, where);
        open_system(&c);
    }
    ready();
    getchar();
}

static gint handshakes;

static gpointer flood_one(gpointer port)
{
    for (;;) {
        Chan c = chan_open("tls", port);
        chan_close(&c);
        g_atomic_int_inc(&handshakes);
    }
    return NULL;
}

static uint8_t hello[4096];
static size_t hello_len;

static ssize_t keep_hello(gnutls_transport_ptr_t ptr, const void *buf, size_t len)
{
    if (hello_len + len > sizeof(hello))
        return -1;
    memcpy(hello + hello_len, buf, len);
    hello_len += len;
    return (ssize_t)len;
}

static ssize_t no_answer(gnutls_transport_ptr_t ptr, void *buf, size_t len)
{
    errno = EAGAIN;
    return -1;
}

/* The first message of a handshake, once and for all. */
static void make_hello(void)
{
    gnutls_session_t s = session(GNUTLS_CLIENT | GNUTLS_NONBLOCK, client_cred, -1);
    gnutls_transport_set_push_function(s, keep_hello);
    gnutls_transport_set_pull_function(s, no_answer);
    gnutls_handshake(s);
    gnutls_deinit(s);
}

/* What a hostile one does who does not want to compute: the server signs, he goes. */
static gpointer hello_one(gpointer port)
{
    struct sockaddr_in sin;
    uint8_t buf[16384];
    for (;;) {
        int fd = tcp_socket(port, &sin);
        if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
            die("connect", 0);
        if (send(fd, hello, hello_len, MSG_NOSIGNAL) == (ssize_t)hello_len && recv(fd, buf, sizeof(buf), 0) > 0)
            g_atomic_int_inc(&handshakes);
        close(fd);
    }
    return NULL;
}

/* A flood comes from other hosts: here it gets what nobody else wants of these CPUs. */
static void flood(const char *port, unsigned threads, bool hello_only)
{
    if (hello_only)
        make_hello();
    const struct sched_param none = {0};
    if (sched_setscheduler(0, SCHED_IDLE, &none) < 0)
        die("sched_setscheduler", 0);
    for (unsigned i = 0; i < threads; i++)
        g_thread_unref(g_thread_new("flood", hello_only ? hello_one : flood_one, (gpointer)(uintptr_t)port));
    ready();
    double from = seconds();
    getchar();
    printf("{\"rate\": %.1f}\n", g_atomic_int_get(&handshakes) / (seconds() - from));
    fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 4 ? argv[1] : "";
    if (strcmp(mode, "bare") == 0)
        bare(argv[2], argv[3], argv[4]);
    else if (strcmp(mode, "rpc") == 0)
        rpc(argv[2], argv[3], argv[4]);
    else if (strcmp(mode, "bulk") == 0) {
        client_files(argv[3]);
        bulk(argv[2], (unsigned)atoi(argv[4]));
    } else if (strcmp(mode, "flood") == 0 || strcmp(mode, "hello") == 0) {
        client_files(argv[3]);
        flood(argv[2], (unsigned)atoi(argv[4]), *mode == 'h');
    } else if (argc > 5) {
        client_files(argv[4]);
        unsigned count = (unsigned)atoi(argv[5]);
        if (strcmp(mode, "call") == 0)
            calls(argv[2], argv[3], count, argc > 6);
        else
            (strcmp(mode, "hold") == 0 ? hold : connects)(argv[2], argv[3], count);
    } else {
        fprintf(stderr, "usage: see the head of tests/bench/tls_load.c\n");
        return 2;
    }
    return EXIT_SUCCESS;
}
