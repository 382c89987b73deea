/* daemon/api_domain_snapshot.c - snapshots: asked about in the view, changed in domain/snapshot.h
 *
 * Owns:    nothing.  Lock and job are the gate's, by the procedure's row; readers take neither.
 */
#include "config.h"

#include "daemon/api.h"
#include "daemon/wire.h"
#include "domain/snapshot.h"
#include "api_enums.h"

static void wire_snapshot(Arena *a, remote_nonnull_domain_snapshot *out, const DomainView *v, const char *name)
{
    wire_domain(a, &out->dom, v);
    out->name = arena_strdup(a, name);
}

/* The snapshot a call is about, in the list of the view.  NULL with Err. */
static const SnapshotDef *find(const DomainView *v, const remote_nonnull_domain_snapshot *ref, Err *err)
{
    return snapshot_list_get(v->snapshots, ref->name, err);
}

/* ---- lists ----------------------------------------------------------------------------------------------------------------- */

/* `from` NULL: of all.  Borrowed from the view.  NULL with Err. */
static GPtrArray *select_of(const DomainView *v, const remote_nonnull_domain_snapshot *from, unsigned flags, Err *err)
{
    const SnapshotDef *s = from ? find(v, from, err) : NULL;
    return from && !s ? NULL : snapshot_list_select(v->snapshots, s, flags);
}

static int names_of(Call *call, Domain *dom, const remote_nonnull_domain_snapshot *from, unsigned flags, int max, remote_nonnull_string **ret,
                    u_int *ret_n, Err *err)
{
    if (max < 0 || max > REMOTE_DOMAIN_SNAPSHOT_LIST_MAX)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_RPC, 0, "maxnames %d is not between 0 and %d", max,
                            REMOTE_DOMAIN_SNAPSHOT_LIST_MAX);
    g_autoptr(DomainView) v = domain_view(dom);
    g_autoptr(GPtrArray) list = select_of(v, from, flags, err);
    if (!list)
        return -1;
    *ret_n = MIN(list->len, (unsigned)max);
    *ret = arena_array(&call->arena, remote_nonnull_string, *ret_n);
    for (unsigned i = 0; i < *ret_n; i++)
        (*ret)[i] = arena_strdup(&call->arena, ((const SnapshotDef *)list->pdata[i])->name);
    return 0;
}

/* `wanted` false: the number alone. */
static int all_of(Call *call, Domain *dom, const remote_nonnull_domain_snapshot *from, unsigned flags, bool wanted,
                  remote_nonnull_domain_snapshot **ret, u_int *ret_n, int *ret_count, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    g_autoptr(GPtrArray) list = select_of(v, from, flags, err);
    if (!list)
        return -1;
    *ret_count = (int)list->len;
    if (!wanted)
        return 0;
    *ret_n = list->len;
    *ret = arena_array(&call->arena, remote_nonnull_domain_snapshot, list->len);
    for (unsigned i = 0; i < list->len; i++)
        wire_snapshot(&call->arena, &(*ret)[i], v, ((const SnapshotDef *)list->pdata[i])->name);
    return 0;
}

int api_domain_snapshot_num(Call *call, Domain *dom, const remote_domain_snapshot_num_args *args, remote_domain_snapshot_num_ret *ret,
                            Err *err)
{
    return all_of(call, dom, NULL, args->flags, false, NULL, NULL, &ret->num, err);
}

int api_domain_snapshot_list_names(Call *call, Domain *dom, const remote_domain_snapshot_list_names_args *args,
                                   remote_domain_snapshot_list_names_ret *ret, Err *err)
{
    return names_of(call, dom, NULL, args->flags, args->maxnames, &ret->names.names_val, &ret->names.names_len, err);
}

int api_domain_list_all_snapshots(Call *call, Domain *dom, const remote_domain_list_all_snapshots_args *args,
                                  remote_domain_list_all_snapshots_ret *ret, Err *err)
{
    return all_of(call, dom, NULL, args->flags, args->need_results, &ret->snapshots.snapshots_val, &ret->snapshots.snapshots_len,
                  &ret->ret, err);
}

int api_domain_snapshot_num_children(Call *call, Domain *dom, const remote_domain_snapshot_num_children_args *args,
                                     remote_domain_snapshot_num_children_ret *ret, Err *err)
{
    return all_of(call, dom, &args->snap, args->flags, false, NULL, NULL, &ret->num, err);
}

int api_domain_snapshot_list_children_names(Call *call, Domain *dom, const remote_domain_snapshot_list_children_names_args *args,
                                            remote_domain_snapshot_list_children_names_ret *ret, Err *err)
{
    return names_of(call, dom, &args->snap, args->flags, args->maxnames, &ret->names.names_val, &ret->names.names_len, err);
}

