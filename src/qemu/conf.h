/* qemu/conf.h - what qemu.conf says
 *
 * One immutable object per load, shared by reference: SIGHUP loads a new one and swaps the pointer, what already runs keeps the one it
 * took.  The rows that fill it are in conf.c, one a key.  Strings are never empty: a key that is absent or "" is NULL unless the row
 * has a default.  Lists are NULL-ended; NULL when the key is absent (then the built-in choice holds), empty when it says [].
 */
#pragma once

#include "util/conf.h"

typedef enum {
    STDIO_LOGD, /* virtlogd is not used: taken as STDIO_FILE, with a note at load */
    STDIO_FILE,
    STDIO_MAX,
} StdioHandler;

typedef enum {
    SCHED_CORE_NONE,
    SCHED_CORE_VCPUS,
    SCHED_CORE_EMULATOR,
    SCHED_CORE_FULL,
    SCHED_CORE_MAX,
} SchedCore;

typedef enum {
    IMAGE_RAW,
    IMAGE_GZIP,
    IMAGE_BZIP2,
    IMAGE_XZ,
    IMAGE_LZOP,
    IMAGE_FORMAT_MAX,
} ImageFormat;

typedef enum {
    DEPRECATION_NONE,
    DEPRECATION_OMIT,
    DEPRECATION_REJECT,
    DEPRECATION_CRASH,
    DEPRECATION_MAX,
} DeprecationBehavior;

extern const char *const stdio_handler_names[];
extern const char *const sched_core_names[];
extern const char *const image_format_names[];
extern const char *const deprecation_behavior_names[];

typedef struct QemuConfig {
    int refs;

    /* the account QEMU runs as */
    char *user;  /* name, number or "+number" */
    char *group;
    bool dynamic_ownership;
    bool remember_owner;
    bool clear_emulator_capabilities;

    /* confinement */
    char **security_driver; /* names in order, or NULL: none */
    bool security_default_confined;
    bool security_require_confined;
    char **cgroup_controllers;
    char **cgroup_device_acl;
    int seccomp_sandbox; /* -1 let the daemon decide (on), 0 off, 1 on */
    char **namespaces;
    char **capability_filters; /* QEMU capabilities to pretend absent */

    /* remote displays */
    char *vnc_listen;
    bool vnc_auto_unix_socket;
    bool vnc_tls;
    char *vnc_tls_x509_cert_dir;
    char *vnc_tls_x509_secret_uuid;
    bool vnc_tls_x509_verify;
    char *vnc_password;
    bool vnc_sasl;
    char *vnc_sasl_dir;
    bool vnc_allow_host_audio;
    bool nographics_allow_host_audio;
    char *spice_listen;
    bool spice_auto_unix_socket;
    bool spice_tls;
    char *spice_tls_x509_cert_dir;
    char *spice_password;
    bool spice_sasl;
    char *spice_sasl_dir;
    int remote_display_port_min;
    int remote_display_port_max;
    int remote_websocket_port_min;
    int remote_websocket_port_max;

    /* certificates of the other channels */
    char *default_tls_x509_cert_dir;
    bool default_tls_x509_verify;
    char *default_tls_x509_secret_uuid;
    bool chardev_tls;
    char *chardev_tls_x509_cert_dir;
    bool chardev_tls_x509_verify;
    char *chardev_tls_x509_secret_uuid;
    char *migrate_tls_x509_cert_dir;
    bool migrate_tls_x509_verify;
    char *migrate_tls_x509_secret_uuid;
    bool migrate_tls_force;
    char *backup_tls_x509_cert_dir;
    bool backup_tls_x509_verify;
    char *backup_tls_x509_secret_uuid;
    bool nbd_tls;
    char *nbd_tls_x509_cert_dir;
    char *nbd_tls_x509_secret_uuid;

    /* saving and dumping */
    ImageFormat save_image_format;
    ImageFormat dump_image_format;
    ImageFormat snapshot_image_format;
    char *auto_dump_path;
    bool auto_dump_bypass_cache;
    bool auto_start_bypass_cache;

    /* the process */
    char **hugetlbfs_mount;
    char *memory_backing_dir;
    char *bridge_helper;
    char *pr_helper;
    char *slirp_helper;
    char *dbus_daemon;
    bool set_process_name;
    int max_processes; /* 0: unchanged */
    int max_files;     /* 0: unchanged */
    int max_threads_per_process;
    uint64_t max_core; /* UINT64_MAX: unlimited */
    bool dump_guest_core;
    StdioHandler stdio_handler;
    SchedCore sched_core;
    char **nvram; /* "CODE:VARS" pairs */
    char *swtpm_user;
    char *swtpm_group;
    bool virtiofsd_debug;
    DeprecationBehavior deprecation_behavior;
    bool log_timestamp;

    /* waiting and migrating */
    int max_queued; /* calls that may wait for one domain's job; 0: no limit of its own */
    int keepalive_interval;
    int keepalive_count;
    char *migration_address;
    char *migration_host;
    int migration_port_min;
    int migration_port_max;
    bool relaxed_acs_check;
    bool mac_filter;
} QemuConfig;

/* Rows of qemu.conf, in the order of the sample file; ended by a row without name. */
extern const ConfKey qemu_config_keys[];

/* Reads `path`; a missing file gives the defaults.  Errors name file, line and what is allowed (VIR_ERR_CONF_SYNTAX, or
 * VIR_ERR_CONFIG_UNSUPPORTED for a key refused).  The caller owns one reference. */
QemuConfig *qemu_config_load(const char *path, Err *err);
/* The same from text already in memory; `name` stands for the file in errors. */
QemuConfig *qemu_config_parse(const char *text, size_t len, const char *name, Err *err);
/* All defaults; never fails. */
QemuConfig *qemu_config_new(void);
QemuConfig *qemu_config_ref(QemuConfig *c);
QemuConfig *qemu_config_unref(QemuConfig *c);
/* The numeric ids `user` and `group` stand for.  Fails naming the account that does not exist. Reads the account database: may block. */
int qemu_config_ids(const QemuConfig *c, uid_t *ret_uid, gid_t *ret_gid, Err *err);
/* Whether this host has the accounts the file names.  Those that are preset come with the installation and are not looked for. */
int qemu_config_check_accounts(const QemuConfig *c, Err *err);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuConfig, qemu_config_unref)
