/* model/dev_net.c - <interface>
 *
 * Owns:    the rows of network cards; <source> and <mac> by hand, because they depend on the type
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR; other types than user, ethernet, bridge, network: VIR_ERR_CONFIG_UNSUPPORTED
 */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_XML
#include "model/complete.h"
#include "model/field.h"

/* ---- <mac> ----------------------------------------------------------------------------------------------------------------- */

static bool mac_read(const char *text, uint8_t mac[6])
{
    for (int i = 0; i < 6; i++) {
        int hi = g_ascii_xdigit_value(text[0]);
        if (hi < 0)
            return false;
        int lo = g_ascii_xdigit_value(text[1]);
        text += lo < 0 ? 1 : 2;
        mac[i] = (uint8_t)(lo < 0 ? hi : hi << 4 | lo);
        if (i < 5 && *text++ != ':')
            return false;
    }
    return !*text;
}

static int mac_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    NetDef *net = base;
    g_autofree char *text = node_attr(node, "address");
    if (attr_enum(c, node, "type", mac_type_names, MAC_TYPE_MAX, &net->mac_type) < 0)
        return -1;
    if (!text)
        return 0;
    if (!mac_read(text, net->mac))
        return bad_value(c, node, "address", text, "six bytes such as 52:54:00:12:34:56");
    if (net->mac[0] & 1)
        return bad_value(c, node, "address", text, "a unicast address (even first byte)");
    net->mac_given = true;
    return 0;
}

static void mac_format(FormatCtx *c, const void *base, const Field *f)
{
    const NetDef *net = base;
    xml_begin(&c->w, "mac");
    xml_attrf(&c->w, "address", "%02x:%02x:%02x:%02x:%02x:%02x", net->mac[0], net->mac[1], net->mac[2], net->mac[3],
              net->mac[4], net->mac[5]);
    xml_attr(&c->w, "type", enum_word(mac_type_names, MAC_TYPE_MAX, (int)net->mac_type));
    xml_end(&c->w);
}
static const Field mac_table_fields[] = {IGNORE("@address"), IGNORE("@type"), REFUSE("@check")};
GROUP_TABLE(mac_table, "mac");
static const FieldHooks mac_hooks = {mac_parse, mac_format};

/* ---- <source> -------------------------------------------------------------------------------------------------------------- */

static const Field source_table_fields[] = {
    IGNORE("@bridge"),  IGNORE("@network"), IGNORE("@dev"),    IGNORE("@portgroup"), IGNORE("@portid"), REFUSE("@mode"),
    REFUSE("@type"),    REFUSE("@path"),    REFUSE("@address"), REFUSE("@port"),     REFUSE("@name"),   REFUSE("@managed"),
    REFUSE("@startMode"), REFUSE("local"),  REFUSE("address"), REFUSE("reconnect"),  REFUSE("ip"),      REFUSE("route"),
};
GROUP_TABLE(source_table, "source");

static bool type_is_done(NetType type)
{
    return type == NET_USER || type == NET_ETHERNET || type == NET_BRIDGE || type == NET_NETWORK;
}

static int source_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    NetDef *net = base;
    if (net->type && !type_is_done(net->type)) /* before what such a source has is refused one by one */
        return refuse_word(c, node->parent, "type");
    if (table_parse(c, &source_table, node, base) < 0)
        return -1;
    switch (net->type) {
    case NET_BRIDGE:
        net->source = node_attr(node, "bridge");
        break;
    case NET_NETWORK:
        net->source = node_attr(node, "network");
        net->portgroup = node_attr(node, "portgroup");
        break;
    case NET_USER:
        net->source = node_attr(node, "dev");
        break;
    default:
        break;
    }
    return 0;
}

static void source_format(FormatCtx *c, const void *base, const Field *f)
{
    const NetDef *net = base;
    if (!net->source)
        return;
    xml_begin(&c->w, "source");
    xml_attr(&c->w, net->type == NET_BRIDGE ? "bridge" : net->type == NET_NETWORK ? "network" : "dev", net->source);
    xml_attr(&c->w, "portgroup", net->portgroup);
    xml_end(&c->w);
}
static const FieldHooks source_hooks = {source_parse, source_format};

/* ---- tables ---------------------------------------------------------------------------------------------------------------- */

