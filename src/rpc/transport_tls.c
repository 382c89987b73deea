/* rpc/transport_tls.c - bytes through TLS
 *
 * Owns:    one gnutls session a connection, what it has read of the socket and not used, what it has to write; not who may come in
 *          (tls_peer.c)
 * Threads: client event thread; a step of the handshake runs on a thread of handshakes, which alone touches the session meanwhile
 * Errors:  negative errno; the reason goes to the connection
 *
 * Theory of operation.  Gnutls never sees the socket: it reads from `in` and writes to `out`, and the event thread moves bytes between these
 * and the socket.
 *
 *   READING   until a whole record is there; nothing of a client that dawdles costs more than a read of the socket
 *   STEP      a thread of handshakes computes: signatures take a millisecond, which nobody else shall wait for
 *   SENDING   what the step has made leaves; then READING again, or the end: OPEN, or REFUSED once the alert has left
 *   OPEN      records are small work and are made and read on the event thread
 *
 * The last step verifies the client's certificate and makes the byte 1, which tells libvirt's clients that they are in.
 *
 * A connection that ends during a STEP leaves its transport to that step (`conn` is NULL), whose end frees it.
 *
 * A second handshake inside a session (TLS 1.2's renegotiation) is refused: the connection ends.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOG_AREA "rpc.tls"
#define ERR_FROM VIR_FROM_RPC

#include "rpc/tls_internal.h"
#include "util/log.h"

#define RECORD_HEAD 5u
#define RECORD_WIRE (TLS_RECORD_MAX + 2048u)  /* what TLS 1.2 lets a record grow to */
#define HANDSHAKE_MAX (64u * 1024u)       /* one message of a handshake: a chain of certificates */
#define TURN_BYTES (128u * 1024u)         /* payload taken by one writev */
#define HANDSHAKE_NICE 10                 /* those who are in go first */
#define ALERTS_MAX 32u                    /* messages without data a peer may send in a row */

typedef enum { READING, STEP, SENDING, OPEN, REFUSED } TlsState;

struct TlsTransport {
    RpcTransport t;
    RpcTls *tls;
    TlsCreds *creds; /* ref */
    RpcConn *conn;   /* NULL: gone while a step runs */
    gnutls_session_t session;
    TlsState state;
    GByteArray *in;   /* read from the socket, not by gnutls; NULL: nothing */
    size_t in_at;     /* what of it gnutls has taken */
    size_t in_ready;  /* handshake: end of the last whole record */
    GByteArray *out;  /* made by gnutls, not taken by the socket; NULL: nothing */
    size_t out_at;
    bool done;        /* no further step */
    bool refused;     /* and it ended badly: `why` */
    bool turned_away; /* because of who it is */
    bool broken;      /* the session is of no use any more */
    bool read_over;   /* the next read tells read_error: */
    int read_error;   /* negative errno, or 0 for the end */
    char *why;
    TlsPeer peer;
    GList link;       /* in tls->open */
};

/* ---- between gnutls and the buffers ----------------------------------------------------------------------------------------- */

static size_t in_left(const TlsTransport *t)
{
    return t->in ? t->in->len - t->in_at : 0;
}

static void in_drop(TlsTransport *t)
{
    if (t->in)
        g_byte_array_unref(t->in);
    t->in = NULL;
    t->in_at = t->in_ready = 0;
}

