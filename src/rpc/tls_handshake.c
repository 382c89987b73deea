/* rpc/tls_handshake.c - a handshake of TLS, from the first byte to "let in" or not
 *
 * Owns:    steps of the handshake, its records, its socket until it is over; not bytes after that (transport_tls.c)
 * Threads: porters (event loops of their own, at a lower priority)
 * Errors:  TlsTransport.result and .why, which the event thread makes the connection's
 *
 * Theory of operation.  A porter has socket and session until the handshake is over, so that of a stranger the client event thread sees his
 * coming and his end, however many there are and whatever they send.  Each round of a porter's loop is one step of each who has sent a
 * whole record; nothing is computed before that, so who sends a byte at a time costs a read a byte.
 *
 * The last step verifies the client's certificate and makes the byte 1, which tells libvirt's clients that they are in, or an alert that says
 * why not.  The event thread sends it, so that what a client knows is known here.
 *
 * The end is posted to the event thread once.  A connection that ends before leaves socket and transport here (tls_porter_abandon);
 * when the two cross, the event thread finds that nobody wants the result.
 */
#include "config.h"

#include <errno.h>
#include <sys/epoll.h>

#define LOG_AREA "rpc.tls"
#define ERR_FROM VIR_FROM_RPC

#include "rpc/tls_internal.h"
#include "util/log.h"

#define RECORD_HEAD 5u
#define HANDSHAKE_MAX (64u * 1024u) /* one message of a handshake: a chain of certificates */

/* ---- a step ----------------------------------------------------------------------------------------------------------------- */

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
    tls_plug(t);
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

/* ---- records ---------------------------------------------------------------------------------------------------------------- */

/* 1: a whole record is there, 0: not yet, -1: these are no records of a handshake. */
static int find_records(TlsTransport *t)
{
    const uint8_t *p = t->in ? t->in->data : NULL;
    size_t len = t->in ? t->in->len : 0;
    while (len - t->in_ready >= RECORD_HEAD) {
        const uint8_t *head = p + t->in_ready;
        size_t size = (size_t)head[3] << 8 | head[4];
        if (head[0] < 20 || head[0] > 23 || head[1] != 3 || size > TLS_RECORD_WIRE)
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
    if (tls_in_left(t) == 0) {
        tls_in_drop(t);
    } else if (t->in_at > 0) {
        g_byte_array_remove_range(t->in, 0, (guint)t->in_at);
        t->in_ready -= t->in_at;
        t->in_at = 0;
    }
}

static int read_records(TlsTransport *t)
{
    uint8_t scratch[RECORD_HEAD + TLS_RECORD_WIRE];
    in_compact(t);
    for (;;) {
        int found = find_records(t);
        if (found < 0) {
            t->why = g_strdup("this is not TLS");
            return -EPROTO;
        }
        if (found > 0)
            return 0;
        ssize_t n = tls_in_fill(t, scratch, RECORD_HEAD + TLS_RECORD_WIRE - tls_in_left(t));
        if (n == -EAGAIN)
            return -EAGAIN;
        if (n <= 0) {
            t->why = g_strdup("gone in the TLS handshake");
            return n < 0 ? (int)n : -ECONNRESET;
        }
    }
}

/* ---- a porter's round ------------------------------------------------------------------------------------------------------- */

static void over(TlsTransport *t, int result)
{
    if (result < 0 && !t->why)
        t->why = g_strdup("TLS handshake failed");
    t->io = event_io_free(t->io);
    t->result = result;
    t->over = true;
    event_post_late(t->tls->loop, tls_shaken, t);
}

static void wait_for(TlsTransport *t, uint32_t events)
{
    int r = event_io_set(t->io, events);
    if (r < 0)
        over(t, r);
}

static void advance(void *ud, uint32_t revents)
{
    TlsTransport *t = ud;
    if (!t->out) {
        int r = read_records(t);
        if (r == -EAGAIN)
            return;
        if (r < 0) {
            over(t, r);
            return;
        }
        step(t);
    }
    if (t->done) {
        over(t, t->refused ? -EACCES : 0);
        return;
    }
    int r = tls_out_send(t);
    if (r < 0 && r != -EAGAIN)
        over(t, r);
    else
        wait_for(t, r < 0 ? EPOLLOUT : EPOLLIN);
}

void tls_porter_begin(void *arg)
{
    TlsTransport *t = arg;
    t->io = event_io_new(t->porter, t->t.fd, EPOLLIN, advance, t);
    if (!t->io)
        over(t, -errno);
}

void tls_porter_abandon(void *arg)
{
    TlsTransport *t = arg;
    if (t->over)
        return; /* tls_shaken is on its way and sees that `conn` is NULL */
    t->io = event_io_free(t->io);
    tls_transport_dispose(t);
}
