/* tools/pki.c - making a certificate authority and what it signs
 *
 * Owns:    the content of certificates and lists, the places of files; not the command line (berth_pki.c)
 * Threads: one
 * Errors:  Err with file and remedy
 *
 * Keys are ECDSA P-256: a handshake then costs a third of one with RSA.  The revocation list is valid as long as the authority: an
 * out-of-date one would shut everybody out.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ERR_FROM VIR_FROM_NONE
#include "tools/pki.h"
#include "util/file.h"

#define SERIAL_BYTES 16
#define CLOCK_SKEW (5 * 60) /* clients' clocks may be behind ours */
#define DAY 86400

typedef struct Authority {
    CertList certs;
    gnutls_x509_privkey_t key;
} Authority;

static void authority_done(Authority *a)
{
    cert_list_done(&a->certs);
    gnutls_x509_privkey_deinit(a->key);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Authority, authority_done)

/* ---- places ----------------------------------------------------------------------------------------------------------------- */

void pki_paths_tree(PkiPaths *p, const char *root)
{
    *p = (PkiPaths){
        .ca_cert = g_build_filename(root, "CA", "cacert.pem", NULL),
        .ca_key = g_build_filename(root, "CA", "private", "cakey.pem", NULL),
        .crl = g_build_filename(root, "CA", "cacrl.pem", NULL),
        .cert = {[CERT_SERVER] = g_build_filename(root, "libvirt", "servercert.pem", NULL),
                 [CERT_CLIENT] = g_build_filename(root, "libvirt", "clientcert.pem", NULL)},
        .key = {[CERT_SERVER] = g_build_filename(root, "libvirt", "private", "serverkey.pem", NULL),
                [CERT_CLIENT] = g_build_filename(root, "libvirt", "private", "clientkey.pem", NULL)},
    };
}

void pki_paths_flat(PkiPaths *p, const char *dir)
{
    *p = (PkiPaths){
        .ca_cert = g_build_filename(dir, "cacert.pem", NULL),
        .ca_key = g_build_filename(dir, "cakey.pem", NULL),
        .crl = g_build_filename(dir, "cacrl.pem", NULL),
        .cert = {[CERT_SERVER] = g_build_filename(dir, "servercert.pem", NULL),
                 [CERT_CLIENT] = g_build_filename(dir, "clientcert.pem", NULL)},
        .key = {[CERT_SERVER] = g_build_filename(dir, "serverkey.pem", NULL),
                [CERT_CLIENT] = g_build_filename(dir, "clientkey.pem", NULL)},
    };
}

void pki_paths_done(PkiPaths *p)
{
    g_free(p->ca_cert);
    g_free(p->ca_key);
    g_free(p->crl);
    for (int i = 0; i < CERT_ROLE_MAX; i++) {
        g_free(p->cert[i]);
        g_free(p->key[i]);
    }
    *p = (PkiPaths){0};
}

/* ---- files ------------------------------------------------------------------------------------------------------------------ */

static int failed(int r, Err *err, const char *what)
{
    return err_set(err, VIR_ERR_INTERNAL_ERROR, "%s: %s", what, gnutls_strerror(r));
}

static int not_there_yet(const char *path, bool force, Err *err)
{
    if (force || access(path, F_OK) < 0)
        return 0;
    err_set(err, VIR_ERR_OPERATION_INVALID, "%s is there already", path);
    return err_hint(err, "--force replaces it");
}

/* Moves `data` (of gnutls) into a file and wipes it. */
static int write_file(const char *path, gnutls_datum_t *data, mode_t mode, Err *err)
{
    g_autofree char *dir = g_path_get_dirname(path);
    int r = dir_make(dir, g_str_has_suffix(dir, "/private") ? 0700 : 0755);
    if (r == 0)
        r = file_replace(path, data->data, data->size, mode, FILE_DURABLE);
    gnutls_memset(data->data, 0, data->size);
    gnutls_free(data->data);
    return r < 0 ? err_set_errno(err, -r, "cannot write %s", path) : 0;
}

static int write_cert(const char *path, gnutls_x509_crt_t crt, Err *err)
{
    gnutls_datum_t pem = {0};
    int r = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem);
    return r < 0 ? failed(r, err, path) : write_file(path, &pem, 0644, err);
}

static int write_key(const char *path, gnutls_x509_privkey_t key, Err *err)
{
    gnutls_datum_t pem = {0};
    int r = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem);
    return r < 0 ? failed(r, err, path) : write_file(path, &pem, 0600, err);
}

static void first_problem(void *ud, bool fatal, const char *file, const char *what, const char *remedy)
{
    Err *err = ud;
    if (!fatal || err_is_set(err))
        return;
    err_set(err, VIR_ERR_OPERATION_INVALID, "%s: %s", file, what);
    err_hint(err, "%s", remedy);
}

