/* qemu/dev_chr.c - serial and parallel ports, consoles, channels
 *
 * Owns:    the -chardev of every character device, and the device in front of it
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED naming type or target
 *
 * UNIX sockets of either direction, files and host devices are opened by the daemon; QEMU gets descriptors.
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "model/complete.h"
#include "qemu/build.h"

/* ---- host side --------------------------------------------------------------------------------------------------------------- */

static void opt_str(GString *s, const char *key, const char *value)
{
    if (value) {
        g_string_append_printf(s, ",%s=", key);
        opts_escape(s, value);
    }
}

static int chardev_unix(ArgvBuild *b, GString *s, const ChrSource *src, const char *alias, Err *err)
{
    if (src->path == NULL)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "the socket of %s has no path", alias);
    bool bind = src->mode != CHR_MODE_CONNECT;
    bool reconnect = !bind && src->reconnect_enabled == TRI_YES && src->reconnect_timeout.set;
    if (build_native(b) || reconnect) /* QEMU itself must be able to connect again */
        opt_str(s, "path", src->path);
    else
        g_string_append_printf(s, ",fd=%d",
                               argv_plan_fd(b, bind ? ARGV_FD_CHR_LISTEN : ARGV_FD_CHR_CONNECT, 0, src->path, alias));
    if (bind)
        g_string_append(s, ",server=on,wait=off");
    else if (reconnect)
        g_string_append_printf(s, ",reconnect=%" PRIu64, src->reconnect_timeout.v);
    return 0;
}

static int chardev_tcp(GString *s, const ChrSource *src, const char *alias, Err *err)
{
    if (src->tls == TRI_YES || src->protocol == TCP_TLS || src->protocol == TCP_TELNETS)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "TLS on %s", alias);
    bool bind = src->mode == CHR_MODE_BIND;
    opt_str(s, "host", src->host);
    opt_str(s, "port", src->service);
    if (src->protocol == TCP_TELNET)
        g_string_append(s, ",telnet=on");
    if (bind)
        g_string_append(s, ",server=on,wait=off");
    else if (src->reconnect_enabled == TRI_YES && src->reconnect_timeout.set)
        g_string_append_printf(s, ",reconnect=%" PRIu64, src->reconnect_timeout.v);
    return 0;
}

/* A path QEMU would open: itself in native form, else the fdset its descriptor is planned into. Caller frees. */
static char *plan_path(ArgvBuild *b, const char *path, int flags, const char *alias, const char *what)
{
    if (build_native(b))
        return g_strdup(path);
    int set = b->next_fdset++;
    g_autofree char *opaque = g_strdup_printf("%s-%s", alias, what);
    argv_plan_fdset(b, set, flags, path, opaque);
    return g_strdup_printf("/dev/fdset/%d", set);
}

static int append_flags(TriState append)
{
    return O_WRONLY | O_CREAT | (append == TRI_YES ? O_APPEND : O_TRUNC);
}

static int need_path(const ChrSource *src, const char *alias, Err *err)
{
    return src->path ? 0 : err_set(err, VIR_ERR_XML_ERROR, "%s has no <source path=>", alias);
}

static int chardev_body(ArgvBuild *b, GString *s, const ChrSource *src, const char *alias, Err *err)
{
    g_autofree char *path = NULL;
    switch (src->type) {
    case CHR_UNIX:
        return chardev_unix(b, s, src, alias, err);
    case CHR_TCP:
        return chardev_tcp(s, src, alias, err);
    case CHR_UDP:
        opt_str(s, "host", src->host);
        opt_str(s, "port", src->service);
        opt_str(s, "localaddr", src->bind_host);
        opt_str(s, "localport", src->bind_service);
        return 0;
    case CHR_FILE:
        if (need_path(src, alias, err) < 0)
            return -1;
        path = plan_path(b, src->path, append_flags(src->append), alias, "source");
        opt_str(s, "path", path);
        if (src->append != TRI_ABSENT)
            g_string_append(s, src->append == TRI_YES ? ",append=on" : ",append=off");
        return 0;
    case CHR_DEV:
        if (need_path(src, alias, err) < 0)
            return -1;
        path = plan_path(b, src->path, O_RDWR | O_NOCTTY | O_NONBLOCK, alias, "source");
        opt_str(s, "path", path);
        return 0;
    case CHR_PIPE:
        if (need_path(src, alias, err) < 0)
            return -1;
        opt_str(s, "path", src->path);
        return 0;
    case CHR_PTY:
    case CHR_NULL:
    case CHR_VC:
    case CHR_STDIO:
        return 0;
    default:
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "character device type '%s' of %s",
                       enum_word(chr_type_names, CHR_MAX, (int)src->type), alias);
    }
}

