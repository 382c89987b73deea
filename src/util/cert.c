/* util/cert.c - certificates, keys and revocation lists in files; names in them
 *
 * Owns:    reading, with bounds; the form of names and identities; not what is wrong with a certificate (cert_check.c)
 * Threads: any; no state.  Reads files: not for a thread that may not wait for storage
 * Errors:  Err with file and remedy
 */
#include "config.h"

#include <string.h>

#define ERR_FROM VIR_FROM_RPC
#include "util/cert.h"
#include "util/file.h"

#define MAX_CERTS 4096u /* of one file: a bundle of authorities has some hundred */
#define DN_MAX    8192u
#define SERIAL_MAX 64u

/* ---- reading ---------------------------------------------------------------------------------------------------------------- */

static int read_pem(const char *file, const char *what, char **text, gnutls_datum_t *ret, Err *err)
{
    size_t len = 0;
    int r = file_read(file, CERT_FILE_MAX, text, &len);
    if (r < 0) {
        err_set_errno(err, -r, "cannot read the %s %s", what, file);
        if (r == -ENOENT)
            err_hint(err, "berth-pki makes it, see docs/remote.md");
        return -1;
    }
    *ret = (gnutls_datum_t){(unsigned char *)*text, (unsigned)len};
    return 0;
}

static int not_pem(const char *file, const char *what, int r, Err *err)
{
    err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "%s holds no %s in PEM form: %s", file, what, gnutls_strerror(r));
    return err_hint(err, "put the %s there, between its BEGIN and END lines", what);
}

int cert_list_read(const char *file, CertList *ret, Err *err)
{
    g_autofree char *text = NULL;
    gnutls_datum_t pem;
    CertList l = {0};
    if (read_pem(file, "certificate", &text, &pem, err) < 0)
        return -1;
    int r = gnutls_x509_crt_list_import2(&l.certs, &l.n, &pem, GNUTLS_X509_FMT_PEM, 0);
    if (r < 0)
        return not_pem(file, "certificate", r, err);
    if (l.n == 0 || l.n > MAX_CERTS) {
        unsigned n = l.n;
        cert_list_done(&l);
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "%s holds %u certificates; from 1 to %u are expected", file, n, MAX_CERTS);
    }
    *ret = l;
    return 0;
}

int cert_crls_read(const char *file, CrlList *ret, Err *err)
{
    g_autofree char *text = NULL;
    gnutls_datum_t pem;
    CrlList l = {0};
    if (read_pem(file, "revocation list", &text, &pem, err) < 0)
        return -1;
    int r = gnutls_x509_crl_list_import2(&l.crls, &l.n, &pem, GNUTLS_X509_FMT_PEM, 0);
    if (r < 0)
        return not_pem(file, "revocation list", r, err);
    *ret = l;
    return 0;
}

int cert_key_read(const char *file, gnutls_x509_privkey_t *ret, Err *err)
{
    g_autofree char *text = NULL;
    gnutls_datum_t pem;
    gnutls_x509_privkey_t key = NULL;
    if (read_pem(file, "key", &text, &pem, err) < 0)
        return -1;
    int r = gnutls_x509_privkey_init(&key);
    if (r == 0)
        r = gnutls_x509_privkey_import2(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_memset(text, 0, pem.size);
    if (r == 0) {
        *ret = key;
        return 0;
    }
    gnutls_x509_privkey_deinit(key);
    if (r != GNUTLS_E_DECRYPTION_FAILED)
        return not_pem(file, "key", r, err);
    err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "the key %s is protected by a password", file);
    return err_hint(err, "store it without one, readable by root only");
}

void cert_list_done(CertList *l)
{
    for (unsigned i = 0; i < l->n; i++)
        gnutls_x509_crt_deinit(l->certs[i]);
    gnutls_free(l->certs);
    *l = (CertList){0};
}

void cert_crls_done(CrlList *l)
{
    for (unsigned i = 0; i < l->n; i++)
        gnutls_x509_crl_deinit(l->crls[i]);
    gnutls_free(l->crls);
    *l = (CrlList){0};
}

/* ---- names ------------------------------------------------------------------------------------------------------------------ */

char *cert_dn(gnutls_x509_crt_t crt)
{
    size_t size = 0;
    if (gnutls_x509_crt_get_dn(crt, NULL, &size) != GNUTLS_E_SHORT_MEMORY_BUFFER || size > DN_MAX)
        return NULL;
    g_autofree char *dn = g_malloc0(size + 1);
    return gnutls_x509_crt_get_dn(crt, dn, &size) == 0 && *dn ? g_steal_pointer(&dn) : NULL;
}

bool cert_dn_allowed(const char *dn, const char *const *patterns)
{
    if (!patterns)
        return true;
    if (!dn || !g_utf8_validate(dn, -1, NULL)) /* the matcher steps by characters */
        return false;
    for (; *patterns; patterns++)
        if (g_pattern_match_simple(*patterns, dn))
            return true;
    return false;
}

static GBytes *identity(const gnutls_datum_t *issuer, const void *serial, size_t serial_len)
{
    GByteArray *a = g_byte_array_sized_new((guint)(issuer->size + serial_len + 1));
    guint8 len = (guint8)serial_len;
    g_byte_array_append(a, &len, 1);
    g_byte_array_append(a, serial, (guint)serial_len);
    g_byte_array_append(a, issuer->data, issuer->size);
    return g_byte_array_free_to_bytes(a);
}

GBytes *cert_identity(gnutls_x509_crt_t crt)
{
    gnutls_datum_t issuer = {0};
    unsigned char serial[SERIAL_MAX];
    size_t len = sizeof(serial);
    if (gnutls_x509_crt_get_serial(crt, serial, &len) < 0 || gnutls_x509_crt_get_raw_issuer_dn(crt, &issuer) < 0)
        return NULL;
    GBytes *b = identity(&issuer, serial, len);
    gnutls_free(issuer.data);
    return b;
}

static void bytes_unref(gpointer b)
{
    g_bytes_unref(b);
}

GHashTable *cert_revoked_set(const CrlList *crls)
{
    GHashTable *set = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, bytes_unref, NULL);
    for (unsigned i = 0; i < crls->n; i++) {
        gnutls_datum_t issuer = {0};
        gnutls_x509_crl_iter_t iter = NULL;
        if (gnutls_x509_crl_get_raw_issuer_dn(crls->crls[i], &issuer) < 0)
            continue;
        for (;;) {
            unsigned char serial[SERIAL_MAX];
            size_t len = sizeof(serial);
            time_t when;
            if (gnutls_x509_crl_iter_crt_serial(crls->crls[i], &iter, serial, &len, &when) < 0)
                break;
            g_hash_table_add(set, identity(&issuer, serial, len));
        }
        gnutls_x509_crl_iter_deinit(iter);
        gnutls_free(issuer.data);
    }
    return set;
}
