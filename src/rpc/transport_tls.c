/* rpc/transport_tls.c - bytes through TLS
 *
 * Owns:    one gnutls session a connection, what it has read of the socket and not used, what it has to write; not the handshake
 *          (tls_handshake.c) nor who may come in (tls_peer.c)
 * Threads: client event thread; until the handshake is over everything but `conn` is the porter's
 * Errors:  negative errno; the reason goes to the connection
 *
 * Theory of operation.  Gnutls never sees the socket: it reads from `in` and writes to `out`, and whoever has the transport moves bytes
 * between them and the socket.
 *
 *   NEW       accepted
 *   SHAKING   a porter (a thread of its own at a lower priority) has the transport and the socket, and says when it is over
 *   SHAKEN    how it ended is known
 *   OPEN      records are small work and are made and read on the event thread
 *   REFUSED   not let in
 *
 * A connection that ends while SHAKING leaves transport and socket to the porter (`conn` is NULL).
 *
 * A second handshake inside a session (TLS 1.2's renegotiation) is refused: the connection ends.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define LOG_AREA "rpc.tls"
#define ERR_FROM VIR_FROM_RPC

#include "rpc/tls_internal.h"
#include "util/fd.h"
#include "util/log.h"

#define TURN_BYTES (128u * 1024u)         /* payload taken by one writev */
#define ALERTS_MAX 32u                    /* messages without data a peer may send in a row */

/* ---- between gnutls and the buffers ----------------------------------------------------------------------------------------- */

size_t tls_in_left(const TlsTransport *t)
{
    return t->in ? t->in->len - t->in_at : 0;
}

void tls_in_drop(TlsTransport *t)
{
    if (t->in)
        g_byte_array_unref(t->in);
    t->in = NULL;
    t->in_at = t->in_ready = 0;
}

