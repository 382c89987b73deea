/* daemon/api_domain_life.c - define, start, stop, and what lies between
 *
 * Owns:    nothing; each handler hands over to domain/lifecycle.h.  Lock and job are the gate's, by the procedure's row.
 */
#include "config.h"

#include <string.h>

#include "daemon/access.h"
#include "daemon/api.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "domain/lifecycle.h"

/* ---- definitions ----------------------------------------------------------------------------------------------------------- */

static int may_have(void *call, const char *name, const uint8_t *uuid, Err *err)
{
    return access_check_late(call, name, uuid, err);
}

static bool may_know(void *call, const DomainView *other)
{
    return access_domain_known(call, other);
}

static int define(Call *call, const char *xml, unsigned flags, remote_nonnull_domain *out, Err *err)
{
    const DefinitionCheck check = {may_have, may_know, call, &call->client->gone};
    Domain *d = domain_define_checked(call_domains(call), xml, flags, &check, err);
    if (!d)
        return -1;
    wire_domain_of(&call->arena, out, d);
    object_unref(d);
    return 0;
}

int api_domain_define_xml(Call *call, const remote_domain_define_xml_args *args, remote_domain_define_xml_ret *ret, Err *err)
{
    return define(call, args->xml, 0, &ret->dom, err);
}

int api_domain_define_xml_flags(Call *call, const remote_domain_define_xml_flags_args *args,
                                remote_domain_define_xml_flags_ret *ret, Err *err)
{
    return define(call, args->xml, args->flags, &ret->dom, err);
}

int api_domain_undefine(Call *call, Domain *dom, const remote_domain_undefine_args *args, Err *err)
{
    return domain_undefine(dom, 0, err);
}

int api_domain_undefine_flags(Call *call, Domain *dom, const remote_domain_undefine_flags_args *args, Err *err)
{
    return domain_undefine(dom, args->flags, err);
}

int api_domain_rename(Call *call, Domain *dom, const remote_domain_rename_args *args, remote_domain_rename_ret *ret, Err *err)
{
    if (!args->new_name)
        return err_set(err, VIR_ERR_INVALID_ARG, "new_name must not be NULL");
    return domain_rename(dom, *args->new_name, err);
}

int api_domain_set_autostart(Call *call, Domain *dom, const remote_domain_set_autostart_args *args, Err *err)
{
    return domain_set_autostart(dom, args->autostart != 0, err);
}

int api_domain_set_metadata(Call *call, Domain *dom, const remote_domain_set_metadata_args *args, Err *err)
{
    return domain_set_metadata(dom, args->type, args->metadata ? *args->metadata : NULL, args->key ? *args->key : NULL,
                               args->uri ? *args->uri : NULL, args->flags, err);
}

/* ---- start ----------------------------------------------------------------------------------------------------------------- */

/* A client that went while its call waited was told to the driver before the machine was marked as its own: tell again.  One that goes
 * from here on is told by gate_closed(). */
static void check_owner(const Call *call, unsigned flags)
{
    if ((flags & VIR_DOMAIN_START_AUTODESTROY) && !rpc_conn_is_alive(call->conn))
        domain_autodestroy(call_domains(call), rpc_conn_id(call->conn));
}

int api_domain_create(Call *call, Domain *dom, const remote_domain_create_args *args, Err *err)
{
    return domain_start(dom, 0, rpc_conn_id(call->conn), err);
}

int api_domain_create_with_flags(Call *call, Domain *dom, const remote_domain_create_with_flags_args *args,
                                 remote_domain_create_with_flags_ret *ret, Err *err)
{
    if (domain_start(dom, args->flags, rpc_conn_id(call->conn), err) < 0)
        return -1;
    check_owner(call, args->flags);
    ret->dom.name = arena_strdup(&call->arena, dom->name);
    memcpy(ret->dom.uuid, dom->obj.uuid, UUID_LEN);
    ret->dom.id = dom->id;
    return 0;
}

int api_domain_create_xml(Call *call, const remote_domain_create_xml_args *args, remote_domain_create_xml_ret *ret, Err *err)
{
    const DefinitionCheck check = {may_have, may_know, call, NULL};
    Domain *d = domain_create_xml_checked(call_domains(call), args->xml_desc, args->flags, rpc_conn_id(call->conn), &check, err);
    if (!d)
        return -1;
    check_owner(call, args->flags);
    wire_domain_of(&call->arena, &ret->dom, d);
    object_unref(d);
    return 0;
}

/* ---- stop ------------------------------------------------------------------------------------------------------------------ */

int api_domain_destroy(Call *call, Domain *dom, const remote_domain_destroy_args *args, Err *err)
{
    return domain_destroy(dom, 0, err);
}

int api_domain_destroy_flags(Call *call, Domain *dom, const remote_domain_destroy_flags_args *args, Err *err)
{
    return domain_destroy(dom, args->flags, err);
}

int api_domain_shutdown(Call *call, Domain *dom, const remote_domain_shutdown_args *args, Err *err)
{
    return domain_shutdown(dom, 0, err);
}

int api_domain_shutdown_flags(Call *call, Domain *dom, const remote_domain_shutdown_flags_args *args, Err *err)
{
    return domain_shutdown(dom, args->flags, err);
}

int api_domain_reboot(Call *call, Domain *dom, const remote_domain_reboot_args *args, Err *err)
{
    return domain_reboot(dom, args->flags, err);
}

int api_domain_reset(Call *call, Domain *dom, const remote_domain_reset_args *args, Err *err)
{
    return domain_reset(dom, err);
}

int api_domain_suspend(Call *call, Domain *dom, const remote_domain_suspend_args *args, Err *err)
{
    return domain_suspend(dom, err);
}

int api_domain_resume(Call *call, Domain *dom, const remote_domain_resume_args *args, Err *err)
{
    return domain_resume(dom, err);
}

int api_domain_inject_nmi(Call *call, Domain *dom, const remote_domain_inject_nmi_args *args, Err *err)
{
    return domain_inject_nmi(dom, err);
}

int api_domain_pm_wakeup(Call *call, Domain *dom, const remote_domain_pm_wakeup_args *args, Err *err)
{
    return domain_wakeup(dom, err);
}
