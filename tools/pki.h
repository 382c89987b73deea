/* tools/pki.h - making a certificate authority and what it signs
 *
 * Everything ends in files: certificates 0644, keys 0600, each replaced as a whole, so that a crash leaves the old or the new.
 */
#pragma once

#include "util/cert.h"

/* Where files are.  Tree: libvirt's places below a root (/etc/pki).  Flat: one directory, as ?pkipath= of a URI wants it. */
typedef struct PkiPaths {
    char *ca_cert, *ca_key, *crl;
    char *cert[CERT_ROLE_MAX], *key[CERT_ROLE_MAX]; /* of CERT_SERVER and CERT_CLIENT */
} PkiPaths;

void pki_paths_tree(PkiPaths *p, const char *root);
void pki_paths_flat(PkiPaths *p, const char *dir);
void pki_paths_done(PkiPaths *p);

typedef struct PkiOrder {
    CertRole role;
    const char *name;         /* common name */
    const char *organisation; /* NULL: none */
    char *const *hosts;       /* names and addresses of a server; NULL-ended */
    unsigned days;
    bool force;               /* replace what is there */
} PkiOrder;

/* The authority; its certificate and key go where `p` says.  All return 0 or -1. */
int pki_make_authority(const PkiPaths *p, const PkiOrder *order, Err *err);
/* A pair signed by the authority of `ca`; goes where `to` says, with a copy of the authority's certificate if none is there.
 * *ret_dn: its name as the daemon sees it (caller frees). */
int pki_make_pair(const PkiPaths *ca, const PkiPaths *to, const PkiOrder *order, char **ret_dn, Err *err);
/* Adds a certificate to the revocation list, which is made when there is none. */
int pki_revoke(const PkiPaths *p, const char *cert_file, char **ret_dn, Err *err);
