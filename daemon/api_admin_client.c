/* daemon/api_admin_client.c - one client of a server: who it is, and its end
 *
 * Owns:    nothing; the identity is the connection's
 * Threads: as the rows say; names of accounts are looked up on a worker, for the database may be far away
 */
#include "config.h"

#define ERR_FROM VIR_FROM_ADMIN
#include <grp.h>
#include <pwd.h>

#include "api_strings.h"
#include "daemon/admin.h"

#define NAMES_MAX 16384 /* bytes of one entry of the account database */
#define GROUPS_SHOWN_MAX 1024u

/* Two of our own, which virt-admin shows as it shows all. */
#define INFO_PROCESS_START "unix_process_start" /* clock ticks since boot: field 22 of /proc/PID/stat */
#define INFO_GROUPS "unix_groups"               /* supplementary, when it connected */

/* An account that has no name any more is shown by its number alone. */
static const char *user_name(uid_t uid, char *buf)
{
    struct passwd pw, *found = NULL;
    return getpwuid_r(uid, &pw, buf, NAMES_MAX, &found) == 0 && found ? found->pw_name : NULL;
}

static const char *group_name(gid_t gid, char *buf)
{
    struct group gr, *found = NULL;
    return getgrgid_r(gid, &gr, buf, NAMES_MAX, &found) == 0 && found ? found->gr_name : NULL;
}

int api_admin_client_get_info(AdminCall *call, const admin_client_get_info_args *args, admin_client_get_info_ret *ret, Err *err)
{
    const RpcPeer *peer = rpc_conn_peer(call->client);
    char buf[NAMES_MAX];
    Params p;
    params_init(&p, &call->arena);
    params_bool(&p, rpc_conn_read_only(call->client), VIR_CLIENT_INFO_READONLY);
    if (rpc_conn_is_authenticated(call->client)) {
        params_string(&p, peer->sasl_user, VIR_CLIENT_INFO_SASL_USER_NAME);
        params_string(&p, peer->x509_dname, VIR_CLIENT_INFO_X509_DISTINGUISHED_NAME);
    }
    params_string(&p, peer->address, VIR_CLIENT_INFO_SOCKET_ADDR);
    if (peer->has_creds) {
        params_int(&p, (int32_t)peer->uid, VIR_CLIENT_INFO_UNIX_USER_ID);
        params_string(&p, user_name(peer->uid, buf), VIR_CLIENT_INFO_UNIX_USER_NAME);
        params_int(&p, (int32_t)peer->gid, VIR_CLIENT_INFO_UNIX_GROUP_ID);
        params_string(&p, group_name(peer->gid, buf), VIR_CLIENT_INFO_UNIX_GROUP_NAME);
        params_int(&p, (int32_t)peer->pid, VIR_CLIENT_INFO_UNIX_PROCESS_ID);
        if (rpc_peer_start(peer))
            params_ullong(&p, rpc_peer_start(peer), "%s", INFO_PROCESS_START);
        if (peer->n_groups) {
            g_autofree char *groups = rpc_peer_groups_text(peer, GROUPS_SHOWN_MAX);
            params_string(&p, groups, "%s", INFO_GROUPS);
        }
        params_string(&p, peer->selinux, VIR_CLIENT_INFO_SELINUX_CONTEXT);
    }
    ret->params.params_val = admin_params(&p, &ret->params.params_len);
    return 0;
}

int api_admin_client_close(AdminCall *call, const admin_client_close_args *args, Err *err)
{
    rpc_conn_close(call->client, "disconnected by %s", rpc_conn_name(call->conn));
    return 0;
}