static const Field script_table_fields[] = {A_STR("path", NetDef, script, REQUIRED | NO_START)};
GROUP_TABLE(script_table, "script");
static const Field downscript_table_fields[] = {A_STR("path", NetDef, downscript, REQUIRED | NO_START)};
GROUP_TABLE(downscript_table, "downscript");
static const Field target_table_fields[] = {
    A_STR("dev", NetDef, ifname, LIVE),
    A_YESNO("managed", NetDef, target_managed, LIVE),
};
GROUP_TABLE(target_table, "target");
static const Field guest_table_fields[] = {A_STR("dev", NetDef, guest_ifname, 0), REFUSE("@actual")};
GROUP_TABLE(guest_table, "guest");
static const Field model_table_fields[] = {A_STR("type", NetDef, model, ABI)};
GROUP_TABLE(model_table, "model");
static const Field driver_table_fields[] = {
    A_ENUM("name", NetDef, driver_name, net_backend_driver_names, NET_DRIVER_MAX, 0),
    A_ENUM("txmode", NetDef, txmode, net_tx_mode_names, NET_TXMODE_MAX, 0),
    A_ONOFF("ioeventfd", NetDef, ioeventfd, 0),
    A_ONOFF("event_idx", NetDef, event_idx, ABI),
    A_OPT("queues", NetDef, queues, ABI, UINT32_MAX),
    A_OPT("rx_queue_size", NetDef, rx_queue_size, ABI, UINT32_MAX),
    A_OPT("tx_queue_size", NetDef, tx_queue_size, ABI, UINT32_MAX),
    REFUSE("@rss"),
    REFUSE("@rss_hash_report"),
    REFUSE("@iommu"),
    REFUSE("@ats"),
    REFUSE("@packed"),
    REFUSE("@page_per_vq"),
    REFUSE("host"),
    REFUSE("guest"),
};
GROUP_TABLE(driver_table, "driver");
static const Field filterref_table_fields[] = {A_STR("filter", NetDef, filter, REQUIRED | NO_START), REFUSE("parameter")};
GROUP_TABLE(filterref_table, "filterref");
static const Field tune_table_fields[] = {L_OPT("sndbuf", NetDef, sndbuf, 0)};
GROUP_TABLE(tune_table, "tune");
static const Field link_table_fields[] = {
    A_ENUM("state", NetDef, link, net_link_state_names, NET_LINK_MAX, REQUIRED | NOT_DEFAULT | LIVE | UNSUPPORTED),
};
GROUP_TABLE(link_table, "link");
static const Field mtu_table_fields[] = {A_OPT("size", NetDef, mtu, REQUIRED | ABI, UINT32_MAX)};
GROUP_TABLE(mtu_table, "mtu");
static const Field port_table_fields[] = {A_YESNO("isolated", NetDef, port_isolated, LIVE | NO_START)};
GROUP_TABLE(port_table, "port");
static const Field ip_table_fields[] = {
    A_STR("address", NetIpDef, address, REQUIRED),
    A_STR("family", NetIpDef, family, 0),
    A_OPT("prefix", NetIpDef, prefix, 0, 128),
    REFUSE("@peer"),
};

static int ip_finish(ParseCtx *c, xmlNode *node, void *base)
{
    NetIpDef *ip = base;
    if (!ip->family)
        ip->family = g_strdup(strchr(ip->address, ':') ? "ipv6" : "ipv4");
    if (strcmp(ip->family, "ipv4") != 0 && strcmp(ip->family, "ipv6") != 0)
        return bad_value(c, node, "family", ip->family, "ipv4, ipv6");
    bool v6 = strcmp(ip->family, "ipv6") == 0;
    struct in6_addr address;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, ip->address, &address) != 1)
        return bad_value(c, node, "address", ip->address, v6 ? "an IPv6 address" : "an IPv4 address");
    if (!v6 && ip->prefix.set && ip->prefix.v > 32) {
        g_autofree char *prefix = node_attr(node, "prefix");
        return bad_value(c, node, "prefix", prefix, "0 to 32");
    }
    return 0;
}
static TABLE(ip_table, "ip", NetIpDef, .finish = ip_finish);

static const Field net_table_fields[] = {
    A_ENUM("type", NetDef, type, net_type_names, NET_MAX, ABI),
    REFUSE("@managed"),
    A_YESNO("trustGuestRxFilters", NetDef, trust_guest_rx_filters, LIVE | NO_START),
    CUSTOM("mac", mac_hooks, &mac_table, ABI | CHECKED),
    CUSTOM("source", source_hooks, &source_table, LIVE),
    GROUP("port", port_table, 0),
    REFUSE("virtualport"),
    REFUSE("vlan"),
    REFUSE("bandwidth"),
    LIST("ip", NetDef, ips, ip_table, 0),
    REFUSE("route"),
    GROUP("script", script_table, 0),
    GROUP("downscript", downscript_table, 0),
    REFUSE("backenddomain"),
    GROUP("target", target_table, 0),
    GROUP("guest", guest_table, 0),
    GROUP("model", model_table, 0),
    GROUP("driver", driver_table, 0),
    REFUSE("backend"),
    REFUSE("portForward"),
    GROUP("filterref", filterref_table, 0),
    GROUP("tune", tune_table, 0),
    GROUP("link", link_table, 0),
    GROUP("mtu", mtu_table, 0),
    REFUSE("coalesce"),
    REFUSE("teaming"),
    INFO_BOOT,
    INFO_HEAD,
    INFO_ROM,
    INFO_TAIL,
    M_BYTES("mac/@address", NetDef, mac, ABI),
    {.name = "mac/@type", .at = AT_MEMORY, .type = T_ENUM, .off = offsetof(NetDef, mac_type), .flags = 0},
    M_STR("source/@name", NetDef, source, LIVE),
    M_STR("source/@portgroup", NetDef, portgroup, LIVE),
    M_STR("source/@mode", NetDef, network_mode, 0),
};

static void net_init(void *base)
{
    ((NetDef *)base)->ips = g_ptr_array_new();
}

void net_drop_generated(NetDef *net)
{
    if (net->ifname && (g_str_has_prefix(net->ifname, "vnet") || g_str_has_prefix(net->ifname, "vif")) &&
        net->target_managed != TRI_NO)
        g_clear_pointer(&net->ifname, g_free);
}

static int net_finish(ParseCtx *c, xmlNode *node, void *base)
{
    NetDef *net = base;
    xmlNode *source = node_child(node, "source");
    if (!net->type)
        net->type = NET_USER;
    if (!type_is_done(net->type))
        return refuse_word(c, node, "type");
    if ((net->type == NET_BRIDGE || net->type == NET_NETWORK) && !net->source) {
        const char *attr = net->type == NET_BRIDGE ? "bridge" : "network";
        return missing_attr(c, source ? source : node, source ? attr : "source");
    }
    if ((c->flags & PARSE_INACTIVE) && !(c->flags & PARSE_STATUS))
        net_drop_generated(net);
    return 0;
}

TABLE(net_table, "interface", NetDef, .init = net_init, .finish = net_finish);
