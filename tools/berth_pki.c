/* tools/berth_pki.c - berth-pki: certificates for TLS, made and checked
 *
 * Owns:    the command line, what is printed
 * Threads: one
 * Errors:  stderr; status 1, 2 for a wrong command line
 *
 * Asks nothing, so it needs no terminal.
 */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ERR_FROM VIR_FROM_NONE
#include "tools/pki.h"

#define ROOT "/etc/pki"
#define CA_DAYS 3650
#define PAIR_DAYS 730
#define NAME_MAX_LEN 64 /* of a common name */
#define HOSTS_MAX 100

typedef struct Options {
    const char *root, *output, *name, *organisation;
    unsigned days;
    bool force;
} Options;

static const char help[] =
    "usage: berth-pki [option...] init\n"
    "       berth-pki [option...] server HOST...\n"
    "       berth-pki [option...] client NAME\n"
    "       berth-pki [option...] revoke CERTIFICATE\n"
    "       berth-pki [option...] check [HOST...]\n"
    "Makes and checks the certificates of qemu+tls:// connections.\n\n"
    "  -r, --root DIR          instead of /etc/pki\n"
    "  -o, --output DIR        put the pair and the authority's certificate there, side by side, for another host or ?pkipath=DIR;\n"
    "                          check: look there\n"
    "  -n, --name NAME         init: the authority's name\n"
    "  -O, --organisation ORG  part of the name in certificates\n"
    "  -d, --days N            how long it is valid (3650 for init, else 730)\n"
    "  -f, --force             replace what is there\n"
    "  -V, --version           version\n"
    "  -h, --help              this text\n";

static int report(const Err *err)
{
    g_autofree char *text = err_message(err);
    fprintf(stderr, "berth-pki: %s\n", text);
    return 1;
}

static int usage(const char *why)
{
    fprintf(stderr, "berth-pki: %s; --help shows how\n", why);
    return 2;
}

/* Names end in certificates and in people's terminals. */
static bool name_is_valid(const char *name)
{
    if (!*name || strlen(name) > NAME_MAX_LEN || !g_utf8_validate(name, -1, NULL))
        return false;
    for (const unsigned char *p = (const unsigned char *)name; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

static bool host_is_valid(const char *host)
{
    if (!*host || strlen(host) > 253)
        return false;
    for (const char *p = host; *p; p++)
        if (!g_ascii_isalnum(*p) && !strchr("-._:*", *p))
            return false;
    return true;
}

/* ---- making ----------------------------------------------------------------------------------------------------------------- */

static int do_init(const Options *o, const PkiPaths *tree)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *name = o->name ? g_strdup(o->name) : g_strdup_printf("Berth authority of %.40s", g_get_host_name());
    const PkiOrder order = {
        .role = CERT_CA, .name = name, .organisation = o->organisation, .days = o->days ? o->days : CA_DAYS, .force = o->force};
    if (!name_is_valid(name))
        return usage("the authority's name must have 1 to 64 characters and no control characters");
    if (pki_make_authority(tree, &order, &err) < 0)
        return report(&err);
    printf("authority        %s\nits key          %s (keep it safe: who has it lets anybody in)\n", tree->ca_cert, tree->ca_key);
    return 0;
}

static int do_pair(const Options *o, const PkiPaths *tree, CertRole role, char **args, int n)
{
    g_auto(Err) err = ERR_INIT;
    PkiPaths to = {0};
    g_autofree char *dn = NULL;
    const PkiOrder order = {.role = role,
                            .name = args[0],
                            .organisation = o->organisation,
                            .hosts = role == CERT_SERVER ? args : NULL,
                            .days = o->days ? o->days : PAIR_DAYS,
                            .force = o->force};
    for (int i = 0; role == CERT_SERVER && i < n; i++)
        if (!host_is_valid(args[i]))
            return usage("a host is a name or an address");
    if (!name_is_valid(args[0]))
        return usage("a name must have 1 to 64 characters and no control characters");
    if (o->output)
        pki_paths_flat(&to, o->output);
    else
        pki_paths_tree(&to, o->root);
    int r = pki_make_pair(tree, &to, &order, &dn, &err);
    if (r == 0)
        printf("certificate      %s\nits key          %s\nauthority        %s\nits name         %s\n", to.cert[role], to.key[role], to.ca_cert, dn);
    pki_paths_done(&to);
    return r < 0 ? report(&err) : 0;
}

static int do_revoke(const PkiPaths *tree, const char *file)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *dn = NULL;
    if (pki_revoke(tree, file, &dn, &err) < 0)
        return report(&err);
    printf("revoked          %s\nlist             %s (copy it to all servers and reload their daemons)\n", dn, tree->crl);
    return 0;
}

