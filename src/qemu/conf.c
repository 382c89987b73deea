/* qemu/conf.c - what qemu.conf says
 *
 * Owns:    the rows of qemu.conf, loading and sharing of QemuConfig
 * Threads: any; an object is immutable once returned
 * Locks:   none; the count of references is atomic
 * Errors:  those of conf_parse()
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>

#define LOG_AREA "qemu.config"
#define ERR_FROM VIR_FROM_CONF
#include "qemu/conf.h"
#include "util/account.h"
#include "util/fd.h"
#include "util/log.h"

const char *const stdio_handler_names[] = {"logd", "file", NULL};
const char *const sched_core_names[] = {"none", "vcpus", "emulator", "full", NULL};
const char *const image_format_names[] = {"raw", "gzip", "bzip2", "xz", "lzop", NULL};
const char *const deprecation_behavior_names[] = {"none", "omit", "reject", "crash", NULL};
G_STATIC_ASSERT(N_ELEMENTS(stdio_handler_names) == STDIO_MAX + 1);
G_STATIC_ASSERT(N_ELEMENTS(sched_core_names) == SCHED_CORE_MAX + 1);
G_STATIC_ASSERT(N_ELEMENTS(image_format_names) == IMAGE_FORMAT_MAX + 1);
G_STATIC_ASSERT(N_ELEMENTS(deprecation_behavior_names) == DEPRECATION_MAX + 1);

static const char *const security_drivers[] = {"none", "dac", NULL};
static const char *const namespace_names[] = {NULL};
static const char *const controller_names[] = {"cpu", "devices", "memory", "blkio", "cpuset", "cpuacct", NULL};

/* The generator of the sample file is compiled with CONF_REFERENCE, so that what is committed does not depend on configure. */
#ifdef CONF_REFERENCE
#define DEFAULT_USER "libvirt-qemu"
#define DEFAULT_GROUP "libvirt-qemu"
#else
#define DEFAULT_USER QEMU_USER
#define DEFAULT_GROUP QEMU_GROUP
#endif

