/* daemon/conf_berthd.c - the rows of berthd.conf: what libvirt has no key for
 *
 * Owns:    names, defaults, bounds and text of its keys; loading is conf.c
 */
#include "config.h"

#include "daemon/conf.h"

#define AT(member) offsetof(DaemonConfig, member)
#define ROW(key, kind, value, flag, ...) \
    {.name = #key, .type = kind, .offset = AT(key), .preset = value, .flags = flag, __VA_ARGS__}
#define RESTART 0u
#define RELOAD CONF_RELOAD

const ConfKey berthd_config_keys[] = {
    ROW(long_workers, CONF_INT, "8", RELOAD, .heading = "Workers", .min = 1, .max = 1000,
        .text = "Long operations (saving, restoring, dumping, migrating) executed at once. They never take the place of short ones."),
    ROW(max_threads, CONF_INT, "512", RELOAD, .min = 16, .max = 32768,
        .text = "All workers together, those that sleep until QEMU answers too."),

    ROW(max_client_queue, CONF_SIZE, "134217728", RELOAD, .heading = "Clients",
        .text = "Bytes that may wait for a client to read them. A client with more is disconnected, with the reason in the log, "
                "and costs nobody else anything."),
    ROW(client_stall_timeout, CONF_INT, "60", RELOAD, .min = 1, .max = 86400,
        .text = "Seconds a client may go without reading anything while more than 1 MiB waits for it, or without sending anything in the midst "
                "of a packet of which it has sent more than that."),
    ROW(handshake_timeout, CONF_INT, "10", RELOAD, .min = 1, .max = 600,
        .text = "Seconds a client of the TLS port has for its handshake."),
    ROW(auth_timeout, CONF_INT, "60", RELOAD, .min = 1, .max = 3600,
        .text = "Seconds a client may take to show who it is, the handshake not counted."),
    ROW(modular_sockets, CONF_BOOL, "1", RESTART,
        .text = "Whether the socket names of libvirt's modular daemons (virtqemud-sock and its sisters) lead here too."),

    ROW(job_timeout, CONF_INT, "30", RELOAD, .heading = "Waiting", .min = 1, .max = 3600,
        .text = "Seconds a call waits for its turn at a guest before it fails, naming what holds the guest."),
    ROW(start_timeout, CONF_INT, "60", RELOAD, .min = 1, .max = 3600,
        .text = "Seconds from the beginning of a start until QEMU answers on its monitor, the opening of disk images included. A start "
                "that takes longer fails and leaves nothing behind."),
    ROW(idle_timeout, CONF_INT, "-1", RELOAD, .min = -1, .max = 86400,
        .text = "Seconds without a client and without a running guest after which the daemon ends; systemd's sockets start it again. "
                "0 is never; -1 is 120 when systemd holds the sockets, else never. The option --timeout goes before it."),

    ROW(audit_file, CONF_STRING, NULL, RELOAD, .heading = "Audit", .example = "\"/var/log/libvirt/audit.json\"",
        .text = "File for audit records (audit_level in libvirtd.conf), one JSON object a line, instead of the journal. Opened anew on a reload, "
                "made with permissions 0600."),

    ROW(backing_format_probing, CONF_BOOL, "0", RELOAD, .heading = "Images",
        .text = "Whether a backing file whose format its overlay does not record is taken for what it looks like, if it names no backing file "
                "itself. Who can write a raw image decides what it looks like, a guest for one. Else such a chain is refused, with the "
                "command that records the format."),
    {.name = NULL},
};
