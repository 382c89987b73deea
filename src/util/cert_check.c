/* util/cert_check.c - what is wrong with a certificate, its key, its authority
 *
 * Owns:    the checks and what they tell people; not who is told (a CertReport)
 * Threads: any; no state
 * Errors:  none; problems go to the report
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/cert.h"

#define KEY_ID_MAX 64u

static const char *const renew[CERT_ROLE_MAX] = {
    [CERT_CA] = "make a new authority (berth-pki init --force) and new certificates with it",
    [CERT_SERVER] = "make a new one: berth-pki server HOST...",
    [CERT_CLIENT] = "make a new one: berth-pki client NAME",
};

typedef struct Check {
    CertReport *report;
    void *ud;
    const char *file;
    CertRole role;
} Check;

static void found(const Check *c, bool fatal, const char *remedy, const char *fmt, ...) PRINTF_LIKE(4, 5);

static void found(const Check *c, bool fatal, const char *remedy, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *what = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    c->report(c->ud, fatal, c->file, what, remedy);
}

static char *date_text(time_t t)
{
    struct tm tm;
    char text[64];
    if (!gmtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm) == 0)
        g_strlcpy(text, "an unknown date", sizeof(text));
    return g_strdup(text);
}

/* ---- one certificate -------------------------------------------------------------------------------------------------------- */

static void check_dates(const Check *c, gnutls_x509_crt_t crt, time_t now)
{
    time_t from = gnutls_x509_crt_get_activation_time(crt), to = gnutls_x509_crt_get_expiration_time(crt);
    if (to != (time_t)-1 && now > to) {
        g_autofree char *when = date_text(to);
        found(c, true, renew[c->role], "the certificate expired on %s", when);
    } else if (from != (time_t)-1 && now < from) {
        g_autofree char *when = date_text(from);
        found(c, true, "set this host's clock right, or wait", "the certificate is not valid before %s", when);
    }
}

static void check_constraints(const Check *c, gnutls_x509_crt_t crt)
{
    unsigned critical = 0, ca = 0;
    int pathlen = 0;
    int r = gnutls_x509_crt_get_basic_constraints(crt, &critical, &ca, &pathlen);
    if (c->role == CERT_CA && (r < 0 || !ca))
        found(c, true, "put the authority's own certificate there",
              r < 0 ? "basic constraints: there are none, so the certificate is no authority's" : "basic constraints: CA is false");
    else if (c->role != CERT_CA && r >= 0 && ca)
        found(c, true, renew[c->role], "basic constraints: CA is true, so the certificate is an authority's and not a host's or a client's");
}

static void check_usage(const Check *c, gnutls_x509_crt_t crt)
{
    unsigned usage = 0, critical = 0;
    if (gnutls_x509_crt_get_key_usage(crt, &usage, &critical) < 0)
        return; /* without the field everything is allowed */
    if (c->role == CERT_CA && !(usage & GNUTLS_KEY_KEY_CERT_SIGN))
        found(c, true, renew[CERT_CA], "key usage: it may not sign certificates");
    else if (c->role != CERT_CA && !(usage & GNUTLS_KEY_DIGITAL_SIGNATURE))
        found(c, true, renew[c->role], "key usage: digital signature is missing");
}

static void check_purpose(const Check *c, gnutls_x509_crt_t crt)
{
    const char *want = c->role == CERT_SERVER ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT;
    unsigned n = 0;
    for (; n < 64; n++) {
        char oid[128];
        size_t size = sizeof(oid);
        unsigned critical = 0;
        int r = gnutls_x509_crt_get_key_purpose_oid(crt, n, oid, &size, &critical);
        if (r == GNUTLS_E_SHORT_MEMORY_BUFFER)
            continue; /* none of those we look for is so long */
        if (r < 0)
            break;
        if (strcmp(oid, want) == 0 || strcmp(oid, GNUTLS_KP_ANY) == 0)
            return;
    }
    if (n > 0)
        found(c, true, renew[c->role], "key purpose: TLS %s authentication is missing", c->role == CERT_SERVER ? "server" : "client");
}

void cert_check_list(const CertList *l, const char *file, CertRole role, time_t now, CertReport *report, void *ud)
{
    const Check c = {report, ud, file, role};
    for (unsigned i = 0; i < (role == CERT_CA ? l->n : MIN(l->n, 1u)); i++) {
        check_dates(&c, l->certs[i], now);
        check_constraints(&c, l->certs[i]);
        check_usage(&c, l->certs[i]);
        if (role != CERT_CA)
            check_purpose(&c, l->certs[i]);
    }
}