int argv_chardev(ArgvBuild *b, const ChrSource *src, const char *alias, Err *err)
{
    static const char *const backends[CHR_MAX] = {
        [CHR_UNIX] = "socket", [CHR_TCP] = "socket", [CHR_UDP] = "udp",   [CHR_FILE] = "file",   [CHR_DEV] = "serial",
        [CHR_PIPE] = "pipe",   [CHR_PTY] = "pty",    [CHR_NULL] = "null", [CHR_STDIO] = "stdio", [CHR_VC] = "vc",
    };
    const char *backend = backends[src->type];
    g_autoptr(GString) s = g_string_new(NULL);
    g_string_append_printf(s, "%s,id=char%s", backend ? backend : "", alias);
    if (chardev_body(b, s, src, alias, err) < 0)
        return -1;
    if (src->log_file) {
        g_autofree char *log = plan_path(b, src->log_file, append_flags(src->log_append), alias, "log");
        opt_str(s, "logfile", log);
        if (src->log_append != TRI_ABSENT)
            g_string_append(s, src->log_append == TRI_YES ? ",logappend=on" : ",logappend=off");
        else if (!build_native(b))
            g_string_append(s, ",logappend=off");
    }
    argv_add(b, "-chardev", s->str);
    return 0;
}

/* ---- guest side -------------------------------------------------------------------------------------------------------------- */

static const char *serial_driver(const ChrDef *c)
{
    switch (c->target_model) {
    case CHR_MODEL_ISA_SERIAL:
        return "isa-serial";
    case CHR_MODEL_USB_SERIAL:
        return "usb-serial";
    case CHR_MODEL_PCI_SERIAL:
        return "pci-serial";
    case CHR_MODEL_ISA_DEBUGCON:
        return "isa-debugcon";
    case CHR_MODEL_ABSENT:
        break;
    default:
        return NULL;
    }
    switch (c->target_type) {
    case CHR_TARGET_ABSENT:
    case CHR_TARGET_ISA_SERIAL:
        return "isa-serial";
    case CHR_TARGET_USB_SERIAL:
        return "usb-serial";
    case CHR_TARGET_PCI_SERIAL:
        return "pci-serial";
    case CHR_TARGET_ISA_DEBUG:
        return "isa-debugcon";
    default:
        return NULL;
    }
}

/* The members all have: which host side, which name. */
static void chr_common(json_t *o, const char *driver, const ChrDef *c)
{
    props_str(o, "driver", driver);
    props_strf(o, "chardev", "char%s", c->info.alias);
    props_str(o, "id", c->info.alias);
}

static int serial_props(json_t *o, const DomainDef *def, const ChrDef *c, Err *err)
{
    const char *driver = serial_driver(c);
    if (driver == NULL)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "target of serial port '%s'", c->info.alias);
    chr_common(o, driver, c);
    if (strcmp(driver, "isa-serial") == 0)
        props_opt(o, "index", c->target_port);
    return props_address(o, def, &c->info, "a serial port", err);
}

