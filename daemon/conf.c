/* daemon/conf.c - what libvirtd.conf and berthd.conf say
 *
 * Owns:    loading, sharing and comparing DaemonConfig; the directories
 * Threads: any; an object is immutable once returned
 * Locks:   none; the count of references is atomic
 * Errors:  those of conf_parse()
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "daemon.config"
#define ERR_FROM VIR_FROM_CONF
#include "util/log.h"
#include "util/uuid.h"

#include "daemon/conf.h"

static void note(const char *file, unsigned line, const char *text, void *arg)
{
    log_warning("%s:%u: %s", file, line, text);
}

DaemonConfig *daemon_config_new(void)
{
    DaemonConfig *c = g_new0(DaemonConfig, 1);
    c->refs = 1;
    conf_defaults(libvirtd_config_keys, c);
    conf_defaults(berthd_config_keys, c);
    return c;
}

DaemonConfig *daemon_config_ref(DaemonConfig *c)
{
    g_atomic_int_inc(&c->refs);
    return c;
}

DaemonConfig *daemon_config_unref(DaemonConfig *c)
{
    if (c && g_atomic_int_dec_and_test(&c->refs)) {
        conf_free(libvirtd_config_keys, c);
        conf_free(berthd_config_keys, c);
        g_free(c);
    }
    return NULL;
}

/* What no single row can say. */
static int check(const DaemonConfig *c, const char *path, const char *berthd_path, Err *err)
{
    uint8_t uuid[UUID_LEN];
    if (c->host_uuid && (!uuid_parse(c->host_uuid, uuid) || uuid_is_trivial(uuid)))
        return err_set(err, VIR_ERR_CONF_SYNTAX, "%s: host_uuid \"%s\" is not a UUID, or all its digits are the same", path, c->host_uuid);
    if (c->max_anonymous_clients > c->max_clients)
        return err_set(err, VIR_ERR_CONF_SYNTAX, "%s: max_anonymous_clients is %d, must not be above max_clients, which is %d", path,
                       c->max_anonymous_clients, c->max_clients);
    if (c->min_workers > c->max_workers)
        return err_set(err, VIR_ERR_CONF_SYNTAX, "%s: min_workers is %d, must not be above max_workers, which is %d", path, c->min_workers,
                       c->max_workers);
    if (c->unix_sock_dir && *c->unix_sock_dir != '/')
        return err_set(err, VIR_ERR_CONF_SYNTAX, "%s: unix_sock_dir \"%s\" must start with /", path, c->unix_sock_dir);
    if (daemon_config_has_driver(c, "none") && c->access_drivers[1])
        return err_set(err, VIR_ERR_CONF_SYNTAX, "%s: access_drivers names \"none\" beside others; leave it out, or leave the others out", path);
    if (c->tls_no_verify_certificate && c->tls_allowed_dn_list)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED,
                       "%s: tls_allowed_dn_list cannot be kept with tls_no_verify_certificate = 1, which lets in clients whose names nobody "
                       "vouches for; remove one of the two", path);
    if (c->audit_file && *c->audit_file != '/')
        return err_set(err, VIR_ERR_CONF_SYNTAX, "%s: audit_file \"%s\" must start with /", berthd_path, c->audit_file);
    if (c->log_level < 1)
        return err_set(err, VIR_ERR_CONF_SYNTAX, "%s: log_level must be from 1 to 4", path);
    return 0;
}

DaemonConfig *daemon_config_load(const char *libvirtd_conf, const char *berthd_conf, Err *err)
{
    g_autoptr(DaemonConfig) c = daemon_config_new();
    if (libvirtd_conf && conf_load(libvirtd_config_keys, c, libvirtd_conf, note, NULL, err) < 0)
        return NULL;
    if (berthd_conf && conf_load(berthd_config_keys, c, berthd_conf, note, NULL, err) < 0)
        return NULL;
    if (check(c, libvirtd_conf ? libvirtd_conf : "libvirtd.conf", berthd_conf ? berthd_conf : "berthd.conf", err) < 0)
        return NULL;
    return g_steal_pointer(&c);
}

bool daemon_config_has_driver(const DaemonConfig *c, const char *name)
{
    return c->access_drivers && g_strv_contains((const char *const *)c->access_drivers, name);
}

static void list_restarts(GPtrArray *out, const ConfKey *keys, const DaemonConfig *old, const DaemonConfig *new)
{
    unsigned pos = 0;
    const ConfKey *k;
    while ((k = conf_next_change(keys, old, new, &pos)))
        if (!(k->flags & CONF_RELOAD))
            g_ptr_array_add(out, g_strdup(k->name));
}

char **daemon_config_needs_restart(const DaemonConfig *old, const DaemonConfig *new)
{
    GPtrArray *out = g_ptr_array_new();
    list_restarts(out, libvirtd_config_keys, old, new);
    list_restarts(out, berthd_config_keys, old, new);
    g_ptr_array_add(out, NULL);
    return (char **)g_ptr_array_free(out, FALSE);
}

void config_dirs_init(ConfigDirs *d, bool privileged)
{
    if (privileged) {
        d->sysconf = g_strdup(SYSCONFDIR "/libvirt");
        d->state = g_strdup(LOCALSTATEDIR "/lib/libvirt");
        d->run = g_strdup(RUNSTATEDIR "/libvirt");
        d->log = g_strdup(LOCALSTATEDIR "/log/libvirt");
        d->cache = g_strdup(LOCALSTATEDIR "/cache/libvirt");
        return;
    }
    d->sysconf = g_build_filename(g_get_user_config_dir(), "libvirt", NULL);
    d->state = g_build_filename(g_get_user_data_dir(), "libvirt", NULL);
    d->run = g_build_filename(g_get_user_runtime_dir(), "libvirt", NULL);
    d->log = g_build_filename(g_get_user_cache_dir(), "libvirt", "log", NULL);
    d->cache = g_build_filename(g_get_user_cache_dir(), "libvirt", NULL);
}

void config_dirs_done(ConfigDirs *d)
{
    g_free(d->sysconf);
    g_free(d->state);
    g_free(d->run);
    g_free(d->log);
    g_free(d->cache);
    *d = (ConfigDirs){0};
}