/* Reads the socket behind what is in `in`: bytes, 0 at its end, negative errno. */
static ssize_t in_fill(TlsTransport *t, size_t room)
{
    uint8_t *scratch = t->tls->scratch;
    ssize_t n;
    do {
        n = recv(t->t.fd, scratch, MIN(room, TLS_SCRATCH), MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (n > 0) {
        if (!t->in)
            t->in = g_byte_array_sized_new((guint)n);
        g_byte_array_append(t->in, scratch, (guint)n);
    }
    return n;
}

static ssize_t again(gnutls_session_t s)
{
    gnutls_transport_set_errno(s, EAGAIN);
    return -1;
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *buf, size_t len)
{
    TlsTransport *t = ptr;
    bool shaking = t->state == STEP;
    size_t left = shaking ? t->in_ready - t->in_at : in_left(t);
    if (left == 0 && shaking)
        return again(t->session);
    if (left == 0) {
        in_drop(t);
        ssize_t n = in_fill(t, TLS_SCRATCH);
        if (n <= 0) {
            gnutls_transport_set_errno(t->session, n < 0 ? (int)-n : 0);
            return n < 0 ? -1 : 0;
        }
        left = in_left(t);
    }
    len = MIN(len, left);
    memcpy(buf, t->in->data + t->in_at, len);
    t->in_at += len;
    return (ssize_t)len;
}

static ssize_t push(gnutls_transport_ptr_t ptr, const giovec_t *iov, int n_iov)
{
    TlsTransport *t = ptr;
    size_t total = 0;
    if (!t->out)
        t->out = g_byte_array_new();
    for (int i = 0; i < n_iov; i++) {
        g_byte_array_append(t->out, iov[i].iov_base, (guint)iov[i].iov_len);
        total += iov[i].iov_len;
    }
    return (ssize_t)total;
}

/* Gnutls asks whether to wait for more; there is never anything to wait for. */
static int pull_timeout(gnutls_transport_ptr_t ptr, unsigned ms)
{
    TlsTransport *t = ptr;
    return t->state == STEP ? t->in_ready > t->in_at : in_left(t) > 0;
}

/* Writes what is in `out`: 0 all gone, -EAGAIN or negative errno. */
static int out_send(TlsTransport *t)
{
    while (t->out) {
        struct iovec iov = {t->out->data + t->out_at, t->out->len - t->out_at};
        ssize_t n = rpc_transport_plain_write(t->t.fd, &iov, 1);
        if (n < 0)
            return (int)n;
        t->out_at += (size_t)n;
        if (t->out_at == t->out->len) {
            g_byte_array_unref(t->out);
            t->out = NULL;
            t->out_at = 0;
        }
    }
    return 0;
}

/* ---- the handshake: on a thread of handshakes ------------------------------------------------------------------------------- */

static void be_nice(void)
{
    static __thread bool nice_already;
    if (!nice_already && setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), HANDSHAKE_NICE) < 0)
        log_debug("threads of handshakes run at full priority: %s", g_strerror(errno));
    nice_already = true;
}

static int session_init(TlsTransport *t)
{
    int r = gnutls_init(&t->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS);
    if (r < 0) {
        t->session = NULL;
        return r;
    }
    r = gnutls_priority_set(t->session, t->creds->priority);
    if (r == 0)
        r = gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, t->creds->cred);
    gnutls_certificate_server_set_request(t->session, GNUTLS_CERT_REQUEST); /* asked, not insisted: who has none gets an alert that says so */
    gnutls_handshake_set_max_packet_length(t->session, HANDSHAKE_MAX);
    gnutls_handshake_set_timeout(t->session, GNUTLS_INDEFINITE_TIMEOUT); /* the connection has a deadline */
    gnutls_transport_set_ptr(t->session, t);
    gnutls_transport_set_pull_function(t->session, pull);
    gnutls_transport_set_pull_timeout_function(t->session, pull_timeout);
    gnutls_transport_set_vec_push_function(t->session, push);
    return r;
}

static void fail_step(TlsTransport *t, int r)
{
    bool told = r == GNUTLS_E_FATAL_ALERT_RECEIVED;
    t->why = g_strdup_printf("TLS handshake failed: %s%s%s", gnutls_strerror(r), told ? " " : "",
                             told ? gnutls_alert_get_name(gnutls_alert_get(t->session)) : "");
    t->done = t->refused = true;
    if (!told && t->session)
        gnutls_alert_send_appropriate(t->session, r);
}

static void step(TlsTransport *t)
{
    int r = t->session ? 0 : session_init(t);
    if (r < 0) {
        fail_step(t, r);
        return;
    }
    do {
        r = gnutls_handshake(t->session);
    } while (r == GNUTLS_E_INTERRUPTED || r == GNUTLS_E_WARNING_ALERT_RECEIVED);
    if (r == GNUTLS_E_AGAIN)
        return;
    if (r < 0) {
        fail_step(t, r);
        return;
    }
    gnutls_alert_description_t alert = GNUTLS_A_INTERNAL_ERROR;
    if (tls_peer_verify(t->session, t->creds, &t->peer, &alert, &t->why) < 0) {
        t->done = t->refused = t->turned_away = true;
        gnutls_alert_send(t->session, GNUTLS_AL_FATAL, alert); /* into `out` */
        return;
    }
    static const char in = 1;
    ssize_t n = gnutls_record_send(t->session, &in, 1);
    if (n != 1) {
        t->why = g_strdup_printf("TLS: %s", gnutls_strerror((int)n));
        t->refused = true;
    }
    t->done = true;
}

