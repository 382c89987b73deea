/* test_cert.c - names, patterns, identities and revocation sets; what needs a daemon is in tests/rpc/test_tls.c */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/rpc/certs.h"
#include "util/cert.h"

static char *dir;

static int setup(void **state)
{
    dir = g_dir_make_tmp("berth-cert-XXXXXX", NULL);
    return 0;
}

static int teardown(void **state)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    for (const char *name = NULL; (name = g_dir_read_name(d));) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_unlink(path);
    }
    g_dir_close(d);
    g_rmdir(dir);
    g_free(dir);
    return 0;
}

static void patterns(void **state)
{
    static const struct {
        const char *dn, *pattern;
        bool allowed;
    } cases[] = {
        {"O=Example,CN=alice", "O=Example,CN=alice", true},
        {"O=Example,CN=alice", "O=Example,CN=*", true},
        {"O=Example,CN=alice", "*CN=alice", true},
        {"O=Example,CN=alice", "O=Example,CN=ali?e", true},
        {"O=Example,CN=alice", "*", true},
        {"O=Example,CN=alice", "CN=alice", false},
        {"O=Example,CN=alice", "O=Example,CN=alic", false},
        {"O=Example,CN=alice", "O=Example,CN=alice*x", false},
        {"O=Example,CN=alice", "o=example,cn=alice", false},
        {"O=Example,CN=alice", "O=Example,CN=[a-z]*", false}, /* brackets are themselves */
        {"O=Example,CN=a/b", "O=Example,CN=*b", true},
        {"O=Acme\\, Inc.,CN=x", "O=Acme\\, Inc.,CN=x", true}, /* and so are backslashes */
        {"O=Example,CN=\xc3\xa9", "O=Example,CN=?", true},
        {"O=Example,CN=\xc3", "O=Example,CN=?", false}, /* no text at all */
        {"", "", true},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        const char *list[] = {"CN=somebody else", cases[i].pattern, NULL};
        if (cert_dn_allowed(cases[i].dn, list) != cases[i].allowed)
            fail_msg("\"%s\" by \"%s\"", cases[i].dn, cases[i].pattern);
    }
    const char *nobody[] = {NULL};
    assert_true(cert_dn_allowed("CN=x", NULL));
    assert_false(cert_dn_allowed("CN=x", nobody));
    assert_false(cert_dn_allowed(NULL, (const char *[]){"*", NULL}));
}

static void read_one(const char *name, CertList *ret)
{
    g_autofree char *path = certs_path(dir, name, ".pem");
    assert_int_equal(cert_list_read(path, ret, NULL), 0);
}

static void identities(void **state)
{
    g_auto(CertList) a = {0}, b = {0};
    g_auto(CrlList) crls = {0};
    certs_make(dir, &(CertWanted){.name = "ca", .ca = true});
    certs_make(dir, &(CertWanted){.name = "a", .signer = "ca"});
    certs_make(dir, &(CertWanted){.name = "b", .cn = "a", .signer = "ca"}); /* of the same name */
    certs_revoke(dir, "list.crl", "ca", (const char *[]){"a", NULL}, 3);
    read_one("a", &a);
    read_one("b", &b);
    g_autoptr(GBytes) id_a = cert_identity(a.certs[0]);
    g_autoptr(GBytes) id_b = cert_identity(b.certs[0]);
    g_autofree char *path = certs_path(dir, "list", ".crl");
    assert_int_equal(cert_crls_read(path, &crls, NULL), 0);
    g_autoptr(GHashTable) revoked = cert_revoked_set(&crls);
    assert_int_equal(g_hash_table_size(revoked), 1);
    assert_true(g_hash_table_contains(revoked, id_a));
    assert_false(g_hash_table_contains(revoked, id_b));
    g_autofree char *dn = cert_dn(b.certs[0]);
    assert_string_equal(dn, "CN=a");
}

typedef struct Heard {
    unsigned n;
    bool fatal;
    char what[300];
} Heard;

static void hear(void *ud, bool fatal, const char *file, const char *what, const char *remedy)
{
    Heard *h = ud;
    h->n++;
    h->fatal = fatal;
    g_strlcpy(h->what, what, sizeof(h->what));
    assert_true(*file && *remedy);
}

static void modes(void **state)
{
    certs_make(dir, &(CertWanted){.name = "a"});
    g_autofree char *key = certs_path(dir, "a", ".key");
    Heard h = {0};
    cert_check_key_mode(key, hear, &h);
    assert_int_equal(h.n, 0);
    assert_int_equal(chmod(key, 0640), 0);
    cert_check_key_mode(key, hear, &h);
    assert_int_equal(h.n, 1);
    assert_false(h.fatal);
    assert_non_null(strstr(h.what, "wrong mode: the key has mode 0640"));
}

static void hosts(void **state)
{
    g_auto(CertList) l = {0};
    Heard h = {0};
    certs_make(dir, &(CertWanted){.name = "host.example"}); /* by its common name only, as old ones are */
    read_one("host.example", &l);
    cert_check_host(&l, "f", "other.example", hear, &h);
    assert_int_equal(h.n, 1);
    assert_true(h.fatal);
    assert_non_null(strstr(h.what, "other.example"));
}

static void many_in_a_file(void **state)
{
    certs_make(dir, &(CertWanted){.name = "ca", .ca = true});
    certs_make(dir, &(CertWanted){.name = "old", .ca = true, .from_days = -3, .to_days = -1});
    g_autofree char *a = certs_path(dir, "ca", ".pem"), *b = certs_path(dir, "old", ".pem"), *both = certs_path(dir, "both", ".pem");
    g_autofree char *ta = NULL, *tb = NULL;
    assert_true(g_file_get_contents(a, &ta, NULL, NULL) && g_file_get_contents(b, &tb, NULL, NULL));
    g_autofree char *text = g_strconcat(ta, tb, NULL);
    assert_true(g_file_set_contents(both, text, -1, NULL));
    g_auto(CertList) l = {0};
    Heard h = {0};
    assert_int_equal(cert_list_read(both, &l, NULL), 0);
    assert_int_equal(l.n, 2);
    cert_check_list(&l, both, CERT_CA, time(NULL), hear, &h);
    assert_int_equal(h.n, 1);
    assert_non_null(strstr(h.what, "expired on"));
    h = (Heard){0};
    cert_check_list(&l, both, CERT_CA, time(NULL) - 2 * 86400, hear, &h); /* the clock is wrong */
    assert_int_equal(h.n, 1);
    assert_non_null(strstr(h.what, "not valid before"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns), cmocka_unit_test(identities), cmocka_unit_test(modes),
        cmocka_unit_test(hosts),    cmocka_unit_test(many_in_a_file),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
