/* tests/rpc/certs.h - certificates of any kind, good and bad, for tests
 *
 * Each has a name; certificate and key are DIR/NAME.pem and DIR/NAME.key.
 */
#pragma once

#include "base.h"

typedef struct CertWanted {
    const char *name;
    const char *cn;       /* NULL: name */
    const char *signer;   /* name of one made before; NULL: itself */
    bool ca;
    bool no_constraints;
    int from_days, to_days; /* from now; both 0: -1 to 30 */
    unsigned usage;       /* GNUTLS_KEY_*; 0: what fits */
    const char *purpose;  /* OID; NULL: none */
    bool no_usage;
} CertWanted;

void certs_make(const char *dir, const CertWanted *w);
/* DIR/FILE: what `signer` has revoked; next_days: when the next list is due. */
void certs_revoke(const char *dir, const char *file, const char *signer, const char *const *names, int next_days);
char *certs_path(const char *dir, const char *name, const char *suffix);
