/* model/dev_chr_source.c - the host side of character devices
 *
 * Owns:    <source>, <protocol>, <log> of serial, parallel, console, channel and of rng's egd
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR; types Berth does not do: VIR_ERR_CONFIG_UNSUPPORTED
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/chr_xml.h"

static const Field chr_source_table_fields[] = {
    {.name = "@type", .at = AT_MEMORY, .type = T_ENUM, .off = offsetof(ChrSource, type), .flags = ABI},
    {.name = "source/@mode", .at = AT_MEMORY, .type = T_ENUM, .off = offsetof(ChrSource, mode), .flags = LIVE},
    {.name = "protocol/@type", .at = AT_MEMORY, .type = T_ENUM, .off = offsetof(ChrSource, protocol), .flags = LIVE},
    M_STR("source/@path", ChrSource, path, LIVE),
    M_STR("source/@host", ChrSource, host, LIVE),
    M_STR("source/@service", ChrSource, service, LIVE),
    M_STR("source/@bindHost", ChrSource, bind_host, LIVE),
    M_STR("source/@bindService", ChrSource, bind_service, LIVE),
    M_STR("log/@file", ChrSource, log_file, LIVE),
    M_STR("source/@channel", ChrSource, channel, LIVE),
    M_OPT("reconnect/@timeout", ChrSource, reconnect_timeout, LIVE),
};
TABLE(chr_source_table, "source", ChrSource, );

static const Field source_doc_table_fields[] = {
    IGNORE("@path"), IGNORE("@mode"),      IGNORE("@host"),  IGNORE("@service"),  IGNORE("@append"),
    IGNORE("@tls"),  REFUSE("@channel"),   REFUSE("@master"), REFUSE("@slave"),   IGNORE("reconnect"),
    REFUSE("seclabel"), IGNORE("privateData"), IGNORE("@tlsFromConfig"), REFUSE("clipboard"), REFUSE("mouse"),
};
const Table chr_source_doc_table = {
    .element = "source", .fields = source_doc_table_fields, .n = N_ELEMENTS(source_doc_table_fields)};

static int unsupported(const ChrSource *s)
{
    switch (s->type) {
    case CHR_NULL:
    case CHR_VC:
    case CHR_PTY:
    case CHR_DEV:
    case CHR_FILE:
    case CHR_PIPE:
    case CHR_STDIO:
    case CHR_UDP:
    case CHR_TCP:
    case CHR_UNIX:
        return 0;
    default:
        return -1;
    }
}

static int reconnect_read(ParseCtx *c, xmlNode *source, ChrSource *s)
{
    xmlNode *node = node_child(source, "reconnect");
    if (!node)
        return 0;
    if (attr_enum(c, node, "enabled", tri_yesno_names, TRI_NO + 1, &s->reconnect_enabled) < 0)
        return -1;
    if (s->reconnect_enabled != TRI_YES)
        return 0;
    if (attr_u64(c, node, "timeout", 10, UINT32_MAX, &s->reconnect_timeout.v, &s->reconnect_timeout.set) < 0)
        return -1;
    return s->reconnect_timeout.set ? 0 : missing_attr(c, node, "timeout");
}

/* An earlier <source> may have said a part of it. */
static void address_read(xmlNode *node, char **host, char **service)
{
    g_free(*host);
    *host = node_attr(node, "host");
    g_free(*service);
    *service = node_attr(node, "service");
}

static int source_read(ParseCtx *c, xmlNode *node, ChrSource *s)
{
    /* Refusals and unknown attributes; the doc table has no memory. */
    if (table_parse(c, &chr_source_doc_table, node, s) < 0)
        return -1;
    ChrMode mode = CHR_MODE_ABSENT;
    if (attr_enum(c, node, "mode", chr_mode_names, CHR_MODE_MAX, &mode) < 0)
        return -1;
    switch (s->type) {
    case CHR_PTY:
        if ((c->flags & PARSE_INACTIVE) && !(c->flags & PARSE_STATUS))
            return 0; /* which pty it was last time means nothing */
        s->path = s->path ? s->path : node_attr(node, "path");
        return 0;
    case CHR_DEV:
    case CHR_PIPE:
    case CHR_FILE:
        if (!s->path)
            s->path = node_attr(node, "path");
        return attr_enum(c, node, "append", tri_onoff_names, TRI_NO + 1, &s->append);
    case CHR_UNIX:
        if (!s->path)
            s->path = node_attr(node, "path");
        s->mode = mode ? mode : CHR_MODE_CONNECT;
        return reconnect_read(c, node, s);
    case CHR_TCP:
        s->mode = mode ? mode : CHR_MODE_CONNECT;
        address_read(node, &s->host, &s->service);
        if (attr_enum(c, node, "tls", tri_yesno_names, TRI_NO + 1, &s->tls) < 0)
            return -1;
        return reconnect_read(c, node, s);
    case CHR_UDP:
        if (mode == CHR_MODE_BIND && !s->bind_service)
            address_read(node, &s->bind_host, &s->bind_service);
        else if (mode != CHR_MODE_BIND && !s->service)
            address_read(node, &s->host, &s->service);
        return 0;
    default:
        return 0;
    }
}

