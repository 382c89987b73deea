/* rpc/tls_peer.c - may the one who has shaken hands come in?
 *
 * Owns:    the verdict on a client's certificate, with a reason for our log and an alert for the client
 * Threads: a thread of handshakes; tls_peer_refused on the client event thread
 * Errors:  a reason
 */
#include "config.h"

#include <gnutls/x509.h>

#include "rpc/tls_internal.h"
#include "util/cert.h"

#define CHAIN_MAX 16u /* certificates a client may send */

static int no(gnutls_alert_description_t alert, char *why, gnutls_alert_description_t *ret_alert, char **ret_why)
{
    *ret_alert = alert;
    *ret_why = why;
    return -1;
}

static const struct {
    unsigned status;
    gnutls_alert_description_t alert;
    const char *why;
} verdicts[] = {
    {GNUTLS_CERT_REVOKED, GNUTLS_A_CERTIFICATE_REVOKED, "was revoked"},
    {GNUTLS_CERT_SIGNER_NOT_FOUND, GNUTLS_A_UNKNOWN_CA, "was not signed by our authority"},
    {GNUTLS_CERT_SIGNATURE_FAILURE, GNUTLS_A_UNKNOWN_CA, "has a wrong signature"},
    {GNUTLS_CERT_SIGNER_NOT_CA, GNUTLS_A_UNKNOWN_CA, "was signed by one that is no authority"},
    {GNUTLS_CERT_EXPIRED, GNUTLS_A_CERTIFICATE_EXPIRED, "has expired"},
    {GNUTLS_CERT_NOT_ACTIVATED, GNUTLS_A_CERTIFICATE_EXPIRED, "is not valid yet"},
    {GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED, GNUTLS_A_BAD_CERTIFICATE, "cannot be checked: our revocation list is out of date"},
    {GNUTLS_CERT_PURPOSE_MISMATCH, GNUTLS_A_UNSUPPORTED_CERTIFICATE, "is not for TLS clients"},
    {GNUTLS_CERT_INSECURE_ALGORITHM, GNUTLS_A_BAD_CERTIFICATE, "is signed with an algorithm that is not safe"},
};

static int verify_chain(gnutls_session_t s, gnutls_alert_description_t *ret_alert, char **ret_why)
{
    unsigned status = 0;
    unsigned char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st data = {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = purpose};
    int r = gnutls_certificate_verify_peers(s, &data, 1, &status);
    if (r == GNUTLS_E_NO_CERTIFICATE_FOUND)
        return no(GNUTLS_A_CERTIFICATE_REQUIRED, g_strdup("the client has sent no certificate"), ret_alert, ret_why);
    if (r < 0)
        return no(GNUTLS_A_BAD_CERTIFICATE, g_strdup_printf("the client's certificate cannot be checked: %s", gnutls_strerror(r)),
                  ret_alert, ret_why);
    if (status == 0)
        return 0;
    for (size_t i = 0; i < N_ELEMENTS(verdicts); i++)
        if (status & verdicts[i].status)
            return no(verdicts[i].alert, g_strdup_printf("the client's certificate %s", verdicts[i].why), ret_alert, ret_why);
    return no(GNUTLS_A_BAD_CERTIFICATE, g_strdup_printf("the client's certificate does not pass verification (status 0x%x)", status),
              ret_alert, ret_why);
}

static void bytes_unref(gpointer b)
{
    g_bytes_unref(b);
}

/* Name and identities of the certificates the session holds.  False: they cannot be read. */
static bool read_peer(gnutls_session_t s, TlsPeer *ret)
{
    unsigned n = 0;
    const gnutls_datum_t *raw = gnutls_certificate_get_peers(s, &n);
    if (!raw || n == 0 || n > CHAIN_MAX)
        return false;
    ret->identities = g_ptr_array_new_with_free_func(bytes_unref);
    for (unsigned i = 0; i < n; i++) {
        gnutls_x509_crt_t crt = NULL;
        bool ok = gnutls_x509_crt_init(&crt) == 0 && gnutls_x509_crt_import(crt, &raw[i], GNUTLS_X509_FMT_DER) == 0;
        GBytes *identity = ok ? cert_identity(crt) : NULL;
        if (ok && i == 0)
            ret->dname = cert_dn(crt);
        gnutls_x509_crt_deinit(crt);
        if (!identity)
            return false;
        g_ptr_array_add(ret->identities, identity);
    }
    return ret->dname != NULL;
}

int tls_peer_verify(gnutls_session_t s, const TlsCreds *creds, TlsPeer *ret, gnutls_alert_description_t *ret_alert, char **ret_why)
{
    if (verify_chain(s, ret_alert, ret_why) < 0) {
        if (creds->verify)
            return -1;
        g_clear_pointer(ret_why, g_free); /* let in, but nothing its certificate says is believed */
        return 0;
    }
    TlsPeer peer = {0};
    if (!read_peer(s, &peer)) {
        tls_peer_done(&peer);
        return no(GNUTLS_A_BAD_CERTIFICATE, g_strdup("the client's certificate has no readable name"), ret_alert, ret_why);
    }
    if (!cert_dn_allowed(peer.dname, (const char *const *)creds->allowed_dns)) {
        char *why = g_strdup_printf("the name \"%s\" is not in tls_allowed_dn_list", peer.dname);
        tls_peer_done(&peer);
        return no(GNUTLS_A_ACCESS_DENIED, why, ret_alert, ret_why);
    }
    *ret = peer;
    return 0;
}

const char *tls_peer_refused(const TlsPeer *p, const TlsCreds *creds)
{
    if (!p->identities)
        return creds->verify ? "certificates are required now, and it has shown none" : NULL;
    for (guint i = 0; creds->revoked && i < p->identities->len; i++)
        if (g_hash_table_contains(creds->revoked, p->identities->pdata[i]))
            return "its certificate was revoked";
    if (!cert_dn_allowed(p->dname, (const char *const *)creds->allowed_dns))
        return "its name is not in tls_allowed_dn_list any more";
    return NULL;
}

void tls_peer_done(TlsPeer *p)
{
    g_free(p->dname);
    if (p->identities)
        g_ptr_array_unref(p->identities);
    *p = (TlsPeer){0};
}
