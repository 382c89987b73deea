/* daemon/conf.h - what libvirtd.conf and berthd.conf say
 *
 * One immutable object per load; SIGHUP loads a new one, daemon_config_needs_restart() tells what of it needs a restart, and the owner swaps the
 * pointer.  The rows are in conf_libvirtd.c and conf_berthd.c, one a key.
 */
#pragma once

#include "util/conf.h"

typedef enum {
    AUTH_SCHEME_NONE,
    AUTH_SCHEME_SASL,
    AUTH_SCHEME_POLKIT, /* on UNIX sockets */
    AUTH_SCHEME_MAX,
} AuthScheme;

typedef enum {
    HOST_UUID_SMBIOS,
    HOST_UUID_MACHINE_ID,
    HOST_UUID_SOURCE_MAX,
} HostUuidSource;

extern const char *const auth_scheme_names[];
extern const char *const host_uuid_source_names[];

/* Directories that --sysconfdir and its sisters move; the rest of the daemon takes them from here.  Owned strings, no trailing slash. */
typedef struct ConfigDirs {
    char *sysconf; /* /etc/libvirt: configuration and definitions */
    char *state;   /* /var/lib/libvirt */
    char *run;     /* /run/libvirt */
    char *log;     /* /var/log/libvirt */
    char *cache;   /* /var/cache/libvirt */
} ConfigDirs;

typedef struct DaemonConfig {
    int refs;

    /* libvirtd.conf: sockets */
    int listen_tls; /* 1 yes, 0 no, -1 if --listen was given */
    bool listen_tcp;
    char *tls_port; /* number or name of a service */
    char *tcp_port;
    char *listen_addr; /* NULL: all */
    char *unix_sock_group;
    unsigned unix_sock_ro_perms;
    unsigned unix_sock_rw_perms;
    unsigned unix_sock_admin_perms;
    char *unix_sock_dir; /* NULL: the run directory */

    /* who may come in */
    AuthScheme auth_unix_ro;
    AuthScheme auth_unix_rw;
    AuthScheme auth_tcp;
    AuthScheme auth_tls;
    int tcp_min_ssf;
    char **access_drivers;
    char *key_file, *cert_file, *ca_file, *crl_file;
    bool tls_no_sanity_certificate;
    bool tls_no_verify_certificate;
    char **tls_allowed_dn_list;
    char *tls_priority;
    char **sasl_allowed_username_list;

    /* limits */
    int max_clients;
    int max_queued_clients;
    int max_anonymous_clients;
    int min_workers;
    int max_workers;  /* cap of the NORMAL lane */
    int prio_workers; /* cap of the FAST lane */
    int max_client_requests;
    int admin_min_workers;
    int admin_max_workers;
    int admin_max_clients;
    int admin_max_queued_clients;
    int admin_max_client_requests;

    /* logging */
    int log_level;
    char *log_filters;
    char *log_outputs;
    int audit_level;
    bool audit_logging;

    /* the rest */
    char *host_uuid;
    HostUuidSource host_uuid_source;
    int keepalive_interval; /* -1: off */
    int keepalive_count;
    bool keepalive_required;
    int admin_keepalive_interval;
    int admin_keepalive_count;
    bool admin_keepalive_required;

    /* berthd.conf */
    int long_workers;            /* cap of the LONG lane */
    int max_threads;             /* all workers, sleeping ones too */
    uint64_t max_client_queue;   /* bytes waiting for one client to read before it is disconnected */
    int client_stall_timeout;    /* seconds one may go without reading while something waits for it */
    int auth_timeout;            /* seconds from accept until a client is authenticated */
    int job_timeout;             /* seconds a call waits for a domain's job */
    int start_timeout;           /* seconds until a started QEMU answers */
    char *audit_file;            /* NULL: the journal */
    bool backing_format_probing;
    int idle_timeout;            /* seconds without client and guest until the daemon ends; 0: never; -1: as the sockets came */
    bool modular_sockets;
    int handshake_timeout;       /* seconds a TLS handshake may take */
} DaemonConfig;

/* Rows in the order of the sample files; ended by a row without name. */
extern const ConfKey libvirtd_config_keys[];
extern const ConfKey berthd_config_keys[];

/* Reads both files; a missing one gives its defaults.  Either path may be NULL.  The caller owns one reference. */
DaemonConfig *daemon_config_load(const char *libvirtd_conf, const char *berthd_conf, Err *err);
DaemonConfig *daemon_config_new(void);
DaemonConfig *daemon_config_ref(DaemonConfig *c);
DaemonConfig *daemon_config_unref(DaemonConfig *c);
/* Does access_drivers name it? */
bool daemon_config_has_driver(const DaemonConfig *c, const char *name);
/* One line a key that differs and cannot be applied without a restart, in a NULL-ended list (empty: all can).  Caller g_strfreev()s. */
char **daemon_config_needs_restart(const DaemonConfig *old, const DaemonConfig *new);

/* The directories of the configure-time prefix for the system daemon, or those of the user (XDG) for a session one. */
void config_dirs_init(ConfigDirs *d, bool privileged);
void config_dirs_done(ConfigDirs *d);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DaemonConfig, daemon_config_unref)