int api_domain_snapshot_list_all_children(Call *call, Domain *dom, const remote_domain_snapshot_list_all_children_args *args,
                                          remote_domain_snapshot_list_all_children_ret *ret, Err *err)
{
    return all_of(call, dom, &args->snapshot, args->flags, args->need_results, &ret->snapshots.snapshots_val,
                  &ret->snapshots.snapshots_len, &ret->ret, err);
}

/* ---- one ------------------------------------------------------------------------------------------------------------------- */

int api_domain_snapshot_lookup_by_name(Call *call, Domain *dom, const remote_domain_snapshot_lookup_by_name_args *args,
                                       remote_domain_snapshot_lookup_by_name_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    if (!snapshot_list_get(v->snapshots, args->name, err))
        return -1;
    wire_snapshot(&call->arena, &ret->snap, v, args->name);
    return 0;
}

int api_domain_has_current_snapshot(Call *call, Domain *dom, const remote_domain_has_current_snapshot_args *args,
                                    remote_domain_has_current_snapshot_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    ret->result = v->snapshots && v->snapshots->current;
    return 0;
}

int api_domain_snapshot_current(Call *call, Domain *dom, const remote_domain_snapshot_current_args *args,
                                remote_domain_snapshot_current_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    if (!v->snapshots || !v->snapshots->current)
        return err_set(err, VIR_ERR_NO_DOMAIN_SNAPSHOT, "the domain does not have a current snapshot");
    wire_snapshot(&call->arena, &ret->snap, v, v->snapshots->current);
    return 0;
}

int api_domain_snapshot_get_parent(Call *call, Domain *dom, const remote_domain_snapshot_get_parent_args *args,
                                   remote_domain_snapshot_get_parent_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    const SnapshotDef *s = find(v, &args->snap, err);
    if (!s)
        return -1;
    const SnapshotDef *parent = snapshot_list_parent(v->snapshots, s);
    if (!parent)
        return err_set(err, VIR_ERR_NO_DOMAIN_SNAPSHOT, "snapshot '%s' does not have a parent", s->name);
    wire_snapshot(&call->arena, &ret->snap, v, parent->name);
    return 0;
}

int api_domain_snapshot_is_current(Call *call, Domain *dom, const remote_domain_snapshot_is_current_args *args,
                                   remote_domain_snapshot_is_current_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    const SnapshotDef *s = find(v, &args->snap, err);
    if (!s)
        return -1;
    ret->current = snapshot_list_is_current(v->snapshots, s);
    return 0;
}

int api_domain_snapshot_has_metadata(Call *call, Domain *dom, const remote_domain_snapshot_has_metadata_args *args,
                                     remote_domain_snapshot_has_metadata_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    if (!find(v, &args->snap, err))
        return -1;
    ret->metadata = 1; /* what is not noted cannot be named */
    return 0;
}

int api_domain_snapshot_get_xml_desc(Call *call, Domain *dom, const remote_domain_snapshot_get_xml_desc_args *args,
                                     remote_domain_snapshot_get_xml_desc_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    const SnapshotDef *s = find(v, &args->snap, err);
    if (!s)
        return -1;
    bool secure = args->flags & VIR_DOMAIN_SNAPSHOT_XML_SECURE;
    char *xml = snapshot_def_format(s, secure ? SNAPSHOT_FORMAT_SECURE : 0, false, err);
    if (!xml)
        return -1;
    ret->xml = arena_take(&call->arena, xml);
    return 0;
}

/* ---- changes --------------------------------------------------------------------------------------------------------------- */

int api_domain_snapshot_create_xml(Call *call, Domain *dom, const remote_domain_snapshot_create_xml_args *args,
                                   remote_domain_snapshot_create_xml_ret *ret, Err *err)
{
    char *name = NULL;
    if (domain_snapshot_create(dom, args->xml_desc, args->flags, &name, err) < 0)
        return -1;
    g_autoptr(DomainView) v = domain_view(dom);
    wire_snapshot(&call->arena, &ret->snap, v, name);
    g_free(name);
    return 0;
}

int api_domain_snapshot_delete(Call *call, Domain *dom, const remote_domain_snapshot_delete_args *args, Err *err)
{
    return domain_snapshot_delete(dom, args->snap.name, args->flags, err);
}

API_INSTEAD(domain_revert_to_snapshot, "refused")
int api_domain_revert_to_snapshot(Call *call, Domain *dom, const remote_domain_revert_to_snapshot_args *args, Err *err)
{
    return domain_snapshot_revert(dom, args->snap.name, err);
}
