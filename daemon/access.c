/* daemon/access.c - who may do what
 *
 * Owns:    the choice of access driver; there is one, "none"
 */
#include "config.h"

#include "daemon/access.h"

bool access_sees_all_domains(const RpcConn *conn)
{
    return true;
}

bool access_domain_visible(const RpcConn *conn, const DomainView *v)
{
    return true;
}

bool access_event_visible(const RpcConn *conn, const struct DomainEvent *e)
{
    return true;
}

int access_check(Call *call, Err *err)
{
    return 0;
}
