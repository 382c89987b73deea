/* daemon/conf_libvirtd.c - the rows of libvirtd.conf
 *
 * Owns:    names, defaults, bounds and text of its keys; loading is conf.c
 */
#include "config.h"

#include "daemon/conf.h"

const char *const auth_scheme_names[] = {"none", "sasl", "polkit", NULL};
const char *const host_uuid_source_names[] = {"smbios", "machine-id", NULL};
G_STATIC_ASSERT(N_ELEMENTS(auth_scheme_names) == AUTH_SCHEME_MAX + 1);
G_STATIC_ASSERT(N_ELEMENTS(host_uuid_source_names) == HOST_UUID_SOURCE_MAX + 1);

static const char *const access_driver_names[] = {"none", "polkit", "berth", NULL};
static const char *const auth_net_names[] = {"none", "sasl", NULL};

#define AT(member) offsetof(DaemonConfig, member)
#define ROW(key, kind, value, flag, ...) \
    {.name = #key, .type = kind, .offset = AT(key), .preset = value, .flags = flag, __VA_ARGS__}
#define INERT(key, kind, value, why, ...) \
    {.name = #key, .type = kind, .offset = AT(key), .preset = value, .flags = CONF_INERT, .refusal = why, __VA_ARGS__}
#define REFUSED(key, why) {.name = #key, .type = CONF_REFUSED, .text = why}
#define IGNORED(key, why) {.name = #key, .type = CONF_IGNORED, .text = why}
#define RESTART 0u
#define RELOAD CONF_RELOAD

#define ADMIN_INLINE "calls of the administration socket take no workers"
#define TLS_ONLY "Used by the TLS listener only."
#define SYSTEMD_HOLDS " Without effect when systemd holds the sockets."

const ConfKey libvirtd_config_keys[] = {
    ROW(listen_tls, CONF_INT, "-1", RESTART, .heading = "Network listeners", .min = -1, .max = 1,
        .text = "Whether the daemon listens for TLS: 1 yes, 0 no, -1 when it was started with --listen." SYSTEMD_HOLDS),
    ROW(listen_tcp, CONF_BOOL, "0", RESTART,
        .text = "Whether the daemon listens for plain TCP. What goes over it can be read and changed by others unless auth_tcp is \"sasl\" "
                "and its mechanism encrypts." SYSTEMD_HOLDS),
    ROW(tls_port, CONF_PORT, "\"16514\"", RESTART, .text = "Port for TLS: a number or the name of a service." SYSTEMD_HOLDS),
    ROW(tcp_port, CONF_PORT, "\"16509\"", RESTART, .text = "Port for plain TCP: a number or the name of a service." SYSTEMD_HOLDS),
    ROW(listen_addr, CONF_STRING, NULL, RESTART, .example = "\"192.0.2.1\"",
        .text = "Address to listen on, IPv4 or IPv6, or a name that has some; all addresses of the host when unset." SYSTEMD_HOLDS),

    ROW(unix_sock_group, CONF_STRING, NULL, RESTART, .heading = "UNIX sockets", .example = "\"libvirt\"",
        .text = "Group that owns the sockets; its members get in as far as the permissions below let them. Unset means root. "
                "Without effect when systemd holds the sockets."),
    ROW(unix_sock_ro_perms, CONF_MODE, "\"0777\"", RESTART,
        .text = "Permissions of the read-only socket, through which guests can be looked at and not touched."),
    ROW(unix_sock_rw_perms, CONF_MODE, "\"0700\"", RESTART,
        .text = "Permissions of the socket for full control. Whoever can open it controls the host: with auth_unix_rw \"none\", "
                "0770 together with a group is the widest that makes sense."),
    ROW(unix_sock_admin_perms, CONF_MODE, "\"0700\"", RESTART, .text = "Permissions of the administration socket."),
    ROW(unix_sock_dir, CONF_STRING, NULL, RESTART, .example = "\"" RUNSTATEDIR "/libvirt\"", .text = "Directory of the sockets."),

    ROW(auth_unix_ro, CONF_ENUM, "\"none\"", RESTART, .heading = "Authentication and access", .words = auth_scheme_names,
        .text = "How clients of the read-only socket show who they are. \"none\": the socket's permissions decide. \"sasl\": by the mechanisms of "
                "/etc/sasl2/libvirt.conf. \"polkit\": polkit is asked for the action org.libvirt.unix.monitor (the other socket: manage); root and "
                "the daemon's own user need no question. Where there is no polkit, members of the socket's group get in."),
    ROW(auth_unix_rw, CONF_ENUM, "\"none\"", RESTART, .words = auth_scheme_names,
        .text = "The same for the socket with full control."),
    ROW(auth_tcp, CONF_ENUM, "\"sasl\"", RESTART, .words = auth_net_names, .refusal = "polkit knows local clients only",
        .text = "The same for plain TCP. \"none\": whoever reaches the port controls the host."),
    ROW(auth_tls, CONF_ENUM, "\"none\"", RESTART, .words = auth_net_names, .refusal = "polkit knows local clients only",
        .text = "The same for TLS, besides the client's certificate."),
    ROW(tcp_min_ssf, CONF_INT, "112", RESTART, .min = 112, .max = 1024,
        .text = "Least strength, in bits, of the encryption SASL must give on plain TCP: DIGEST-MD5 gives 128, GSSAPI 256, SCRAM none."),
    ROW(access_drivers, CONF_LIST, NULL, RESTART, .words = access_driver_names,
        .example = "[ \"berth\" ]",
        .text = "What decides about each single call and each object in it. Unset or \"none\": whoever is in may do all his socket allows. "
                "\"berth\": the rules in the files " SYSCONFDIR "/libvirt/berthd.conf.d/access/*.rules, read again on a reload; without any rule "
                "everything is refused. \"polkit\": the actions org.libvirt.api.*, for local clients. Several drivers must all allow."),
    ROW(sasl_allowed_username_list, CONF_LIST, NULL, RELOAD, .example = "[ \"joe@EXAMPLE.COM\", \"fred@EXAMPLE.COM\" ]",
        .text = "Patterns (* and ?) of the SASL users who may come in. Unset means all who authenticate; an empty list means nobody."),
    ROW(key_file, CONF_STRING, NULL, RELOAD, .heading = "Certificates", .example = "\"/etc/pki/libvirt/private/serverkey.pem\"",
        .text = "Key of the server, /etc/pki/libvirt/private/serverkey.pem when unset. " TLS_ONLY),
    ROW(cert_file, CONF_STRING, NULL, RELOAD, .example = "\"/etc/pki/libvirt/servercert.pem\"",
        .text = "Certificate of the server, /etc/pki/libvirt/servercert.pem when unset. " TLS_ONLY),
    ROW(ca_file, CONF_STRING, NULL, RELOAD, .example = "\"/etc/pki/CA/cacert.pem\"",
        .text = "Certificate of the authority that signed both sides' certificates, /etc/pki/CA/cacert.pem when unset. " TLS_ONLY),
    ROW(crl_file, CONF_STRING, NULL, RELOAD, .example = "\"/etc/pki/CA/cacrl.pem\"",
        .text = "Certificates the authority has revoked. When unset, /etc/pki/CA/cacrl.pem if there is one. A reload ends the sessions of "
                "clients whose certificate is in it. " TLS_ONLY),
    ROW(tls_no_sanity_certificate, CONF_BOOL, "0", RELOAD,
        .text = "Whether the check of the server's own certificate (dates, basic constraints, key usage and purpose, authority) is left out."),
    ROW(tls_no_verify_certificate, CONF_BOOL, "0", RELOAD,
        .text = "Whether clients without a valid certificate get in; only sensible where something else authenticates them, as auth_tls "
                "\"sasl\"."),
    ROW(tls_allowed_dn_list, CONF_LIST, NULL, RELOAD, .example = "[ \"C=GB,ST=London,L=London,O=Example,CN=*\" ]",
        .text = "Patterns (* any text, ? one character) of the names in client certificates that may come in. Unset means all signed by the "
                "authority; an empty list means nobody. A reload ends the sessions of those not in it any more."),
    ROW(tls_priority, CONF_STRING, NULL, RELOAD, .example = "\"NORMAL:-VERS-ALL:+VERS-TLS1.3\"",
        .text = "Versions and ciphers, as a GnuTLS priority string. Unset means those GnuTLS thinks good, of TLS 1.2 and 1.3."),

    ROW(max_clients, CONF_INT, "5000", RELOAD, .heading = "Limits", .min = 1, .max = 1000000,
        .text = "Clients connected at once; further ones wait to be accepted."),
    ROW(max_queued_clients, CONF_INT, "1000", RESTART, .min = 1, .max = 65535, .text = "Connections waiting to be accepted."),
    ROW(max_anonymous_clients, CONF_INT, "20", RELOAD, .min = 0, .max = 1000000,
        .text = "Clients connected and not yet authenticated, on the local sockets and on the network each. While so many there are, further "
                "ones of the network are not accepted, but the oldest makes room once it has had half a second. Local users share: further "
                "ones wait, but the user who has most loses one, a silent one first, to a user who has less; root's are not counted and do "
                "not wait. 0: no limit of its own."),
    ROW(min_workers, CONF_INT, "1", RELOAD, .min = 0, .max = 10000,
        .text = "Workers that are always there. Further ones are made when there is work, and end when there is none for some seconds."),
    ROW(max_workers, CONF_INT, "20", RELOAD, .min = 1, .max = 10000,
        .text = "Ordinary calls executed at once. A call that waits for a guest does not count."),
    ROW(prio_workers, CONF_INT, "5", RELOAD, .min = 0, .max = 10000,
        .text = "Calls that never wait for a guest (destroy, look-ups) executed at once, on workers of their own. 0: they share those of "
                "max_workers."),
    ROW(max_client_requests, CONF_INT, "5", RELOAD, .min = 1, .max = 10000,
        .text = "Calls of one client in progress; further ones wait unread on its connection."),
    INERT(admin_min_workers, CONF_INT, "1", ADMIN_INLINE, .min = 0, .max = 10000, .text = "As min_workers, for the administration socket."),
    INERT(admin_max_workers, CONF_INT, "5", ADMIN_INLINE, .min = 1, .max = 10000, .text = "As max_workers, for the administration socket."),
    ROW(admin_max_clients, CONF_INT, "5", RELOAD, .min = 1, .max = 10000, .text = "As max_clients, for the administration socket."),
    ROW(admin_max_queued_clients, CONF_INT, "5", RESTART, .min = 1, .max = 65535,
        .text = "As max_queued_clients, for the administration socket."),
    ROW(admin_max_client_requests, CONF_INT, "5", RELOAD, .min = 1, .max = 10000,
        .text = "As max_client_requests, for the administration socket."),

    ROW(log_level, CONF_INT, "3", RELOAD, .heading = "Logging", .min = 1, .max = 4,
        .text = "Least severity that is logged: 1 debug, 2 info, 3 warning, 4 error."),
    ROW(log_filters, CONF_STRING, NULL, RELOAD, .example = "\"1:qemu 3:rpc\"",
        .text = "Levels for parts of the daemon, \"LEVEL:AREA\" separated by blanks. AREA is the beginning of an area's name (qemu, "
                "qmp, domain, rpc, event, store, daemon); * stands for anything. The most specific filter decides."),
    ROW(log_outputs, CONF_STRING, NULL, RELOAD, .example = "\"2:journald 1:file:/var/log/libvirt/berthd.log\"",
        .text = "Where lines go: \"LEVEL:stderr\", \"LEVEL:syslog:NAME\", \"LEVEL:file:PATH\", \"LEVEL:journald\", separated by blanks. "
                "Unset means the journal where there is one, else stderr. Texts of more than 8 KiB (in the journal 64) are cut, "
                "lines to stderr at 4 KiB."),
    ROW(audit_level, CONF_INT, "1", RELOAD, .min = 0, .max = 2,
        .text = "Records of what clients change, of connections and of refusals: who, from where, which call, which object, with what result. "
                "0: none. 1: to audit_file of berthd.conf, else to the journal, where there is one. 2: the daemon does not start without one of "
                "them."),
    ROW(audit_logging, CONF_BOOL, "0", RELOAD, .text = "Whether these records go to the log as well, as information."),

    ROW(host_uuid, CONF_STRING, NULL, RESTART, .heading = "The host", .example = "\"00000000-0000-0000-0000-000000000000\"",
        .text = "Identity of this host in capabilities and migrations, where the machine's own is missing or shared."),
    ROW(host_uuid_source, CONF_ENUM, "\"smbios\"", RESTART, .words = host_uuid_source_names,
        .text = "Where the identity is taken from when host_uuid is unset."),
    ROW(keepalive_interval, CONF_INT, "5", RELOAD, .heading = "Keepalive", .min = -1, .max = 3600,
        .text = "Seconds of silence after which a client that can answer is asked whether it lives; -1 is never."),
    ROW(keepalive_count, CONF_INT, "5", RELOAD, .min = 0, .max = 1000,
        .text = "How many such questions may go unanswered before the client is disconnected."),
    INERT(keepalive_required, CONF_BOOL, "0", "clients that cannot answer are not asked", .text = "Whether clients that cannot answer are refused."),
    ROW(admin_keepalive_interval, CONF_INT, "5", RELOAD, .min = -1, .max = 3600,
        .text = "As keepalive_interval, for the administration socket."),
    ROW(admin_keepalive_count, CONF_INT, "5", RELOAD, .min = 0, .max = 1000, .text = "As keepalive_count, for the administration socket."),
    INERT(admin_keepalive_required, CONF_BOOL, "0", "clients that cannot answer are not asked", .text = "As keepalive_required, for the administration socket."),
    IGNORED(ovs_timeout, "Open vSwitch is not used yet"),
    {.name = NULL},
};