static void tls_dispose(TlsTransport *t);

static void on_step_done(void *arg)
{
    TlsTransport *t = arg;
    t->state = SENDING;
    if (!t->conn)
        tls_dispose(t);
    else
        conn_handshake(t->conn);
}

static void run_step(void *arg)
{
    TlsTransport *t = arg;
    be_nice();
    step(t);
    event_post(t->tls->loop, on_step_done, t);
}

/* ---- the handshake: on the event thread ------------------------------------------------------------------------------------- */

/* 1: a whole record is there, 0: not yet, -1: these are no records of a handshake. */
static int find_records(TlsTransport *t)
{
    const uint8_t *p = t->in ? t->in->data : NULL;
    size_t len = t->in ? t->in->len : 0;
    while (len - t->in_ready >= RECORD_HEAD) {
        const uint8_t *head = p + t->in_ready;
        size_t size = (size_t)head[3] << 8 | head[4];
        if (head[0] < 20 || head[0] > 23 || head[1] != 3 || size > RECORD_WIRE)
            return -1;
        if (len - t->in_ready < RECORD_HEAD + size)
            break;
        t->in_ready += RECORD_HEAD + size;
    }
    /* what cannot become one is told at once, not when five bytes are there */
    if (len - t->in_ready >= 1 && (p[t->in_ready] < 20 || p[t->in_ready] > 23))
        return -1;
    return t->in_ready > t->in_at;
}

/* What gnutls has taken goes; the beginning of the next record stays. */
static void in_compact(TlsTransport *t)
{
    if (in_left(t) == 0) {
        in_drop(t);
    } else if (t->in_at > 0) {
        g_byte_array_remove_range(t->in, 0, (guint)t->in_at);
        t->in_ready -= t->in_at;
        t->in_at = 0;
    }
}

static int read_records(TlsTransport *t, const char **why)
{
    in_compact(t);
    for (;;) {
        int found = find_records(t);
        if (found < 0) {
            *why = "this is not TLS";
            return -EPROTO;
        }
        if (found > 0)
            return 0;
        ssize_t n = in_fill(t, RECORD_HEAD + RECORD_WIRE - in_left(t));
        if (n == -EAGAIN)
            return -EAGAIN;
        if (n <= 0) {
            *why = "gone in the TLS handshake";
            return n < 0 ? (int)n : -ECONNRESET;
        }
    }
}

static int enter_open(TlsTransport *t, const char **why)
{
    TlsCreds *now = tls_creds_now(t->tls);
    const char *refused = now == t->creds ? NULL : tls_peer_refused(&t->peer, now); /* loaded again meanwhile */
    tls_creds_unref(now);
    if (refused) {
        *why = refused;
        return -EACCES;
    }
    if (in_left(t) == 0)
        in_drop(t);
    t->state = OPEN;
    t->link.data = t;
    g_queue_push_tail_link(&t->tls->open, &t->link);
    rpc_conn_set_x509_dname(t->conn, t->peer.dname);
    rpc_conn_set_tls_bits(t->conn, rpc_transport_tls_bits(&t->t));
    g_autofree char *how = rpc_transport_tls_describe(&t->t);
    log_info("%s: %s, certificate %s", rpc_conn_name(t->conn), how, t->peer.dname ? t->peer.dname : "not verified");
    return 0;
}

static int tls_handshake(RpcTransport *rt, const char **why)
{
    TlsTransport *t = (TlsTransport *)rt;
    if (t->state == STEP)
        return -EAGAIN;
    int r = out_send(t);
    if (r == -EAGAIN) {
        t->state = SENDING;
        return r;
    }
    if (t->refused) { /* whether or not the alert could be sent */
        t->state = REFUSED;
        if (t->turned_away)
            log_warning("%s: not let in: %s", rpc_conn_name(t->conn), t->why);
        *why = t->why;
        return -EACCES;
    }
    if (r < 0) {
        *why = "TLS handshake failed";
        return r;
    }
    if (t->done)
        return enter_open(t, why);
    t->state = READING;
    r = read_records(t, why);
    if (r < 0)
        return r;
    t->state = STEP;
    pool_submit(t->tls->pool, LANE_NORMAL, run_step, t);
    return -EAGAIN;
}