int chr_source_parse(ParseCtx *c, xmlNode *node, ChrSource *s)
{
    if (attr_enum_u(c, node, "type", chr_type_names, CHR_MAX, &s->type) < 0)
        return -1;
    if (!s->type)
        s->type = CHR_PTY;
    if (unsupported(s) < 0)
        return refuse_word(c, node, "type");
    for (xmlNode *n = node->children; n; n = n->next) {
        if (node_is(n, "source")) {
            if (source_read(c, n, s) < 0)
                return -1;
        } else if (node_is(n, "protocol")) {
            if (attr_enum_u(c, n, "type", tcp_protocol_names, TCP_MAX, &s->protocol) < 0)
                return -1;
        } else if (node_is(n, "log")) {
            if (!s->log_file)
                s->log_file = node_attr(n, "file");
            if (!s->log_file)
                return missing_attr(c, n, "file");
            if (attr_enum(c, n, "append", tri_onoff_names, TRI_NO + 1, &s->log_append) < 0)
                return -1;
        }
    }
    if (s->type == CHR_TCP && !s->protocol)
        s->protocol = TCP_RAW;
    return 0;
}

/* Libvirt's words for what is missing, by type; these errors come from the whole-definition check there too. */
int chr_source_validate(const ChrSource *s, Err *err)
{
    if ((s->type == CHR_UNIX || s->type == CHR_TCP) && s->mode == CHR_MODE_BIND && s->reconnect_enabled == TRI_YES)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "chardev reconnect is possible only for connect mode");
    switch (s->type) {
    case CHR_DEV:
    case CHR_PIPE:
    case CHR_FILE:
        if (!s->path || !*s->path)
            return err_set(err, VIR_ERR_XML_ERROR, "Missing source path attribute for char device of type %s",
                           chr_type_names[s->type]);
        return 0;
    case CHR_TCP:
        if (!s->host)
            return err_set(err, VIR_ERR_XML_ERROR, "Missing source host attribute for char device");
        if (!s->service)
            return err_set(err, VIR_ERR_XML_ERROR, "Missing source service attribute for char device");
        return 0;
    case CHR_UDP:
        if (!s->service)
            return err_set(err, VIR_ERR_XML_ERROR, "Missing source service attribute for char device");
        return 0;
    default:
        return 0;
    }
}

void chr_type_format(FormatCtx *c, const ChrSource *s, bool tty)
{
    xml_attr(&c->w, "type", chr_type_names[s->type]);
    if (tty && s->type == CHR_PTY && s->path && field_written(c, RUNTIME))
        xml_attr(&c->w, "tty", s->path);
}

static void reconnect_format(FormatCtx *c, const ChrSource *s)
{
    if (s->reconnect_enabled == TRI_ABSENT)
        return;
    xml_begin(&c->w, "reconnect");
    xml_attr(&c->w, "enabled", tri_yesno_names[s->reconnect_enabled]);
    if (s->reconnect_timeout.set)
        xml_attrf(&c->w, "timeout", "%" PRIu64, s->reconnect_timeout.v);
    xml_end(&c->w);
}

static void source_write(FormatCtx *c, const ChrSource *s)
{
    XmlWriter *w = &c->w;
    switch (s->type) {
    case CHR_PTY:
        if (!s->path || !field_written(c, RUNTIME))
            return;
        xml_begin(w, "source");
        xml_attr(w, "path", s->path);
        xml_end(w);
        return;
    case CHR_DEV:
    case CHR_FILE:
    case CHR_PIPE:
        if (!s->path)
            return;
        xml_begin(w, "source");
        xml_attr(w, "path", s->path);
        xml_attr(w, "append", enum_word(tri_onoff_names, TRI_NO + 1, (int)s->append));
        xml_end(w);
        return;
    case CHR_UNIX:
        if (!s->path)
            return;
        xml_begin(w, "source");
        xml_attr(w, "mode", s->mode == CHR_MODE_BIND ? "bind" : "connect");
        xml_attr(w, "path", s->path);
        reconnect_format(c, s);
        xml_end(w);
        return;
    case CHR_TCP:
        xml_begin(w, "source");
        xml_attr(w, "mode", s->mode == CHR_MODE_BIND ? "bind" : "connect");
        xml_attr(w, "host", s->host);
        xml_attr(w, "service", s->service);
        xml_attr(w, "tls", enum_word(tri_yesno_names, TRI_NO + 1, (int)s->tls));
        reconnect_format(c, s);
        xml_end(w);
        xml_begin(w, "protocol");
        xml_attr(w, "type", tcp_protocol_names[s->protocol]);
        xml_end(w);
        return;
    case CHR_UDP:
        if (s->bind_service || s->bind_host) {
            xml_begin(w, "source");
            xml_attr(w, "mode", "bind");
            xml_attr(w, "host", s->bind_host);
            xml_attr(w, "service", s->bind_service);
            xml_end(w);
        }
        if (s->service || s->host) {
            xml_begin(w, "source");
            xml_attr(w, "mode", "connect");
            xml_attr(w, "host", s->host);
            xml_attr(w, "service", s->service);
            xml_end(w);
        }
        return;
    default:
        return;
    }
}

void chr_source_format(FormatCtx *c, const ChrSource *s)
{
    source_write(c, s);
    if (s->log_file) {
        xml_begin(&c->w, "log");
        xml_attr(&c->w, "file", s->log_file);
        xml_attr(&c->w, "append", enum_word(tri_onoff_names, TRI_NO + 1, (int)s->log_append));
        xml_end(&c->w);
    }
}