static int channel_props(json_t *o, const DomainDef *def, const ChrDef *c, Err *err)
{
    if (c->target_type == CHR_TARGET_GUESTFWD) {
        /* no device: a user network that forwards one address to the chardev */
        json_t *fwd = json_object();
        props_strf(fwd, "str", "tcp:%s:%" PRIu64 "-chardev:char%s", c->target_address ? c->target_address : "", c->target_port.v,
                   c->info.alias);
        props_str(o, "type", "user");
        json_t *list = json_array();
        json_array_append_new(list, fwd);
        json_object_set_new(o, "guestfwd", list);
        props_str(o, "id", c->info.alias);
        return 0;
    }
    if (c->target_type != CHR_TARGET_VIRTIO)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "target type '%s' of channel '%s'",
                       enum_word(chr_target_type_names, CHR_TARGET_MAX, (int)c->target_type), c->info.alias);
    props_str(o, "driver", "virtserialport");
    if (props_address(o, def, &c->info, "a channel", err) < 0)
        return -1;
    props_strf(o, "chardev", "char%s", c->info.alias);
    props_str(o, "id", c->info.alias);
    props_str(o, "name", c->target_name);
    return 0;
}

static int console_props(json_t *o, const DomainDef *def, const ChrDef *c, Err *err)
{
    if (c->target_type != CHR_TARGET_VIRTIO)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "target type '%s' of console '%s'",
                       enum_word(chr_target_type_names, CHR_TARGET_MAX, (int)c->target_type), c->info.alias);
    props_str(o, "driver", "virtconsole");
    if (props_address(o, def, &c->info, "a console", err) < 0)
        return -1;
    props_strf(o, "chardev", "char%s", c->info.alias);
    props_str(o, "id", c->info.alias);
    return 0;
}

/* A console that only repeats the first serial port. */
static bool console_is_serial(const ChrDef *c)
{
    return c->kind == CHR_KIND_CONSOLE && (c->target_type == CHR_TARGET_SERIAL || c->target_type == CHR_TARGET_ABSENT);
}

json_t *qemu_chr_props(const DomainDef *def, const ChrDef *c, Err *err)
{
    if (console_is_serial(c))
        return NULL;
    json_t *o = json_object();
    int r;
    switch (c->kind) {
    case CHR_KIND_SERIAL:
        r = serial_props(o, def, c, err);
        break;
    case CHR_KIND_PARALLEL:
        chr_common(o, "isa-parallel", c);
        r = props_address(o, def, &c->info, "a parallel port", err);
        break;
    case CHR_KIND_CHANNEL:
        r = channel_props(o, def, c, err);
        break;
    case CHR_KIND_CONSOLE:
        r = console_props(o, def, c, err);
        break;
    default:
        r = err_set(err, VIR_ERR_INTERNAL_ERROR, "a character device of no kind");
        break;
    }
    if (r < 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* A channel whose socket gets its place at start, as it will be; NULL: nothing to fill in. Caller frees the path. */
static char *default_channel_path(const ArgvBuild *b, const ChrDef *c)
{
    if (!build_native(b) || c->target_type != CHR_TARGET_VIRTIO || c->kind != CHR_KIND_CHANNEL || c->source.type != CHR_UNIX || c->source.path ||
        b->env->private_dir == NULL)
        return NULL;
    g_autofree char *leaf = g_path_get_basename(b->env->private_dir), *name = channel_socket_name(c);
    return g_build_filename(b->env->channel_dir ? b->env->channel_dir : "", leaf, name, NULL);
}

static int argv_chr_list(ArgvBuild *b, const GPtrArray *list, Err *err)
{
    for (unsigned i = 0; i < list->len; i++) {
        const ChrDef *c = list->pdata[i];
        if (console_is_serial(c))
            continue;
        ChrSource source = c->source;
        g_autofree char *path = default_channel_path(b, c);
        if (path)
            source.path = path;
        if (argv_chardev(b, &source, c->info.alias, err) < 0)
            return -1;
        json_t *o = qemu_chr_props(b->def, c, err);
        if (o == NULL)
            return -1;
        bool netdev = c->kind == CHR_KIND_CHANNEL && c->target_type == CHR_TARGET_GUESTFWD;
        argv_add_json(b, netdev ? "-netdev" : "-device", o);
    }
    return 0;
}

int argv_chrs(ArgvBuild *b, Err *err)
{
    if (argv_chr_list(b, b->def->serials, err) < 0 || argv_chr_list(b, b->def->parallels, err) < 0 ||
        argv_chr_list(b, b->def->channels, err) < 0)
        return -1;
    return argv_chr_list(b, b->def->consoles, err);
}
