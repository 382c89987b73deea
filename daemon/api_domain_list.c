/* daemon/api_domain_list.c - lists and look-ups of machines
 *
 * Owns:    nothing; answers from views and the registry, never from a busy machine
 */
#include "config.h"

#include "daemon/access.h"
#include "daemon/api.h"
#include "daemon/domain_filter.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "domain/roster.h"

#define ACTIVE VIR_CONNECT_LIST_DOMAINS_ACTIVE
#define INACTIVE VIR_CONNECT_LIST_DOMAINS_INACTIVE

/* The body of a reply with these machines.  It may have 16,384 of them and is asked for again and again, so it is written without
 * structs in between. */
static GBytes *encode_list(const GPtrArray *views)
{
    GByteArray *b = g_byte_array_sized_new(8 + views->len * 48);
    wire_put_u32(b, views->len);
    for (unsigned i = 0; i < views->len; i++)
        wire_put_domain(b, views->pdata[i]);
    wire_put_u32(b, views->len);
    return g_byte_array_free_to_bytes(b);
}

int api_connect_list_all_domains(Call *call, const remote_connect_list_all_domains_args *args,
                                 remote_connect_list_all_domains_ret *ret, Err *err)
{
    bool all = !args->flags && access_sees_all_domains(call);
    g_autoptr(DomainRoster) roster = all ? domain_roster(call_domains(call)) : NULL;
    g_autoptr(GPtrArray) views = all ? g_ptr_array_ref(roster->views) : domain_filter_list(call, args->flags);
    if (views->len > REMOTE_DOMAIN_LIST_MAX)
        return err_set(err, VIR_ERR_RPC, "too many domains for one reply: %u, at most %d", views->len, REMOTE_DOMAIN_LIST_MAX);
    ret->ret = views->len;
    if (args->need_results)
        call->body = all ? domain_roster_encoded(roster, encode_list) : encode_list(views);
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

/* The gate has found the machine by the row's key and checked that the caller may see it. */
int api_domain_lookup_by_id(Call *call, Domain *dom, const remote_domain_lookup_by_id_args *args,
                            remote_domain_lookup_by_id_ret *ret, Err *err)
{
    wire_domain_of(&call->arena, &ret->dom, dom);
    return 0;
}

int api_domain_lookup_by_name(Call *call, Domain *dom, const remote_domain_lookup_by_name_args *args,
                              remote_domain_lookup_by_name_ret *ret, Err *err)
{
    wire_domain_of(&call->arena, &ret->dom, dom);
    return 0;
}

int api_domain_lookup_by_uuid(Call *call, Domain *dom, const remote_domain_lookup_by_uuid_args *args,
                              remote_domain_lookup_by_uuid_ret *ret, Err *err)
{
    wire_domain_of(&call->arena, &ret->dom, dom);
    return 0;
}
