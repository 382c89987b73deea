/* util/cert.h - X.509 certificates, keys and revocation lists: reading the files, finding what is wrong with them
 *
 * Readers fail with an Err that names file, reason and remedy.  Checks find everything at once and tell each problem to a CertReport;
 * the daemon stops at the first that matters, berth-pki shows all.
 */
#pragma once

#include <gnutls/x509.h>

#include "util/err.h"

#define CERT_FILE_MAX (4u << 20) /* a larger file is refused unread */

typedef enum {
    CERT_CA,
    CERT_SERVER,
    CERT_CLIENT,
    CERT_ROLE_MAX,
} CertRole;

typedef struct CertList {
    gnutls_x509_crt_t *certs; /* owned */
    unsigned n;
} CertList;

typedef struct CrlList {
    gnutls_x509_crl_t *crls; /* owned */
    unsigned n;
} CrlList;

/* One problem: `file` has `what`, and `remedy` is what to do.  fatal: connections would fail; else it is merely unwise. */
typedef void CertReport(void *ud, bool fatal, const char *file, const char *what, const char *remedy);

/* ---- files.  A missing one is err->os_errno ENOENT.  0 or -1. ---- */
int cert_list_read(const char *file, CertList *ret, Err *err);
int cert_crls_read(const char *file, CrlList *ret, Err *err);
/* The key stays in memory: what was read is wiped.  One that needs a password is refused. */
int cert_key_read(const char *file, gnutls_x509_privkey_t *ret, Err *err);
void cert_list_done(CertList *l);
void cert_crls_done(CrlList *l);

/* ---- checks ---- */
/* Dates, basic constraints, key usage and purpose of each certificate of a CA file, or of the first of a chain. */
void cert_check_list(const CertList *l, const char *file, CertRole role, time_t now, CertReport *report, void *ud);
/* Is `chain` signed by one of `ca`, and not revoked?  `crls` may be NULL. */
void cert_check_issuer(const CertList *chain, const char *file, const CertList *ca, const char *ca_file, const CrlList *crls,
                       CertReport *report, void *ud);
/* Does the key belong to the first certificate? */
void cert_check_key(const CertList *chain, const char *file, gnutls_x509_privkey_t key, const char *key_file, CertReport *report,
                    void *ud);
/* Who may read a key file, and whose it is. */
void cert_check_key_mode(const char *key_file, CertReport *report, void *ud);
/* Dates of revocation lists, and whose they are. */
void cert_check_crls(const CrlList *crls, const char *file, const CertList *ca, const char *ca_file, time_t now, CertReport *report,
                     void *ud);
/* Does the first certificate name this host (a name or an address)? */
void cert_check_host(const CertList *chain, const char *file, const char *host, CertReport *report, void *ud);

/* ---- names ---- */
/* The subject as libvirt writes it: "O=Example,CN=host".  Caller frees; NULL when there is none or it does not decode. */
char *cert_dn(gnutls_x509_crt_t crt);
/* Is `dn` matched by one of the patterns (* any text, ? one character)?  NULL: all are. */
bool cert_dn_allowed(const char *dn, const char *const *patterns);
/* What makes a certificate unique: issuer and serial number.  Caller unrefs; NULL: malformed. */
GBytes *cert_identity(gnutls_x509_crt_t crt);
/* The identities of all certificates the lists revoke: a set of GBytes. */
GHashTable *cert_revoked_set(const CrlList *crls);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CertList, cert_list_done)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CrlList, cert_crls_done)