static int authority_read(const PkiPaths *p, Authority *a, Err *err)
{
    if (access(p->ca_cert, F_OK) < 0 && errno == ENOENT) {
        err_set(err, VIR_ERR_OPERATION_INVALID, "there is no authority: %s is missing", p->ca_cert);
        return err_hint(err, "make one: berth-pki init");
    }
    if (cert_list_read(p->ca_cert, &a->certs, err) < 0 || cert_key_read(p->ca_key, &a->key, err) < 0)
        return -1;
    g_auto(Err) own = ERR_INIT;
    cert_check_list(&a->certs, p->ca_cert, CERT_CA, time(NULL), first_problem, &own);
    cert_check_key(&a->certs, p->ca_cert, a->key, p->ca_key, first_problem, &own);
    if (!err_is_set(&own))
        return 0;
    err_move(err, &own);
    return -1;
}

/* ---- content ---------------------------------------------------------------------------------------------------------------- */

static int new_key(gnutls_x509_privkey_t *ret)
{
    int r = gnutls_x509_privkey_init(ret);
    if (r == 0)
        r = gnutls_x509_privkey_generate(*ret, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    return r;
}

static int set_serial(gnutls_x509_crt_t crt)
{
    unsigned char serial[SERIAL_BYTES];
    int r = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and of full length */
    return r < 0 ? r : gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
}

static int set_subject(gnutls_x509_crt_t crt, const PkiOrder *o)
{
    int r = 0;
    if (o->organisation)
        r = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, o->organisation, (unsigned)strlen(o->organisation));
    if (r == 0)
        r = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, o->name, (unsigned)strlen(o->name));
    return r;
}

static int set_dates(gnutls_x509_crt_t crt, const PkiOrder *o, time_t latest)
{
    time_t now = time(NULL), end = now + (time_t)o->days * DAY;
    int r = gnutls_x509_crt_set_activation_time(crt, now - CLOCK_SKEW);
    return r < 0 ? r : gnutls_x509_crt_set_expiration_time(crt, latest && end > latest ? latest : end);
}

static int set_key_ids(gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer)
{
    unsigned char id[64];
    size_t len = sizeof(id);
    int r = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA1, id, &len);
    if (r == 0)
        r = gnutls_x509_crt_set_subject_key_id(crt, id, len);
    len = sizeof(id);
    if (r == 0 && issuer && gnutls_x509_crt_get_subject_key_id(issuer, id, &len, NULL) == 0)
        r = gnutls_x509_crt_set_authority_key_id(crt, id, len);
    return r;
}

static int set_host(gnutls_x509_crt_t crt, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1)
        return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, address, sizeof(struct in_addr), GNUTLS_FSAN_APPEND);
    if (inet_pton(AF_INET6, host, address) == 1)
        return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, address, sizeof(struct in6_addr), GNUTLS_FSAN_APPEND);
    return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, host, (unsigned)strlen(host), GNUTLS_FSAN_APPEND);
}

/* What every certificate has.  `issuer` NULL: the authority itself. */
static int fill(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const PkiOrder *o, gnutls_x509_crt_t issuer)
{
    int r = gnutls_x509_crt_set_version(crt, 3);
    if (r == 0)
        r = gnutls_x509_crt_set_key(crt, key);
    if (r == 0)
        r = set_serial(crt);
    if (r == 0)
        r = set_subject(crt, o);
    if (r == 0)
        r = set_dates(crt, o, issuer ? gnutls_x509_crt_get_expiration_time(issuer) : 0);
    if (r == 0)
        r = set_key_ids(crt, issuer);
    return r == 0 ? gnutls_x509_crt_set_basic_constraints(crt, issuer == NULL, issuer ? -1 : 0) : r;
}

/* Key encipherment is of no use to these keys, but libvirt's clients miss it otherwise. */
static int fill_leaf(gnutls_x509_crt_t crt, const PkiOrder *o)
{
    int r = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_KEY_ENCIPHERMENT);
    if (r == 0)
        r = gnutls_x509_crt_set_key_purpose_oid(crt, o->role == CERT_SERVER ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT, 0);
    for (char *const *h = o->hosts; r == 0 && h && *h; h++)
        r = set_host(crt, *h);
    return r;
}

/* ---- what is made ----------------------------------------------------------------------------------------------------------- */

int pki_make_authority(const PkiPaths *p, const PkiOrder *order, Err *err)
{
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crt_t crt = NULL;
    if (not_there_yet(p->ca_cert, order->force, err) < 0 || not_there_yet(p->ca_key, order->force, err) < 0)
        return -1;
    int r = new_key(&key);
    if (r == 0)
        r = gnutls_x509_crt_init(&crt);
    if (r == 0)
        r = fill(crt, key, order, NULL);
    if (r == 0)
        r = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    if (r == 0)
        r = gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
    int result = r < 0 ? failed(r, err, "making the authority") : 0;
    if (result == 0)
        result = write_key(p->ca_key, key, err);
    if (result == 0)
        result = write_cert(p->ca_cert, crt, err);
    if (result == 0 && order->force) /* the old authority's list is of no use */
        file_remove(p->crl, FILE_DURABLE);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
    return result;
}

/* True when `path` holds another certificate than the authority's. */
static bool another_authority(const char *path, const Authority *a)
{
    g_auto(CertList) there = {0};
    if (access(path, F_OK) < 0)
        return false;
    return cert_list_read(path, &there, NULL) < 0 || !gnutls_x509_crt_equals(there.certs[0], a->certs.certs[0]);
}