/* ---- checking --------------------------------------------------------------------------------------------------------------- */

static void on_problem(void *ud, bool fatal, const char *file, const char *what, const char *remedy)
{
    unsigned *problems = ud;
    (*problems)++;
    printf("%s: %s\n    %s\n", file, what, remedy);
}

static void on_error(const Err *err, unsigned *problems)
{
    (*problems)++;
    printf("%s\n", err->detail);
    if (err->hint)
        printf("    %s\n", err->hint);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void check_readable(const char *file, unsigned *problems)
{
    struct stat sb;
    if (stat(file, &sb) == 0 && (sb.st_mode & 0044) != 0044) {
        g_autofree char *what = g_strdup_printf("wrong mode: %04o, so clients who are not its owner cannot check anybody", (unsigned)(sb.st_mode & 07777));
        g_autofree char *remedy = g_strdup_printf("chmod 644 %s", file);
        on_problem(problems, false, file, what, remedy);
    }
}

static void check_key(const CertList *chain, const char *cert_file, const char *key_file, unsigned *problems)
{
    g_auto(Err) err = ERR_INIT;
    gnutls_x509_privkey_t key = NULL;
    cert_check_key_mode(key_file, on_problem, problems);
    if (cert_key_read(key_file, &key, &err) < 0) {
        on_error(&err, problems);
        return;
    }
    cert_check_key(chain, cert_file, key, key_file, on_problem, problems);
    gnutls_x509_privkey_deinit(key);
}

/* The certificate names what clients call this host: all that were given, or its own name. */
static void check_hosts(const CertList *chain, const char *file, char **hosts, int n, unsigned *problems)
{
    for (int i = 0; i < n; i++)
        cert_check_host(chain, file, hosts[i], on_problem, problems);
    if (n == 0) {
        g_autofree char *wild = g_strdup_printf("%s.", g_get_host_name());
        char name[256];
        size_t size = sizeof(name);
        bool ours = gnutls_x509_crt_check_hostname2(chain->certs[0], g_get_host_name(), 0) != 0;
        for (unsigned i = 0; !ours; i++, size = sizeof(name)) {
            int r = gnutls_x509_crt_get_subject_alt_name(chain->certs[0], i, name, &size, NULL);
            if (r < 0 && r != GNUTLS_E_SHORT_MEMORY_BUFFER)
                break;
            ours = r == GNUTLS_SAN_DNSNAME && g_ascii_strncasecmp(name, wild, strlen(wild)) == 0; /* its full name */
        }
        if (!ours)
            cert_check_host(chain, file, g_get_host_name(), on_problem, problems);
    }
}

static void check_pair(const PkiPaths *p, CertRole role, const CertList *ca, const CrlList *crls, char **hosts, int n, unsigned *problems)
{
    g_auto(Err) err = ERR_INIT;
    g_auto(CertList) chain = {0};
    if (!exists(p->cert[role]) && !exists(p->key[role]))
        return;
    if (cert_list_read(p->cert[role], &chain, &err) < 0) {
        on_error(&err, problems);
        return;
    }
    cert_check_list(&chain, p->cert[role], role, time(NULL), on_problem, problems);
    if (ca->n)
        cert_check_issuer(&chain, p->cert[role], ca, p->ca_cert, crls, on_problem, problems);
    check_key(&chain, p->cert[role], p->key[role], problems);
    if (role == CERT_SERVER)
        check_hosts(&chain, p->cert[role], hosts, n, problems);
    g_autofree char *dn = cert_dn(chain.certs[0]);
    printf("looked at        %s (%s)\n", p->cert[role], dn ? dn : "no name");
}

static void check_authority(const PkiPaths *p, CertList *ca, CrlList *crls, unsigned *problems)
{
    g_auto(Err) err = ERR_INIT;
    if (cert_list_read(p->ca_cert, ca, &err) < 0) {
        on_error(&err, problems);
        return;
    }
    cert_check_list(ca, p->ca_cert, CERT_CA, time(NULL), on_problem, problems);
    check_readable(p->ca_cert, problems);
    if (exists(p->ca_key))
        check_key(ca, p->ca_cert, p->ca_key, problems);
    printf("looked at        %s\n", p->ca_cert);
    if (!exists(p->crl))
        return;
    err_clear(&err);
    if (cert_crls_read(p->crl, crls, &err) < 0)
        on_error(&err, problems);
    else
        cert_check_crls(crls, p->crl, ca, p->ca_cert, time(NULL), on_problem, problems);
    check_readable(p->crl, problems);
    printf("looked at        %s\n", p->crl);
}

static int do_check(const PkiPaths *p, char **hosts, int n)
{
    unsigned problems = 0;
    g_auto(CertList) ca = {0};
    g_auto(CrlList) crls = {0};
    check_authority(p, &ca, &crls, &problems);
    check_pair(p, CERT_SERVER, &ca, &crls, hosts, n, &problems);
    check_pair(p, CERT_CLIENT, &ca, &crls, NULL, 0, &problems);
    printf(problems == 0 ? "all is well\n" : problems == 1 ? "1 problem\n" : "%u problems\n", problems);
    return problems ? 1 : 0;
}

/* ---- the command line ------------------------------------------------------------------------------------------------------- */

static const struct option long_options[] = {
    {"root", required_argument, NULL, 'r'},  {"output", required_argument, NULL, 'o'}, {"name", required_argument, NULL, 'n'},
    {"organisation", required_argument, NULL, 'O'}, {"days", required_argument, NULL, 'd'}, {"force", no_argument, NULL, 'f'},
    {"version", no_argument, NULL, 'V'},     {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
};

/* -1 to go on, else the status to end with. */
static int parse(int argc, char **argv, Options *o)
{
    for (int c; (c = getopt_long(argc, argv, "r:o:n:O:d:fVh", long_options, NULL)) != -1;) {
        guint64 days = 0;
        switch (c) {
        case 'r':
            o->root = optarg;
            break;
        case 'o':
            o->output = optarg;
            break;
        case 'n':
            o->name = optarg;
            break;
        case 'O':
            o->organisation = optarg;
            break;
        case 'd':
            if (!g_ascii_string_to_unsigned(optarg, 10, 1, 36500, &days, NULL))
                return usage("--days takes a number from 1 to 36500");
            o->days = (unsigned)days;
            break;
        case 'f':
            o->force = true;
            break;
        case 'V':
            puts(PACKAGE_STRING);
            return 0;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            fputs("berth-pki: --help shows the options\n", stderr);
            return 2;
        }
    }
    if (o->organisation && !name_is_valid(o->organisation))
        return usage("an organisation must have 1 to 64 characters and no control characters");
    return -1;
}

/* The option that means nothing to the command, which would look elsewhere or do less than was asked for; NULL: none. */
static const char *misplaced(const Options *o, const char *command)
{
    bool init = strcmp(command, "init") == 0, pair = strcmp(command, "server") == 0 || strcmp(command, "client") == 0;
    if (o->output && !pair && strcmp(command, "check") != 0)
        return "--output goes with server, client and check (--root makes all of it elsewhere)";
    if (o->name && !init)
        return "--name goes with init";
    if ((o->organisation || o->days || o->force) && !init && !pair)
        return "--organisation, --days and --force go with init, server and client";
    return NULL;
}

static int run(const Options *o, const PkiPaths *tree, char **args, int n)
{
    const char *command = args[0], *wrong = misplaced(o, command);
    if (wrong)
        return usage(wrong);
    if (strcmp(command, "init") == 0 && n == 1)
        return do_init(o, tree);
    if (strcmp(command, "server") == 0 && n >= 2 && n <= HOSTS_MAX)
        return do_pair(o, tree, CERT_SERVER, args + 1, n - 1);
    if (strcmp(command, "client") == 0 && n == 2)
        return do_pair(o, tree, CERT_CLIENT, args + 1, 1);
    if (strcmp(command, "revoke") == 0 && n == 2)
        return do_revoke(tree, args[1]);
    if (strcmp(command, "check") == 0 && n <= HOSTS_MAX) {
        PkiPaths flat = {0};
        if (o->output)
            pki_paths_flat(&flat, o->output);
        int r = do_check(o->output ? &flat : tree, args + 1, n - 1);
        pki_paths_done(&flat);
        return r;
    }
    return usage("that is no command, or it wants other arguments");
}

int main(int argc, char **argv)
{
    Options o = {.root = ROOT};
    int r = parse(argc, argv, &o);
    if (r >= 0)
        return r;
    if (optind == argc)
        return usage("a command is missing");
    PkiPaths tree;
    umask(022);
    pki_paths_tree(&tree, o.root);
    r = run(&o, &tree, argv + optind, argc - optind);
    pki_paths_done(&tree);
    if (fflush(stdout) != 0) {
        perror("berth-pki");
        return 1;
    }
    return r;
}
