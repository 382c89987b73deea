/* daemon/api_domain_list.c - lists and look-ups of machines
 *
 * Owns:    nothing; answers from views and the registry, never from a busy machine
 */
#include "config.h"

#include "daemon/api.h"
#include "daemon/domain_filter.h"
#include "daemon/wire.h"
#include "api_enums.h"

#define ACTIVE VIR_CONNECT_LIST_DOMAINS_ACTIVE
#define INACTIVE VIR_CONNECT_LIST_DOMAINS_INACTIVE

int api_connect_list_all_domains(Call *call, const remote_connect_list_all_domains_args *args,
                                 remote_connect_list_all_domains_ret *ret, Err *err)
{
    g_autoptr(GPtrArray) views = domain_filter_list(call, args->flags);
    if (views->len > REMOTE_DOMAIN_LIST_MAX)
        return err_set(err, VIR_ERR_RPC, "too many domains for one reply: %u, at most %d", views->len, REMOTE_DOMAIN_LIST_MAX);
    ret->ret = views->len;
    if (!args->need_results)
        return 0;
    ret->domains.domains_val = arena_array(&call->arena, remote_nonnull_domain, views->len);
    ret->domains.domains_len = views->len;
    for (unsigned i = 0; i < views->len; i++)
        wire_domain(&call->arena, &ret->domains.domains_val[i], views->pdata[i]);
    return 0;
}

int api_connect_num_of_domains(Call *call, remote_connect_num_of_domains_ret *ret, Err *err)
{
    g_autoptr(GPtrArray) views = domain_filter_list(call, ACTIVE);
    ret->num = (int)views->len;
    return 0;
}

int api_connect_num_of_defined_domains(Call *call, remote_connect_num_of_defined_domains_ret *ret, Err *err)
{
    g_autoptr(GPtrArray) views = domain_filter_list(call, INACTIVE);
    ret->num = (int)views->len;
    return 0;
}

/* The bound of a maxnames argument: refused outside, as stock daemons do. */
static int check_max(int max, int bound, const char *what, Err *err)
{
    if (max < 0 || max > bound)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_RPC, 0, "%s %d is not between 0 and %d", what, max, bound);
    return 0;
}

int api_connect_list_domains(Call *call, const remote_connect_list_domains_args *args, remote_connect_list_domains_ret *ret,
                             Err *err)
{
    if (check_max(args->maxids, REMOTE_DOMAIN_LIST_MAX, "maxids", err) < 0)
        return -1;
    g_autoptr(GPtrArray) views = domain_filter_list(call, ACTIVE);
    unsigned n = MIN(views->len, (unsigned)args->maxids);
    ret->ids.ids_val = arena_array(&call->arena, int, n);
    ret->ids.ids_len = n;
    for (unsigned i = 0; i < n; i++)
        ret->ids.ids_val[i] = ((DomainView *)views->pdata[i])->id;
    return 0;
}

int api_connect_list_defined_domains(Call *call, const remote_connect_list_defined_domains_args *args,
                                     remote_connect_list_defined_domains_ret *ret, Err *err)
{
    if (check_max(args->maxnames, REMOTE_DOMAIN_LIST_MAX, "maxnames", err) < 0)
        return -1;
    g_autoptr(GPtrArray) views = domain_filter_list(call, INACTIVE);
    unsigned n = MIN(views->len, (unsigned)args->maxnames);
    ret->names.names_val = arena_array(&call->arena, remote_nonnull_string, n);
    ret->names.names_len = n;
    for (unsigned i = 0; i < n; i++)
        ret->names.names_val[i] = arena_strdup(&call->arena, ((DomainView *)views->pdata[i])->name);
    return 0;
}

/* Answers with the machine found, or passes the look-up's error on.  Gives the reference back. */
static int answer(Call *call, Domain *found, remote_nonnull_domain *out)
{
    if (!found)
        return -1;
    wire_domain_of(&call->arena, out, found);
    object_unref(found);
    return 0;
}

int api_domain_lookup_by_id(Call *call, const remote_domain_lookup_by_id_args *args, remote_domain_lookup_by_id_ret *ret,
                            Err *err)
{
    return answer(call, domain_by_id(call_domains(call), args->id, err), &ret->dom);
}

int api_domain_lookup_by_name(Call *call, const remote_domain_lookup_by_name_args *args, remote_domain_lookup_by_name_ret *ret,
                              Err *err)
{
    return answer(call, domain_by_name(call_domains(call), args->name, err), &ret->dom);
}

int api_domain_lookup_by_uuid(Call *call, const remote_domain_lookup_by_uuid_args *args, remote_domain_lookup_by_uuid_ret *ret,
                              Err *err)
{
    return answer(call, domain_by_uuid(call_domains(call), (const uint8_t *)args->uuid, NULL, err), &ret->dom);
}