ssize_t tls_in_fill(TlsTransport *t, uint8_t *scratch, size_t room)
{
    ssize_t n;
    do {
        n = recv(t->t.fd, scratch, room, MSG_DONTWAIT);
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
    bool shaking = t->state == TLS_SHAKING;
    size_t left = shaking ? t->in_ready - t->in_at : tls_in_left(t);
    if (left == 0 && shaking)
        return again(t->session);
    if (left == 0) {
        tls_in_drop(t);
        ssize_t n = tls_in_fill(t, t->tls->scratch, TLS_SCRATCH);
        if (n <= 0) {
            gnutls_transport_set_errno(t->session, n < 0 ? (int)-n : 0);
            return n < 0 ? -1 : 0;
        }
        left = tls_in_left(t);
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
    return t->state == TLS_SHAKING ? t->in_ready > t->in_at : tls_in_left(t) > 0;
}

int tls_out_send(TlsTransport *t)
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

void tls_plug(TlsTransport *t)
{
    gnutls_transport_set_ptr(t->session, t);
    gnutls_transport_set_pull_function(t->session, pull);
    gnutls_transport_set_pull_timeout_function(t->session, pull_timeout);
    gnutls_transport_set_vec_push_function(t->session, push);
}

/* ---- the handshake: what the event thread has to do with it ----------------------------------------------------------------- */

static int enter_open(TlsTransport *t, const char **why)
{
    TlsCreds *now = tls_creds_now(t->tls);
    const char *refused = now == t->creds ? NULL : tls_peer_refused(&t->peer, now); /* loaded again meanwhile */
    tls_creds_unref(now);
    if (refused) {
        t->state = TLS_REFUSED;
        *why = refused;
        return -EACCES;
    }
    if (tls_in_left(t) == 0)
        tls_in_drop(t);
    t->state = TLS_OPEN;
    t->link.data = t;
    g_queue_push_tail_link(&t->tls->open, &t->link);
    rpc_conn_set_x509_dname(t->conn, t->peer.dname);
    rpc_conn_set_tls_bits(t->conn, rpc_transport_tls_bits(&t->t));
    g_autofree char *how = rpc_transport_tls_describe(&t->t);
    log_info("%s: %s, certificate %s", rpc_conn_name(t->conn), how, t->peer.dname ? t->peer.dname : "not verified");
    return 0;
}

static void tls_dispose(TlsTransport *t);

void tls_shaken(void *arg)
{
    TlsTransport *t = arg;
    t->state = TLS_SHAKEN;
    if (!t->conn)
        tls_dispose(t);
    else
        conn_handshake(t->conn);
}

static int tls_handshake(RpcTransport *rt, const char **why)
{
    TlsTransport *t = (TlsTransport *)rt;
    if (t->state == TLS_NEW) {
        t->state = TLS_SHAKING;
        t->porter = tls_porter(t->tls);
        event_post(t->porter, tls_porter_begin, t);
    }
    if (t->state == TLS_SHAKING)
        return -EAGAIN;
    if (t->result < 0) {
        t->state = TLS_REFUSED;
        if (t->turned_away)
            log_warning("%s: not let in: %s", rpc_conn_name(t->conn), t->why);
        tls_out_send(t); /* the alert, if it can be sent */
        *why = t->why;
        return t->result;
    }
    int r = enter_open(t, why);
    if (r == 0)
        r = tls_out_send(t);
    return r == -EAGAIN ? -ENOBUFS : r; /* some bytes, for which whoever took the rest has room */
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
        tls_out_send(t);
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
        if (n == GNUTLS_E_AGAIN && tls_in_left(t) > 0)
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
    } while (len - got >= TLS_RECORD_MAX && tls_in_left(t) > 0);
    if (tls_in_left(t) == 0)
        tls_in_drop(t);
    return (ssize_t)got;
}

static bool tls_pending(RpcTransport *rt)
{
    TlsTransport *t = (TlsTransport *)rt;
    return t->state == TLS_OPEN && (tls_in_left(t) > 0 || t->read_over || gnutls_record_check_pending(t->session) > 0);
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
    return tls_out_send((TlsTransport *)rt);
}

/* Takes up to a turn's worth, though the socket may not: the rest of that waits in `out`, and nothing more is taken until it has left. */
static ssize_t tls_writev(RpcTransport *rt, const struct iovec *iov, int n_iov)
{
    TlsTransport *t = (TlsTransport *)rt;
    int r = tls_out_send(t);
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
    r = tls_out_send(t);
    return r < 0 && r != -EAGAIN ? r : (ssize_t)taken;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------- */

void tls_transport_dispose(void *arg)
{
    TlsTransport *t = arg;
    if (t->session)
        gnutls_deinit(t->session);
    tls_in_drop(t);
    if (t->out)
        g_byte_array_unref(t->out);
    fd_close(&t->left_fd);
    tls_peer_done(&t->peer);
    tls_creds_unref(t->creds);
    tls_unref(t->tls);
    g_free(t->why);
    g_free(t);
}

/* A session is hundreds of pieces of memory: not here, unless everything ends. */
static void tls_dispose(TlsTransport *t)
{
    if (t->porter && !t->tls->ended)
        event_post(t->porter, tls_transport_dispose, t);
    else
        tls_transport_dispose(t);
}

static void tls_free(RpcTransport *rt)
{
    TlsTransport *t = (TlsTransport *)rt;
    if (t->link.data)
        g_queue_unlink(&t->tls->open, &t->link);
    if (t->state == TLS_SHAKING) {
        t->left_fd = conn_leave_socket(t->conn);
        t->conn = NULL;
        event_post(t->porter, tls_porter_abandon, t);
        return;
    }
    if (t->state == TLS_REFUSED)
        t->left_fd = conn_leave_socket(t->conn); /* to close one that shook hands is the porter's work, too */
    if (t->state == TLS_OPEN && !t->broken && !t->out) { /* so that the peer knows that nothing was cut off */
        gnutls_bye(t->session, GNUTLS_SHUT_WR);
        tls_out_send(t);
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
    .free = tls_free,
};

RpcTransport *rpc_tls_transport(void *ud, RpcConn *c, int fd, Err *err)
{
    TlsTransport *t = g_new0(TlsTransport, 1);
    t->t = (RpcTransport){&tls_ops, fd};
    t->tls = tls_ref(ud);
    t->conn = c;
    t->left_fd = -1;
    t->creds = tls_creds_now(t->tls);
    if (t->creds)
        return &t->t;
    tls_transport_dispose(t);
    err_set(err, VIR_ERR_INTERNAL_ERROR, "no TLS certificates are loaded");
    return NULL;
}

/* ---- what others ask -------------------------------------------------------------------------------------------------------- */

unsigned rpc_transport_tls_bits(const RpcTransport *rt)
{
    const TlsTransport *t = (const TlsTransport *)rt;
    if (rt->ops != &tls_ops || t->state != TLS_OPEN)
        return 0;
    return (unsigned)gnutls_cipher_get_key_size(gnutls_cipher_get(t->session)) * 8;
}

char *rpc_transport_tls_describe(const RpcTransport *rt)
{
    const TlsTransport *t = (const TlsTransport *)rt;
    if (rt->ops != &tls_ops || t->state != TLS_OPEN)
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