/* ---- records ---------------------------------------------------------------------------------------------------------------- */

/* What an error of gnutls means for the connection; sets its reason. */
static int read_failed(TlsTransport *t, int r)
{
    t->broken = true;
    if (r == GNUTLS_E_PREMATURE_TERMINATION)
        return 0; /* as other peers do: the end of the socket is the end */
    if (r == GNUTLS_E_REHANDSHAKE) {
        conn_fail(t->conn, "asked for a new TLS handshake, which is refused");
        gnutls_alert_send(t->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
        out_send(t);
    } else if (r == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        conn_fail(t->conn, "TLS: the client says: %s", gnutls_alert_get_name(gnutls_alert_get(t->session)));
    } else if (r != GNUTLS_E_PULL_ERROR) {
        conn_fail(t->conn, "TLS: %s", gnutls_strerror(r));
    }
    return r == GNUTLS_E_PULL_ERROR ? -ECONNRESET : -EPROTO;
}

/* One record's payload: > 0, 0 at the end, -EAGAIN or negative errno. */
static ssize_t read_record(TlsTransport *t, uint8_t *buf, size_t len)
{
    for (unsigned i = 0; i < ALERTS_MAX; i++) {
        ssize_t n = gnutls_record_recv(t->session, buf, len);
        if (n >= 0)
            return n;
        if (n == GNUTLS_E_AGAIN && in_left(t) > 0)
            continue; /* that was a message of TLS itself: new keys */
        if (n == GNUTLS_E_AGAIN)
            return -EAGAIN;
        if (n != GNUTLS_E_WARNING_ALERT_RECEIVED && n != GNUTLS_E_INTERRUPTED)
            return read_failed(t, (int)n);
    }
    t->broken = true;
    conn_fail(t->conn, "TLS: too many messages without data");
    return -EPROTO;
}

static ssize_t tls_read(RpcTransport *rt, void *buf, size_t len, int *fds, unsigned *n_fds)
{
    TlsTransport *t = (TlsTransport *)rt;
    uint8_t *to = buf;
    size_t got = 0;
    *n_fds = 0;
    if (t->read_over)
        return t->read_error;
    /* As many records as came with one read of the socket. */
    do {
        ssize_t n = read_record(t, to + got, len - got);
        if (n <= 0) {
            if (got > 0 && n != -EAGAIN) {
                t->read_over = true;
                t->read_error = (int)n;
            }
            if (got == 0)
                return n;
            break;
        }
        got += (size_t)n;
    } while (len - got >= TLS_RECORD_MAX && in_left(t) > 0);
    if (in_left(t) == 0)
        in_drop(t);
    return (ssize_t)got;
}

static bool tls_pending(RpcTransport *rt)
{
    TlsTransport *t = (TlsTransport *)rt;
    return t->state == OPEN && (in_left(t) > 0 || t->read_over || gnutls_record_check_pending(t->session) > 0);
}

/* Fills one record from the vector; moves the place in it on. */
static size_t gather(uint8_t *record, const struct iovec *iov, int n_iov, int *at, size_t *off)
{
    size_t len = 0;
    while (*at < n_iov && len < TLS_RECORD_MAX) {
        size_t part = MIN(iov[*at].iov_len - *off, TLS_RECORD_MAX - len);
        memcpy(record + len, (const uint8_t *)iov[*at].iov_base + *off, part);
        len += part;
        *off += part;
        if (*off == iov[*at].iov_len) {
            (*at)++;
            *off = 0;
        }
    }
    return len;
}

static int tls_flush(RpcTransport *rt)
{
    return out_send((TlsTransport *)rt);
}

/* Takes up to a turn's worth, though the socket may not: the rest of that waits in `out`, and nothing more is taken until it has left. */
static ssize_t tls_writev(RpcTransport *rt, const struct iovec *iov, int n_iov)
{
    TlsTransport *t = (TlsTransport *)rt;
    int r = out_send(t);
    if (r < 0)
        return r;
    size_t taken = 0, off = 0;
    for (int at = 0; at < n_iov && taken < TURN_BYTES;) {
        size_t len = gather(t->tls->record, iov, n_iov, &at, &off);
        ssize_t n = len ? gnutls_record_send(t->session, t->tls->record, len) : 0;
        if (n < 0) {
            t->broken = true;
            conn_fail(t->conn, "TLS: %s", gnutls_strerror((int)n));
            return -EPROTO;
        }
        taken += (size_t)n;
    }
    r = out_send(t);
    return r < 0 && r != -EAGAIN ? r : (ssize_t)taken;
}

static uint32_t tls_wants(RpcTransport *rt)
{
    TlsTransport *t = (TlsTransport *)rt;
    switch (t->state) {
    case STEP:
        return RPC_WANTS_NOTHING;
    case SENDING:
        return t->out ? EPOLLOUT : EPOLLIN;
    case READING:
    case REFUSED:
    case OPEN:
        break;
    }
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------- */

static void dispose(void *arg)
{
    TlsTransport *t = arg;
    if (t->session)
        gnutls_deinit(t->session);
    in_drop(t);
    if (t->out)
        g_byte_array_unref(t->out);
    tls_peer_done(&t->peer);
    tls_creds_unref(t->creds);
    tls_unref(t->tls);
    g_free(t->why);
    g_free(t);
}

/* A session is hundreds of pieces of memory. */
static void tls_dispose(TlsTransport *t)
{
    if (t->tls->pool)
        pool_submit(t->tls->pool, LANE_LONG, dispose, t);
    else
        dispose(t); /* everything ends */
}

static void tls_free(RpcTransport *rt)
{
    TlsTransport *t = (TlsTransport *)rt;
    if (t->link.data)
        g_queue_unlink(&t->tls->open, &t->link);
    if (t->state == STEP) {
        t->conn = NULL; /* on_step_done frees it */
        return;
    }
    if (t->state == OPEN && !t->broken && !t->out) { /* so that the peer knows that nothing was cut off */
        gnutls_bye(t->session, GNUTLS_SHUT_WR);
        out_send(t);
    }
    tls_dispose(t);
}

static const RpcTransportOps tls_ops = {
    .name = "tls",
    .read = tls_read,
    .writev = tls_writev,
    .handshake = tls_handshake,
    .pending = tls_pending,
    .flush = tls_flush,
    .wants = tls_wants,
    .free = tls_free,
};

RpcTransport *rpc_tls_transport(void *ud, RpcConn *c, int fd, Err *err)
{
    TlsTransport *t = g_new0(TlsTransport, 1);
    t->t = (RpcTransport){&tls_ops, fd};
    t->tls = tls_ref(ud);
    t->conn = c;
    t->creds = tls_creds_now(t->tls);
    if (t->creds)
        return &t->t;
    dispose(t);
    err_set(err, VIR_ERR_INTERNAL_ERROR, "no TLS certificates are loaded");
    return NULL;
}

/* ---- what others ask -------------------------------------------------------------------------------------------------------- */

unsigned rpc_transport_tls_bits(const RpcTransport *rt)
{
    const TlsTransport *t = (const TlsTransport *)rt;
    if (rt->ops != &tls_ops || t->state != OPEN)
        return 0;
    return (unsigned)gnutls_cipher_get_key_size(gnutls_cipher_get(t->session)) * 8;
}

char *rpc_transport_tls_describe(const RpcTransport *rt)
{
    const TlsTransport *t = (const TlsTransport *)rt;
    if (rt->ops != &tls_ops || t->state != OPEN)
        return NULL;
    const char *version = gnutls_protocol_get_name(gnutls_protocol_get_version(t->session));
    return g_strdup_printf("%s %s", version ? version : "TLS", gnutls_cipher_get_name(gnutls_cipher_get(t->session)));
}

void tls_transports_sweep(RpcTls *tls)
{
    TlsCreds *now = tls_creds_now(tls);
    for (GList *i = tls->open.head; i; i = i->next) {
        const TlsTransport *t = i->data;
        const char *why = tls_peer_refused(&t->peer, now);
        if (!why)
            continue;
        log_warning("%s: %s: session ended, certificate %s", rpc_conn_name(t->conn), why, t->peer.dname ? t->peer.dname : "not verified");
        rpc_conn_close(t->conn, "%s", why); /* posted */
    }
    tls_creds_unref(now);
}
