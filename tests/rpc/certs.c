/* tests/rpc/certs.c - certificates of any kind, good and bad, for tests
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <gnutls/crypto.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/rpc/certs.h"
#include "util/cert.h"

#define OK(call) assert_int_equal((call), 0)
#define DAY 86400

char *certs_path(const char *dir, const char *name, const char *suffix)
{
    g_autofree char *file = g_strconcat(name, suffix, NULL);
    return g_build_filename(dir, file, NULL);
}

static void write_file(const char *path, gnutls_datum_t *d, mode_t mode)
{
    assert_true(g_file_set_contents(path, (char *)d->data, d->size, NULL));
    OK(chmod(path, mode));
    gnutls_free(d->data);
}

static void dates(gnutls_x509_crt_t crt, const CertWanted *w)
{
    bool preset = !w->from_days && !w->to_days;
    OK(gnutls_x509_crt_set_activation_time(crt, time(NULL) + (preset ? -1 : w->from_days) * DAY));
    OK(gnutls_x509_crt_set_expiration_time(crt, time(NULL) + (preset ? 30 : w->to_days) * DAY));
}

void certs_make(const char *dir, const CertWanted *w)
{
    g_autofree char *cert_path = certs_path(dir, w->name, ".pem"), *key_path = certs_path(dir, w->name, ".key");
    const char *cn = w->cn ? w->cn : w->name;
    gnutls_x509_crt_t crt;
    gnutls_x509_privkey_t key, signer_key = NULL;
    g_auto(CertList) signer = {0};
    unsigned char serial[9] = {1};
    gnutls_datum_t out;
    OK(gnutls_x509_privkey_init(&key));
    OK(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    OK(gnutls_x509_crt_init(&crt));
    OK(gnutls_x509_crt_set_version(crt, 3));
    OK(gnutls_x509_crt_set_key(crt, key));
    OK(gnutls_rnd(GNUTLS_RND_NONCE, serial + 1, sizeof(serial) - 1));
    OK(gnutls_x509_crt_set_serial(crt, serial, sizeof(serial)));
    OK(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, cn, (unsigned)strlen(cn)));
    dates(crt, w);
    if (!w->no_constraints)
        OK(gnutls_x509_crt_set_basic_constraints(crt, w->ca, -1));
    if (!w->no_usage)
        OK(gnutls_x509_crt_set_key_usage(crt, w->usage ? w->usage
                                              : w->ca  ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN
                                                       : GNUTLS_KEY_DIGITAL_SIGNATURE));
    if (w->purpose)
        OK(gnutls_x509_crt_set_key_purpose_oid(crt, w->purpose, 0));
    if (w->signer) {
        g_autofree char *s_cert = certs_path(dir, w->signer, ".pem"), *s_key = certs_path(dir, w->signer, ".key");
        OK(cert_list_read(s_cert, &signer, NULL));
        OK(cert_key_read(s_key, &signer_key, NULL));
    }
    OK(gnutls_x509_crt_sign2(crt, w->signer ? signer.certs[0] : crt, w->signer ? signer_key : key, GNUTLS_DIG_SHA256, 0));
    OK(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out));
    write_file(cert_path, &out, 0644);
    OK(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &out));
    write_file(key_path, &out, 0600);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
    gnutls_x509_privkey_deinit(signer_key);
}

void certs_revoke(const char *dir, const char *file, const char *signer, const char *const *names, int next_days)
{
    g_autofree char *s_cert = certs_path(dir, signer, ".pem"), *s_key = certs_path(dir, signer, ".key"), *path = certs_path(dir, file, "");
    g_auto(CertList) ca = {0};
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crl_t crl;
    gnutls_datum_t out;
    OK(cert_list_read(s_cert, &ca, NULL));
    OK(cert_key_read(s_key, &key, NULL));
    OK(gnutls_x509_crl_init(&crl));
    OK(gnutls_x509_crl_set_version(crl, 2));
    OK(gnutls_x509_crl_set_this_update(crl, time(NULL) - 2 * DAY));
    OK(gnutls_x509_crl_set_next_update(crl, time(NULL) + next_days * DAY));
    for (; *names; names++) {
        g_autofree char *cert = certs_path(dir, *names, ".pem");
        g_auto(CertList) l = {0};
        OK(cert_list_read(cert, &l, NULL));
        OK(gnutls_x509_crl_set_crt(crl, l.certs[0], time(NULL)));
    }
    OK(gnutls_x509_crl_sign2(crl, ca.certs[0], key, GNUTLS_DIG_SHA256, 0));
    OK(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &out));
    write_file(path, &out, 0644);
    gnutls_x509_crl_deinit(crl);
    gnutls_x509_privkey_deinit(key);
}
