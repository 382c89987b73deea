/* daemon/tls.c - TLS as the configuration wants it
 *
 * Owns:    which files, where the configuration names none; that gnutls is not made ready unasked; not the files' content (rpc/tls.c)
 * Threads: start, then the client event thread or a worker for tls_reload
 * Locks:   Tls.lock (leaf): the configuration
 * Errors:  Err: key or file, reason, remedy
 */
#include "config.h"

#define LOG_AREA "daemon.tls"
#define ERR_FROM VIR_FROM_RPC

#include <gnutls/gnutls.h>

#include "daemon/tls.h"
#include "util/lock.h"
#include "util/log.h"

/* Gnutls would make itself ready in every process that is linked with it, which takes most of a megabyte.  A daemon without TLS has no use for
 * that; rpc/ asks for it where it is used. */
#pragma GCC visibility push(default)
GNUTLS_SKIP_GLOBAL_INIT
#pragma GCC visibility pop

struct Tls {
    RpcTls *rpc;
    bool privileged;
    int in_use;   /* atomic bool */
    Mutex lock;   /* leaf: config */
    DaemonConfig *config;
};

/* Where libvirt has them: /etc/pki of the system, whatever our own directories are; a session's in the user's home. */
static char *preset(bool privileged, const char *system, const char *user)
{
    return privileged ? g_strdup(system) : g_build_filename(g_get_home_dir(), ".pki", "libvirt", user, NULL);
}

static char *choose(const char *configured, bool privileged, const char *system, const char *user)
{
    return configured ? g_strdup(configured) : preset(privileged, system, user);
}

static int load(Tls *tls, const DaemonConfig *c, Err *err)
{
    bool root = tls->privileged;
    g_autofree char *ca = choose(c->ca_file, root, "/etc/pki/CA/cacert.pem", "cacert.pem");
    g_autofree char *crl = choose(c->crl_file, root, "/etc/pki/CA/cacrl.pem", "cacrl.pem");
    g_autofree char *cert = choose(c->cert_file, root, "/etc/pki/libvirt/servercert.pem", "servercert.pem");
    g_autofree char *key = choose(c->key_file, root, "/etc/pki/libvirt/private/serverkey.pem", "serverkey.pem");
    const RpcTlsConfig rc = {.ca_file = ca,
                             .cert_file = cert,
                             .key_file = key,
                             .crl_file = crl,
                             .crl_optional = !c->crl_file,
                             .no_sanity = c->tls_no_sanity_certificate,
                             .no_verify = c->tls_no_verify_certificate,
                             .allowed_dns = (const char *const *)c->tls_allowed_dn_list,
                             .priority = c->tls_priority};
    if (rpc_tls_load(tls->rpc, &rc, err) < 0)
        return -1;
    log_info("TLS: certificate %s, authority %s", cert, ca);
    if (c->tls_no_verify_certificate && c->auth_tls == AUTH_SCHEME_NONE)
        log_warning("whoever reaches the TLS port controls this host: tls_no_verify_certificate is 1 and auth_tls is \"none\"");
    return 0;
}

Tls *tls_new(EventLoop *client_loop, DaemonConfig *config, bool privileged)
{
    Tls *tls = g_new0(Tls, 1);
    tls->rpc = rpc_tls_new(client_loop);
    tls->privileged = privileged;
    tls->config = daemon_config_ref(config);
    mutex_init(&tls->lock, LOCK_LEAF, "TLS configuration");
    return tls;
}

void tls_free(Tls *tls)
{
    if (!tls)
        return;
    rpc_tls_free(tls->rpc);
    daemon_config_unref(tls->config);
    mutex_done(&tls->lock);
    g_free(tls);
}

static DaemonConfig *config_now(Tls *tls)
{
    LOCK_SCOPE(&tls->lock);
    return daemon_config_ref(tls->config);
}

int tls_ready(void *ud, Err *err)
{
    Tls *tls = ud;
    g_autoptr(DaemonConfig) c = config_now(tls);
    if (load(tls, c, err) < 0)
        return err_wrap(err, "TLS");
    g_atomic_int_set(&tls->in_use, 1);
    return 0;
}

RpcTransport *tls_transport(void *ud, RpcConn *c, int fd, Err *err)
{
    Tls *tls = ud;
    return rpc_tls_transport(tls->rpc, c, fd, err);
}

void tls_set_config(Tls *tls, DaemonConfig *config)
{
    LOCK_SCOPE(&tls->lock);
    daemon_config_unref(tls->config);
    tls->config = daemon_config_ref(config);
}

int tls_reload(Tls *tls, Err *err)
{
    if (!tls_in_use(tls))
        return 0;
    g_autoptr(DaemonConfig) c = config_now(tls);
    if (load(tls, c, err) < 0)
        return err_wrap(err, "TLS goes on with the certificates it had");
    return 0;
}

bool tls_in_use(Tls *tls)
{
    return g_atomic_int_get(&tls->in_use);
}
