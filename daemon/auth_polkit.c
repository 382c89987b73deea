/* daemon/auth_polkit.c - who comes in by polkit
 *
 * Owns:    the question of AUTH_POLKIT, one at a time and connection
 * Threads: the client event thread
 * Errors:  from VIR_FROM_POLKIT, with the codes stock clients act on: UNAVAILABLE makes virsh start an agent and try again, CANCELLED tells
 *          its user that he declined, FAILED is final
 */
#include "config.h"

#define ERR_FROM VIR_FROM_POLKIT
#define LOG_AREA "daemon.auth"
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/access.h"
#include "daemon/api.h"
#include "daemon/auth_polkit.h"
#include "daemon/polkit_check.h"
#include "rpc/auth.h"
#include "rpc/server.h"
#include "util/log.h"

#define ASK_MS 55000u /* a user may type a password meanwhile; less than what a connection has to authenticate as a rule */

bool auth_polkit_exempt(const RpcConn *conn)
{
    const RpcPeer *p = rpc_conn_peer(conn);
    return p->has_creds && (p->uid == 0 || p->uid == geteuid());
}

/* The group of the socket the client came by. */
static bool by_group(const RpcConn *conn, gid_t *ret_gid)
{
    struct stat sb;
    if (stat(rpc_listener_name(rpc_conn_listener(conn)), &sb) < 0 || !S_ISSOCK(sb.st_mode))
        return false;
    *ret_gid = sb.st_gid;
    return rpc_peer_in_group(rpc_conn_peer(conn), sb.st_gid);
}

/* There is no polkit. */
static int fall_back(const Call *call, const char *why, Err *err)
{
    gid_t gid = (gid_t)-1;
    bool in = by_group(call->conn, &gid);
    log_warning("%s: polkit is not there (%s); it %s a member of the socket's group %d%s", rpc_conn_name(call->conn), why,
                in ? "is" : "is not", (int)gid, in ? " and gets in by that" : "");
    if (in)
        return 0;
    err_set(err, VIR_ERR_AUTH_FAILED, "polkit is not there (%s), and the caller is not in the socket's group", why);
    return err_hint(err, "start dbus and polkit, or set auth_unix_rw and auth_unix_ro to \"none\"");
}

static int judge(const Call *call, const char *action, PolkitAnswer answer, const char *why, Err *err)
{
    switch (answer) {
    case POLKIT_YES:
        return 0;
    case POLKIT_NO:
        return err_set(err, VIR_ERR_AUTH_FAILED, "polkit refuses %s", action);
    case POLKIT_CHALLENGE:
        err_set(err, VIR_ERR_AUTH_UNAVAILABLE, "no polkit agent is there to authenticate for %s", action);
        return err_hint(err, "start one in the session, pkttyagent for a terminal");
    case POLKIT_DISMISSED:
        return err_set(err, VIR_ERR_AUTH_CANCELLED, "the user declined to authenticate for %s", action);
    case POLKIT_ABSENT:
        return fall_back(call, why, err);
    case POLKIT_FAILED:
        break;
    }
    return err_set(err, VIR_ERR_AUTH_FAILED, "polkit gave no answer about %s: %s", action, why);
}

static const char *action_of(const Call *call)
{
    return rpc_conn_read_only(call->conn) ? "org.libvirt.unix.monitor" : "org.libvirt.unix.manage";
}

static int refused(Call *call)
{
    rpc_conn_close_after_flush(call->conn, "polkit does not let it in");
    return -1;
}

static void answered(void *ud, PolkitAnswer answer, const char *why)
{
    Call *call = ud;
    call->client->auth_ask = NULL;
    call->login = action_of(call);
    if (judge(call, action_of(call), answer, why, &call->err) < 0)
        refused(call);
    else
        log_info("%s: %s", rpc_conn_name(call->conn), answer == POLKIT_YES ? "authenticated by polkit" : "in by the socket's group");
    call->then(call);
}

int auth_polkit_check(Call *call, void (*then)(Call *call), Err *err)
{
    PolkitSubject who;
    const char *why = NULL;
    if (rpc_conn_auth_method(call->conn) != RPC_AUTH_POLKIT || rpc_conn_is_authenticated(call->conn)) {
        err_set(err, VIR_ERR_AUTH_FAILED, "polkit is not what this connection is to authenticate by now");
        return rpc_conn_is_authenticated(call->conn) ? -1 : refused(call); /* a stranger does not fill the log by asking again and again */
    }
    if (call->client->auth_ask) {
        err_set(err, VIR_ERR_AUTH_FAILED, "polkit is being asked about this connection already");
        return refused(call);
    }
    if (auth_polkit_exempt(call->conn))
        return 0;
    if (!polkit_subject(call->conn, &who, &why)) {
        err_set(err, VIR_ERR_AUTH_FAILED, "%s", why);
        return refused(call);
    }
    call->then = then;
    call->client->auth_ask = polkit_ask(call_server(call)->polkit, &who, action_of(call), NULL, 0, true, deadline_in_ms(ASK_MS), answered, call);
    return 1;
}

void auth_polkit_gone(Client *cl)
{
    if (cl->auth_ask)
        polkit_cancel(cl->auth_ask);
}

/* The gate has asked. */
int api_auth_polkit(Call *call, remote_auth_polkit_ret *ret, Err *err)
{
    ret->complete = 1;
    rpc_conn_authenticated(call->conn);
    return 0;
}