static int write_pair(const Authority *a, const PkiPaths *to, const PkiOrder *order, gnutls_x509_crt_t crt, gnutls_x509_privkey_t key,
                      Err *err)
{
    if (another_authority(to->ca_cert, a) && !order->force) {
        err_set(err, VIR_ERR_OPERATION_INVALID, "%s is there already, of another authority", to->ca_cert);
        return err_hint(err, "--force replaces it");
    }
    if (write_key(to->key[order->role], key, err) < 0 || write_cert(to->cert[order->role], crt, err) < 0)
        return -1;
    bool there = access(to->ca_cert, F_OK) == 0 && !another_authority(to->ca_cert, a);
    return there ? 0 : write_cert(to->ca_cert, a->certs.certs[0], err);
}

int pki_make_pair(const PkiPaths *ca, const PkiPaths *to, const PkiOrder *order, char **ret_dn, Err *err)
{
    g_auto(Authority) a = {0};
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crt_t crt = NULL;
    if (not_there_yet(to->cert[order->role], order->force, err) < 0 || not_there_yet(to->key[order->role], order->force, err) < 0 ||
        authority_read(ca, &a, err) < 0)
        return -1;
    int r = new_key(&key);
    if (r == 0)
        r = gnutls_x509_crt_init(&crt);
    if (r == 0)
        r = fill(crt, key, order, a.certs.certs[0]);
    if (r == 0)
        r = fill_leaf(crt, order);
    if (r == 0)
        r = gnutls_x509_crt_sign2(crt, a.certs.certs[0], a.key, GNUTLS_DIG_SHA256, 0);
    int result = r < 0 ? failed(r, err, "making the certificate") : write_pair(&a, to, order, crt, key, err);
    if (result == 0)
        *ret_dn = cert_dn(crt);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
    return result;
}

/* ---- revocation ------------------------------------------------------------------------------------------------------------- */

static int copy_entries(gnutls_x509_crl_t to, const CrlList *old)
{
    for (unsigned i = 0; i < old->n; i++) {
        gnutls_x509_crl_iter_t iter = NULL;
        int r = 0;
        for (;;) {
            unsigned char serial[64];
            size_t len = sizeof(serial);
            time_t when = 0;
            r = gnutls_x509_crl_iter_crt_serial(old->crls[i], &iter, serial, &len, &when);
            if (r < 0)
                break;
            r = gnutls_x509_crl_set_crt_serial(to, serial, len, when);
            if (r < 0)
                break;
        }
        gnutls_x509_crl_iter_deinit(iter);
        if (r < 0 && r != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return r;
    }
    return 0;
}

static int make_list(const Authority *a, const CrlList *old, gnutls_x509_crt_t crt, gnutls_x509_crl_t crl)
{
    time_t now = time(NULL);
    unsigned char number[8];
    for (int i = 0; i < 8; i++)
        number[i] = (unsigned char)((uint64_t)now >> (56 - 8 * i));
    int r = gnutls_x509_crl_set_version(crl, 2);
    if (r == 0)
        r = copy_entries(crl, old);
    if (r == 0)
        r = gnutls_x509_crl_set_crt(crl, crt, now);
    if (r == 0)
        r = gnutls_x509_crl_set_this_update(crl, now - CLOCK_SKEW);
    if (r == 0)
        r = gnutls_x509_crl_set_next_update(crl, gnutls_x509_crt_get_expiration_time(a->certs.certs[0]));
    if (r == 0)
        r = gnutls_x509_crl_set_number(crl, number, sizeof(number));
    return r == 0 ? gnutls_x509_crl_sign2(crl, a->certs.certs[0], a->key, GNUTLS_DIG_SHA256, 0) : r;
}

int pki_revoke(const PkiPaths *p, const char *cert_file, char **ret_dn, Err *err)
{
    g_auto(Authority) a = {0};
    g_auto(CertList) certs = {0};
    g_auto(CrlList) old = {0};
    g_auto(Err) own = ERR_INIT;
    if (authority_read(p, &a, err) < 0 || cert_list_read(cert_file, &certs, err) < 0)
        return -1;
    if (access(p->crl, F_OK) == 0 && cert_crls_read(p->crl, &old, err) < 0)
        return -1;
    cert_check_issuer(&certs, cert_file, &a.certs, p->ca_cert, &old, first_problem, &own);
    if (err_is_set(&own)) {
        err_move(err, &own);
        return -1;
    }
    gnutls_x509_crl_t crl = NULL;
    gnutls_datum_t pem = {0};
    int r = gnutls_x509_crl_init(&crl);
    if (r == 0)
        r = make_list(&a, &old, certs.certs[0], crl);
    if (r == 0)
        r = gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &pem);
    gnutls_x509_crl_deinit(crl);
    if (r < 0)
        return failed(r, err, "making the revocation list");
    if (write_file(p->crl, &pem, 0644, err) < 0)
        return -1;
    *ret_dn = cert_dn(certs.certs[0]);
    return 0;
}