/* ---- certificates and what belongs to them ---------------------------------------------------------------------------------- */

void cert_check_issuer(const CertList *chain, const char *file, const CertList *ca, const char *ca_file, const CrlList *crls,
                       CertReport *report, void *ud)
{
    const Check c = {report, ud, file, CERT_SERVER};
    unsigned status = 0;
    int r = gnutls_x509_crt_list_verify(chain->certs, (int)chain->n, ca->certs, (int)ca->n, crls ? crls->crls : NULL,
                                        crls ? (int)crls->n : 0, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status);
    g_autofree char *remedy = g_strdup_printf("have it signed by the authority of %s, or put the authority that signed it there", ca_file);
    if (r < 0)
        found(&c, true, remedy, "the signature cannot be checked: %s", gnutls_strerror(r));
    else if (status & GNUTLS_CERT_REVOKED)
        found(&c, true, "make a new one with berth-pki", "the certificate was revoked");
    else if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNATURE_FAILURE))
        found(&c, true, remedy, "wrong authority: the certificate was not signed by that of %s", ca_file);
    else if (status & GNUTLS_CERT_SIGNER_NOT_CA)
        found(&c, true, remedy, "basic constraints: who signed it (%s) is no authority", ca_file);
    else if (status & GNUTLS_CERT_INSECURE_ALGORITHM)
        found(&c, true, "make new ones with berth-pki", "it, or its authority, is signed with an algorithm that is not safe any more");
    else if (status & ~(unsigned)GNUTLS_CERT_INVALID)
        found(&c, true, remedy, "it does not pass verification by %s (status 0x%x)", ca_file, status);
}

void cert_check_key(const CertList *chain, const char *file, gnutls_x509_privkey_t key, const char *key_file, CertReport *report,
                    void *ud)
{
    const Check c = {report, ud, key_file, CERT_SERVER};
    unsigned char a[KEY_ID_MAX], b[KEY_ID_MAX];
    size_t a_len = sizeof(a), b_len = sizeof(b);
    if (gnutls_x509_crt_get_key_id(chain->certs[0], 0, a, &a_len) < 0 || gnutls_x509_privkey_get_key_id(key, 0, b, &b_len) < 0 ||
        a_len != b_len || memcmp(a, b, a_len) != 0)
        found(&c, true, "put back the pair that was made together, or make a new one with berth-pki",
              "wrong key: it does not belong to the certificate %s", file);
}

void cert_check_key_mode(const char *key_file, CertReport *report, void *ud)
{
    const Check c = {report, ud, key_file, CERT_SERVER};
    struct stat sb;
    if (stat(key_file, &sb) < 0)
        return; /* who reads it says so */
    g_autofree char *chmod_it = g_strdup_printf("chmod 600 %s, and make a new pair if others may have read it", key_file);
    g_autofree char *chown_it = g_strdup_printf("chown %u %s", (unsigned)geteuid(), key_file);
    if (sb.st_mode & 077)
        found(&c, false, chmod_it, "wrong mode: the key has mode %04o, so others than its owner may read it", (unsigned)(sb.st_mode & 07777));
    if (sb.st_uid != geteuid() && sb.st_uid != 0)
        found(&c, false, chown_it, "wrong owner: the key belongs to uid %u", (unsigned)sb.st_uid);
}

void cert_check_crls(const CrlList *crls, const char *file, const CertList *ca, const char *ca_file, time_t now, CertReport *report,
                     void *ud)
{
    const Check c = {report, ud, file, CERT_CA};
    for (unsigned i = 0; i < crls->n; i++) {
        time_t next = gnutls_x509_crl_get_next_update(crls->crls[i]);
        unsigned status = 0;
        if (next != (time_t)-1 && now > next) {
            g_autofree char *when = date_text(next);
            found(&c, true, "make a new one: berth-pki revoke", "the revocation list is out of date since %s, and no certificate passes", when);
        }
        if (gnutls_x509_crl_verify(crls->crls[i], ca->certs, (int)ca->n, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status) < 0 ||
            status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNATURE_FAILURE))
            found(&c, true, "put the list of that authority there", "wrong authority: the revocation list was not signed by that of %s", ca_file);
    }
}

void cert_check_host(const CertList *chain, const char *file, const char *host, CertReport *report, void *ud)
{
    const Check c = {report, ud, file, CERT_SERVER};
    if (gnutls_x509_crt_check_hostname2(chain->certs[0], host, 0))
        return;
    g_autofree char *remedy = g_strdup_printf("make a new one with all names that clients use: berth-pki server --force %s ...", host);
    found(&c, true, remedy, "wrong subject alternative name: the certificate is not for %s", host);
}