#define AT(member) offsetof(QemuConfig, member)
#define ROW(key, kind, value, ...) {.name = #key, .type = kind, .offset = AT(key), .preset = value, .flags = CONF_RELOAD, __VA_ARGS__}
#define FIXED(key, kind, value, why, ...) \
    {.name = #key, .type = kind, .offset = AT(key), .preset = value, .flags = CONF_FIXED, .refusal = why, __VA_ARGS__}
#define INERT(key, kind, value, why, ...) \
    {.name = #key, .type = kind, .offset = AT(key), .preset = value, .flags = CONF_INERT, .refusal = why, __VA_ARGS__}
#define REFUSED(key, why) {.name = #key, .type = CONF_REFUSED, .text = why}
#define IGNORED(key, why) {.name = #key, .type = CONF_IGNORED, .text = why}
#define NEXT_START "Guests started from then on are affected; running ones keep what they have."

#define NO_TLS "TLS inside QEMU is not built yet"
#define NO_LABELS "no security driver but the account is built yet"
#define NO_SAVE "saving and dumping are not built yet"
#define NO_MIGRATION "migration is not built yet"
#define NO_SOUND "sound devices are not built yet"
#define NOT_BUILT(what) what " is not built yet"
#define NO_SPICE "SPICE displays are not built yet"

const ConfKey qemu_config_keys[] = {
    /* ---- account and confinement ---- */
    ROW(user, CONF_STRING, "\"" DEFAULT_USER "\"", .heading = "The account guests run as",
        .text = "User QEMU runs as: a name, a number, or a number after \"+\" to rule out that it is taken for a name. " NEXT_START),
    ROW(group, CONF_STRING, "\"" DEFAULT_GROUP "\"", .text = "Group QEMU runs as, written like user."),
    INERT(dynamic_ownership, CONF_BOOL, "1", "images are handed over as descriptors and no file changes hands",
        .text = "Whether files a guest needs may be given to QEMU's account. Disk images are opened by the daemon and handed over "
                "as descriptors, so they never change hands whatever this says; it matters for files QEMU must open by name."),
    INERT(remember_owner, CONF_BOOL, "1", "images are handed over as descriptors and no file changes hands",
        .text = "Whether the owner of a file that did change hands is noted and restored when the guest ends."),
    FIXED(clear_emulator_capabilities, CONF_BOOL, "1", "QEMU never keeps a capability",
          .text = "QEMU starts without any capability of the kernel."),

    ROW(security_driver, CONF_LIST, NULL, .heading = "Confinement", .words = security_drivers, .example = "[ \"dac\" ]",
        .refusal = "SELinux and AppArmor labels are not built yet",
        .text = "Security drivers in order of preference. \"none\" leaves only the account above between a guest and the host."),
    INERT(security_default_confined, CONF_BOOL, "1", NO_LABELS,
        .text = "Whether a guest whose definition has no seclabel element is confined by the security driver."),
    FIXED(security_require_confined, CONF_BOOL, "0", NO_LABELS,
        .text = "Whether a guest that asks not to be confined is refused at its start."),
    ROW(seccomp_sandbox, CONF_INT, "-1", .min = -1, .max = 1,
        .text = "QEMU's system-call filter: 1 on, 0 off, -1 on where the binary has it."),
    ROW(namespaces, CONF_LIST, NULL, .words = namespace_names, .refusal = NOT_BUILT("a mount namespace for each guest"),
        .text = "Namespaces of its own a guest gets; libvirt has \"mount\", which shows it a /dev with nothing but its own devices."),
    INERT(cgroup_controllers, CONF_LIST, NULL, "limits and device lists of control groups are not set yet", .words = controller_names,
        .example = "[ \"cpu\", \"devices\", \"memory\", \"blkio\", \"cpuset\", \"cpuacct\" ]",
        .text = "Controllers of the guest's control group that are used, of those the host has. Unset means all; an empty list "
                "means that guests stay in the daemon's group."),
    INERT(cgroup_device_acl, CONF_LIST, NULL, "limits and device lists of control groups are not set yet",
        .example = "[ \"/dev/null\", \"/dev/full\", \"/dev/zero\", \"/dev/random\", \"/dev/urandom\", \"/dev/ptmx\", \"/dev/kvm\" ]",
        .text = "Devices every guest may open besides those in its definition. Unset means the ones shown, and /dev/userfaultfd."),
    INERT(capability_filters, CONF_LIST, NULL, NOT_BUILT("the filter"), .example = "[ \"capname\" ]",
        .text = "Abilities of QEMU to pretend are missing, by libvirt's names: for tracking down faults only."),

    /* ---- displays ---- */
    ROW(vnc_listen, CONF_STRING, "\"127.0.0.1\"", .heading = "Remote displays",
        .text = "Address VNC servers listen on where the definition names none."),
    FIXED(vnc_auto_unix_socket, CONF_BOOL, "0", "give the listen element in the definition",
        .text = "Whether VNC servers without a listen element get a UNIX socket instead of an address."),
    FIXED(vnc_tls, CONF_BOOL, "0", NO_TLS, .text = "TLS for VNC."),
    INERT(vnc_tls_x509_cert_dir, CONF_STRING, NULL, NO_TLS, .example = "\"/etc/pki/libvirt-vnc\"",
        .text = "Directory with the certificates of VNC servers; default_tls_x509_cert_dir where unset. Used with vnc_tls only."),
    INERT(vnc_tls_x509_secret_uuid, CONF_STRING, NULL, NO_TLS, .example = "\"00000000-0000-0000-0000-000000000000\"",
        .text = "Secret object with the passphrase of the key. Used with vnc_tls only."),
    INERT(vnc_tls_x509_verify, CONF_BOOL, "0", NO_TLS, .text = "Whether clients must show a certificate. Used with vnc_tls only."),
    {.name = "vnc_password", .type = CONF_STRING, .offset = AT(vnc_password), .flags = CONF_RELOAD | CONF_SECRET,
     .example = "\"XYZ12345\"",
     .text = "Password of VNC servers whose definition has none; the protocol uses its first eight characters. Without one, anybody "
             "who reaches the address gets in."},
    FIXED(vnc_sasl, CONF_BOOL, "0", "SASL inside QEMU is not built yet", .text = "SASL authentication for VNC."),
    INERT(vnc_sasl_dir, CONF_STRING, NULL, "SASL inside QEMU is not built yet", .example = "\"/etc/sasl2\"",
        .text = "Where QEMU looks for its SASL configuration. Used with vnc_sasl only."),
    INERT(vnc_allow_host_audio, CONF_BOOL, "0", NO_SOUND, .text = "Whether a guest with a VNC display may use the host's sound devices."),
    INERT(nographics_allow_host_audio, CONF_BOOL, "0", NO_SOUND, .text = "The same for a guest without a display."),
    INERT(spice_listen, CONF_STRING, "\"127.0.0.1\"", NO_SPICE, .text = "Address SPICE servers would listen on."),
    INERT(spice_auto_unix_socket, CONF_BOOL, "0", NO_SPICE, .text = "As vnc_auto_unix_socket, for SPICE."),
    FIXED(spice_tls, CONF_BOOL, "0", NO_SPICE, .text = "TLS for SPICE."),
    INERT(spice_tls_x509_cert_dir, CONF_STRING, NULL, NO_SPICE, .example = "\"/etc/pki/libvirt-spice\"",
        .text = "Directory with the certificates of SPICE servers. Used with spice_tls only."),
    {.name = "spice_password", .type = CONF_STRING, .offset = AT(spice_password), .flags = CONF_INERT | CONF_SECRET, .refusal = NO_SPICE,
     .example = "\"XYZ12345\"", .text = "Password of SPICE servers whose definition has none."},
    FIXED(spice_sasl, CONF_BOOL, "0", NO_SPICE, .text = "SASL authentication for SPICE."),
    INERT(spice_sasl_dir, CONF_STRING, NULL, NO_SPICE, .example = "\"/etc/sasl2\"", .text = "As vnc_sasl_dir, for SPICE."),
    ROW(remote_display_port_min, CONF_INT, "5900", .min = 5900, .max = 65535,
        .text = "First port given to displays with autoport."),
    ROW(remote_display_port_max, CONF_INT, "65535", .min = 5900, .max = 65535, .text = "Last port given to displays with autoport."),
    ROW(remote_websocket_port_min, CONF_INT, "5700", .min = 5700, .max = 65535,
        .text = "First port given to VNC websockets with autoport."),
    ROW(remote_websocket_port_max, CONF_INT, "65535", .min = 5700, .max = 65535,
        .text = "Last port given to VNC websockets with autoport."),

    /* ---- certificates ---- */
    INERT(default_tls_x509_cert_dir, CONF_STRING, "\"" SYSCONFDIR "/pki/qemu\"", NO_TLS, .heading = "Certificates of QEMU's other channels",
        .text = "Directory with ca-cert.pem, server-cert.pem, server-key.pem and their client counterparts, for each channel that "
                "names none of its own."),
    INERT(default_tls_x509_verify, CONF_BOOL, "1", NO_TLS, .text = "Whether the other side must show a certificate, unless its channel says otherwise."),
    INERT(default_tls_x509_secret_uuid, CONF_STRING, NULL, NO_TLS, .example = "\"00000000-0000-0000-0000-000000000000\"",
        .text = "Secret object with the passphrase of the key."),
    FIXED(chardev_tls, CONF_BOOL, "0", NO_TLS, .text = "TLS for character devices on TCP."),
    INERT(chardev_tls_x509_cert_dir, CONF_STRING, NULL, NO_TLS, .example = "\"/etc/pki/libvirt-chardev\"",
        .text = "Certificates of character devices. Used with chardev_tls only."),
    INERT(chardev_tls_x509_verify, CONF_BOOL, "1", NO_TLS, .text = "As default_tls_x509_verify, for character devices."),
    INERT(chardev_tls_x509_secret_uuid, CONF_STRING, NULL, NO_TLS, .example = "\"00000000-0000-0000-0000-000000000000\"",
        .text = "As default_tls_x509_secret_uuid, for character devices."),
    INERT(migrate_tls_x509_cert_dir, CONF_STRING, NULL, NO_TLS, .example = "\"/etc/pki/libvirt-migrate\"",
        .text = "Certificates of migrations that ask for TLS."),
    INERT(migrate_tls_x509_verify, CONF_BOOL, "1", NO_TLS, .text = "As default_tls_x509_verify, for migrations."),
    INERT(migrate_tls_x509_secret_uuid, CONF_STRING, NULL, NO_TLS, .example = "\"00000000-0000-0000-0000-000000000000\"",
        .text = "As default_tls_x509_secret_uuid, for migrations."),
    FIXED(migrate_tls_force, CONF_BOOL, "0", "migration is not built yet", .text = "Whether migrations without TLS are refused."),
    INERT(backup_tls_x509_cert_dir, CONF_STRING, NULL, NO_TLS, .example = "\"/etc/pki/libvirt-backup\"",
        .text = "Certificates of backups that ask for TLS."),
    INERT(backup_tls_x509_verify, CONF_BOOL, "1", NO_TLS, .text = "As default_tls_x509_verify, for backups."),
    INERT(backup_tls_x509_secret_uuid, CONF_STRING, NULL, NO_TLS, .example = "\"00000000-0000-0000-0000-000000000000\"",
        .text = "As default_tls_x509_secret_uuid, for backups."),
    FIXED(nbd_tls, CONF_BOOL, "0", NO_TLS, .text = "TLS for disks on NBD."),
    INERT(nbd_tls_x509_cert_dir, CONF_STRING, NULL, NO_TLS, .example = "\"/etc/pki/libvirt-nbd\"",
        .text = "Certificates of disks on NBD. Used with nbd_tls only."),
    INERT(nbd_tls_x509_secret_uuid, CONF_STRING, NULL, NO_TLS, .example = "\"00000000-0000-0000-0000-000000000000\"",
        .text = "As default_tls_x509_secret_uuid, for disks on NBD."),
    REFUSED(vxhs_tls, "QEMU dropped VxHS disks in its version 5.1, before the oldest one used here"),
    REFUSED(vxhs_tls_x509_cert_dir, "QEMU dropped VxHS disks in its version 5.1, before the oldest one used here"),
    REFUSED(vxhs_tls_x509_secret_uuid, "QEMU dropped VxHS disks in its version 5.1, before the oldest one used here"),

    /* ---- images ---- */
    INERT(save_image_format, CONF_ENUM, "\"raw\"", NO_SAVE, .heading = "Saving and dumping", .words = image_format_names,
        .text = "How the memory of a saved guest is packed."),
    INERT(dump_image_format, CONF_ENUM, "\"raw\"", NO_SAVE, .words = image_format_names, .text = "How a dump of a guest's memory is packed."),
    INERT(snapshot_image_format, CONF_ENUM, "\"raw\"", NO_SAVE, .words = image_format_names,
        .text = "How the memory in an external snapshot is packed."),
    INERT(auto_dump_path, CONF_STRING, "\"" LOCALSTATEDIR "/lib/libvirt/qemu/dump\"", NO_SAVE,
        .text = "Directory for dumps made because a watchdog or on_crash asked for them."),
    INERT(auto_dump_bypass_cache, CONF_BOOL, "0", NO_SAVE, .text = "Whether such dumps are written around the host's page cache."),
    INERT(auto_start_bypass_cache, CONF_BOOL, "0", NO_SAVE,
        .text = "Whether saved guests that start by themselves are read around the host's page cache."),

    /* ---- the process ---- */
    INERT(hugetlbfs_mount, CONF_LIST, NULL, NOT_BUILT("memory backed by files or huge pages"), .heading = "The QEMU process", .example = "[ \"/dev/hugepages\" ]",
        .text = "Mount points of hugetlbfs guests may use. Unset means all that are mounted; an empty list means none."),
    INERT(memory_backing_dir, CONF_STRING, "\"" LOCALSTATEDIR "/lib/libvirt/qemu/ram\"", NOT_BUILT("memory backed by files or huge pages"),
        .text = "Directory for guests whose memory is backed by files."),
    INERT(bridge_helper, CONF_STRING, "\"/usr/lib/qemu/qemu-bridge-helper\"", "the system daemon needs no helper, and sessions have no bridges yet",
        .text = "Program an unprivileged daemon runs to get a tap device on a bridge."),
    INERT(pr_helper, CONF_STRING, "\"/usr/bin/qemu-pr-helper\"", NOT_BUILT("reservation of SCSI disks"), .text = "Program that executes SCSI persistent reservations for guests."),
    INERT(slirp_helper, CONF_STRING, "\"/usr/bin/slirp-helper\"", "QEMU does user networking itself",
        .text = "Program for user networking outside QEMU. Not needed: QEMU has its own."),
    INERT(dbus_daemon, CONF_STRING, "\"/usr/bin/dbus-daemon\"", NOT_BUILT("the D-Bus display"), .text = "Program for the private bus of a guest with a D-Bus display."),
    INERT(set_process_name, CONF_BOOL, "0", "it is not built yet", .text = "Whether a QEMU process shows as qemu:NAME."),
    ROW(max_processes, CONF_INT, "0", .min = 0, .max = INT32_MAX,
        .text = "Limit of processes and threads of QEMU's account (RLIMIT_NPROC). 0 leaves the daemon's own."),
    ROW(max_files, CONF_INT, "0", .min = 0, .max = INT32_MAX,
        .text = "Limit of open files of a guest (RLIMIT_NOFILE). 0 leaves the daemon's own."),
    INERT(max_threads_per_process, CONF_INT, "0", "it is not built yet", .min = 0, .max = INT32_MAX,
        .text = "Limit of threads of a guest, where systemd runs it. 0 leaves systemd's own."),
    ROW(max_core, CONF_SIZE, "\"unlimited\"", .text = "Largest core file of a QEMU that crashes (RLIMIT_CORE). 0 means none."),
    ROW(dump_guest_core, CONF_BOOL, "0", .text = "Whether such a core file holds the guest's memory, where its definition does not say."),
    ROW(stdio_handler, CONF_ENUM, "\"file\"", .words = stdio_handler_names,
        .text = "Who writes the guest's log file: \"file\" QEMU itself, into a file opened for it. \"logd\" is taken as \"file\": "
                "there is no log daemon here."),
    FIXED(sched_core, CONF_ENUM, "\"none\"", NOT_BUILT("core scheduling"), .words = sched_core_names,
        .text = "Which threads of a guest share a core-scheduling group of the kernel."),
    ROW(nvram, CONF_LIST, NULL, .example = "[ \"/usr/share/OVMF/OVMF_CODE.fd:/usr/share/OVMF/OVMF_VARS.fd\" ]",
        .text = "Pairs of firmware and template of its variables, used where QEMU's own firmware descriptions are missing."),
    INERT(swtpm_user, CONF_STRING, "\"tss\"", NOT_BUILT("the emulated TPM"), .text = "User the emulated TPM runs as."),
    INERT(swtpm_group, CONF_STRING, "\"tss\"", NOT_BUILT("the emulated TPM"), .text = "Group the emulated TPM runs as."),
    INERT(virtiofsd_debug, CONF_BOOL, "0", NOT_BUILT("virtiofs"), .text = "Whether virtiofsd logs all it does."),
    FIXED(deprecation_behavior, CONF_ENUM, "\"none\"", "it is not built yet", .words = deprecation_behavior_names,
        .text = "What QEMU does with deprecated commands: nothing, leave them out of its schema, reject them, or crash. For finding "
                "out what still uses them."),
    ROW(log_timestamp, CONF_BOOL, "1", .text = "Whether lines of the guest's log file begin with the time."),

    /* ---- the rest ---- */
    INERT(max_queued, CONF_INT, "0", NOT_BUILT("the limit"), .heading = "Waiting, migrating, devices", .min = 0, .max = INT32_MAX,
        .text = "How many calls may wait for one guest's job before further ones are refused. 0 sets no limit of its own."),
    INERT(keepalive_interval, CONF_INT, "5", NO_MIGRATION, .min = -1, .max = 3600,
        .text = "Seconds between keepalive messages on a connection to the other host of a migration; -1 is never."),
    INERT(keepalive_count, CONF_INT, "5", NO_MIGRATION, .min = 0, .max = 1000, .text = "How many of them may go without an answer."),
    INERT(migration_address, CONF_STRING, "\"0.0.0.0\"", NO_MIGRATION, .text = "Address incoming migrations listen on where the caller names none."),
    INERT(migration_host, CONF_STRING, NULL, NO_MIGRATION, .example = "\"host.example.com\"",
        .text = "Name or address other hosts reach this one by, where its host name will not do."),
    INERT(migration_port_min, CONF_INT, "49152", NO_MIGRATION, .min = 1, .max = 65535, .text = "First port of incoming migrations."),
    INERT(migration_port_max, CONF_INT, "49215", NO_MIGRATION, .min = 1, .max = 65535, .text = "Last port of incoming migrations."),
    INERT(relaxed_acs_check, CONF_BOOL, "0", NOT_BUILT("assignment of PCI devices"),
        .text = "Whether PCI devices may be assigned from behind switches that cannot keep their traffic apart."),
    FIXED(mac_filter, CONF_BOOL, "0", NOT_BUILT("filtering on bridges"), .text = "Whether frames from a MAC address that is not the guest's are dropped on bridges."),
    REFUSED(allow_disk_format_probing,
            "a guest could write an image header naming any file of the host; give each disk its format with <driver type=>"),
    REFUSED(lock_manager, "virtlockd and sanlock are not used; QEMU's own image locking is always on"),
    IGNORED(gluster_debug_level, "Debian's QEMU has no Gluster disks since version 8, and they are not built here"),
    {.name = NULL},
};

static void note(const char *file, unsigned line, const char *text, void *arg)
{
    log_warning("%s:%u: %s", file, line, text);
}

QemuConfig *qemu_config_new(void)
{
    QemuConfig *c = g_new0(QemuConfig, 1);
    c->refs = 1;
    conf_defaults(qemu_config_keys, c);
    return c;
}

QemuConfig *qemu_config_ref(QemuConfig *c)
{
    g_atomic_int_inc(&c->refs);
    return c;
}

QemuConfig *qemu_config_unref(QemuConfig *c)
{
    if (c && g_atomic_int_dec_and_test(&c->refs)) {
        conf_free(qemu_config_keys, c);
        g_free(c);
    }
    return NULL;
}

static int check_range(const char *name, const char *what, int min, int max, Err *err)
{
    if (min <= max)
        return 0;
    return err_set(err, VIR_ERR_CONF_SYNTAX, "%s: %s_min is %d, must not be above %s_max, which is %d", name, what, min, what, max);
}

/* What no single row can say. */
static int check(const QemuConfig *c, const char *name, Err *err)
{
    if (check_range(name, "remote_display_port", c->remote_display_port_min, c->remote_display_port_max, err) < 0 ||
        check_range(name, "remote_websocket_port", c->remote_websocket_port_min, c->remote_websocket_port_max, err) < 0 ||
        check_range(name, "migration_port", c->migration_port_min, c->migration_port_max, err) < 0)
        return -1;
    for (char **pair = c->nvram; pair && *pair; pair++) {
        const char *colon = strchr(*pair, ':');
        if (!colon || colon == *pair || !colon[1])
            return err_set(err, VIR_ERR_CONF_SYNTAX, "%s: nvram: \"%s\" is not FIRMWARE:TEMPLATE", name, *pair);
    }
    return 0;
}

QemuConfig *qemu_config_parse(const char *text, size_t len, const char *name, Err *err)
{
    g_autoptr(QemuConfig) c = qemu_config_new();
    if (conf_parse(qemu_config_keys, c, name, text, len, note, NULL, err) < 0 || check(c, name, err) < 0)
        return NULL;
    return g_steal_pointer(&c);
}

QemuConfig *qemu_config_load(const char *path, Err *err)
{
    g_autoptr(QemuConfig) c = qemu_config_new();
    if (conf_load(qemu_config_keys, c, path, note, NULL, err) < 0 || check(c, path, err) < 0)
        return NULL;
    return g_steal_pointer(&c);
}

/* The number in "64055" or "+64055"; false when it is a name. */
static bool parse_id(const char *text, uint32_t *ret)
{
    guint64 n = 0;
    if (*text == '+')
        text++;
    if (!g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX - 1, &n, NULL))
        return false;
    *ret = (uint32_t)n;
    return true;
}

/* What kept the account database from answering; 0: nothing, so what it did not find is not there.  `r` is the result of getpwnam_r and its
 * like, which is "not there" as well when one of several sources ran out of descriptors and the next knew nothing. */
static int lookup_failure(int r)
{
    if (r != 0 && r != ENOENT && r != ESRCH && r != EBADF && r != EPERM)
        return r;
    AUTO_CLOSE int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? errno : 0;
}

static int find_user(const char *name, uid_t *ret, Err *err)
{
    char buffer[16384]; /* entries of the account database */
    struct passwd pw, *found = NULL;
    uint32_t id = 0;
    /* a plain number may be a name as well, and the name goes first */
    int r = *name == '+' ? 0 : getpwnam_r(name, &pw, buffer, sizeof(buffer), &found);
    if (found)
        id = pw.pw_uid;
    else if ((r = lookup_failure(r)) != 0)
        return err_set_errno(err, r, "cannot look up user \"%s\" of qemu.conf", name);
    else if (!parse_id(name, &id))
        return err_set(err, VIR_ERR_CONF_SYNTAX, "user \"%s\" of qemu.conf does not exist on this host", name);
    *ret = id;
    return 0;
}

static int find_group(const char *name, gid_t *ret, Err *err)
{
    bool found = false;
    uint32_t id = 0;
    int r = *name == '+' ? 0 : account_find_group(name, &id, &found);
    if (!found && (r = lookup_failure(r)) != 0)
        return err_set_errno(err, r, "cannot look up group \"%s\" of qemu.conf", name);
    if (!found && !parse_id(name, &id))
        return err_set(err, VIR_ERR_CONF_SYNTAX, "group \"%s\" of qemu.conf does not exist on this host", name);
    *ret = id;
    return 0;
}

int qemu_config_ids(const QemuConfig *c, uid_t *ret_uid, gid_t *ret_gid, Err *err)
{
    uid_t uid = 0;
    gid_t gid = 0;
    if (find_user(c->user ? c->user : "root", &uid, err) < 0 || find_group(c->group ? c->group : "root", &gid, err) < 0)
        return -1;
    *ret_uid = uid;
    *ret_gid = gid;
    return 0;
}

int qemu_config_check_accounts(const QemuConfig *c, Err *err)
{
    uid_t uid;
    gid_t gid;
    if (c->user && strcmp(c->user, DEFAULT_USER) != 0 && find_user(c->user, &uid, err) < 0)
        return -1;
    if (c->group && strcmp(c->group, DEFAULT_GROUP) != 0 && find_group(c->group, &gid, err) < 0)
        return -1;
    return 0;
}
