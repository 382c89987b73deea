/* daemon/api_connect.c - opening, closing and describing the connection
 *
 * Owns:    which URIs and features this daemon answers to
 */
#include "config.h"

#define ERR_FROM VIR_FROM_RPC
#include <string.h>

#include "daemon/api.h"
#include "daemon/auth_polkit.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "qemu/caps.h"
#include "rpc/auth.h"

/* ---- open and close -------------------------------------------------------------------------------------------------------- */

/* Schemes of libvirt's secondary drivers: a modular client opens them beside qemu, and the same server answers. */
static const char *const schemes[] = {"qemu", "network", "storage", "secret", "nodedev", "interface", "nwfilter"};

#define URI_MAX 4096u /* bytes: it is kept as long as the connection */

/* The canonical URI for what the client asked, or NULL with an error that leaves the connection usable. */
static char *uri_accept(const Server *s, const char *name, Err *err)
{
    const char *want = s->privileged ? "/system" : "/session";
    if (!*name)
        return g_strdup_printf("qemu://%s", want);
    if (g_str_has_prefix(name, "qemu://") && strcmp(name + strlen("qemu://"), want) == 0) /* what nearly all say */
        return g_strdup(name);
    if (strlen(name) > URI_MAX) {
        err_set_full(err, VIR_FROM_URI, VIR_ERR_INVALID_ARG, 0, "a URI has at most %u bytes", URI_MAX);
        return NULL;
    }
    g_autoptr(GUri) uri = g_uri_parse(name, G_URI_FLAGS_NONE, NULL);
    if (!uri) {
        err_set_full(err, VIR_FROM_URI, VIR_ERR_INTERNAL_ERROR, 0, "Unable to parse URI %s", name);
        return NULL;
    }
    bool known = false;
    for (size_t i = 0; i < N_ELEMENTS(schemes); i++)
        known = known || strcmp(g_uri_get_scheme(uri), schemes[i]) == 0;
    const char *host = g_uri_get_host(uri);
    if (!known || (host && *host)) {
        err_set_full(err, VIR_FROM_NONE, VIR_ERR_NO_CONNECT, 0, "%s", name);
        err_hint(err, "this daemon serves qemu://%s", want);
        return NULL;
    }
    /* Root's clients have no session daemon: what they ask of qemu:///session comes here (libvirt-dbus --session). */
    const char *path = g_uri_get_path(uri);
    if (strcmp(path, want) != 0 && !(s->privileged && strcmp(path, "/session") == 0)) {
        err_set_full(err, VIR_FROM_NONE, VIR_ERR_INTERNAL_ERROR, 0, "unexpected %s URI path '%s', try %s://%s", g_uri_get_scheme(uri),
                     path, g_uri_get_scheme(uri), want);
        return NULL;
    }
    return g_strdup(name);
}

int api_connect_open(Call *call, const remote_connect_open_args *args, Err *err)
{
    Client *cl = call->client;
    if (cl->open)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "connection already open");
    if (!args->name)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "a connection name is required");
    char *uri = uri_accept(cl->server, *args->name, err);
    if (!uri)
        return -1;
    g_free(cl->uri);
    cl->uri = uri;
    if (args->flags & VIR_CONNECT_RO)
        rpc_conn_set_read_only(call->conn);
    cl->open = true;
    return 0;
}

int api_connect_close(Call *call, Err *err)
{
    rpc_conn_close_after_flush(call->conn, "closed by the client");
    return 0;
}

int api_auth_list(Call *call, remote_auth_list_ret *ret, Err *err)
{
    ret->types.types_val = arena_array(&call->arena, remote_auth_type, 1);
    ret->types.types_len = 1;
    ret->types.types_val[0] = (remote_auth_type)rpc_conn_auth_method(call->conn);
    if (rpc_conn_auth_method(call->conn) == RPC_AUTH_POLKIT && auth_polkit_exempt(call->conn)) {
        rpc_conn_authenticated(call->conn);
        ret->types.types_val[0] = (remote_auth_type)RPC_AUTH_NONE;
    }
    return 0;
}

/* Nothing is kept: the event tells that a daemon's own connection to a driver broke, and ours has none that could. */
int api_connect_register_close_callback(Call *call, Err *err)
{
    return 0;
}

int api_connect_unregister_close_callback(Call *call, Err *err)
{
    return 0;
}

/* ---- features -------------------------------------------------------------------------------------------------------------- */

typedef struct Feature {
    int number;
    bool supported;
} Feature;

/* Numbers not listed are answered 0, as clients probe beyond what a daemon knows. */
static const Feature features[] = {
    {8, true},   /* descriptors can be passed */
    {9, true},   /* typed parameters may be strings */
    {10, true},  /* keepalive */
    {11, true},  /* migratable flag of domain XML */
    {14, true},  /* events with callback ids */
    {15, true},  /* close callback calls */
    {16, true},  /* NETWORK_UPDATE's fields in their order */
    {3, false},  /* the five below: migration does not exist yet */
    {4, false},  {6, false}, {7, false}, {12, false}, {13, false},
};

int api_connect_supports_feature(Call *call, const remote_connect_supports_feature_args *args,
                                 remote_connect_supports_feature_ret *ret, Err *err)
{
    if (args->feature == 10)
        rpc_conn_keepalive_start(call->conn);
    else if (!call->client->open)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "connection not open");
    for (size_t i = 0; i < N_ELEMENTS(features); i++) {
        if (features[i].number == args->feature)
            ret->supported = features[i].supported;
    }
    return 0;
}

/* ---- facts ----------------------------------------------------------------------------------------------------------------- */

int api_connect_get_type(Call *call, remote_connect_get_type_ret *ret, Err *err)
{
    ret->type = arena_strdup(&call->arena, "QEMU");
    return 0;
}

int api_connect_get_lib_version(Call *call, remote_connect_get_lib_version_ret *ret, Err *err)
{
    ret->lib_ver = BERTH_LIBVIRT_VERSION;
    return 0;
}

int api_connect_get_uri(Call *call, remote_connect_get_uri_ret *ret, Err *err)
{
    ret->uri = arena_strdup(&call->arena, call->client->uri);
    return 0;
}

int api_connect_is_secure(Call *call, remote_connect_is_secure_ret *ret, Err *err)
{
    ret->secure = rpc_conn_kind(call->conn) != RPC_KIND_TCP;
    return 0;
}

/* Capabilities of the host's own emulator; a reference, or NULL with the reason. */
static QemuCaps *host_caps(Call *call, Err *err)
{
    const char *emulator = qemu_caps_emulator_for_arch("x86_64");
    if (!emulator) {
        err_set_full(err, VIR_FROM_QEMU, VIR_ERR_CONFIG_UNSUPPORTED, 0, "no QEMU binary for x86_64 is installed");
        err_hint(err, "install the package qemu-system-x86");
        return NULL;
    }
    return qemu_caps_sketch(call_server(call)->caps, emulator, deadline_in_ms(30000), err);
}

int api_connect_get_version(Call *call, remote_connect_get_version_ret *ret, Err *err)
{
    g_autoptr(QemuCaps) caps = host_caps(call, err);
    if (!caps)
        return -1;
    ret->hv_ver = qemu_caps_version(caps);
    return 0;
}
