/* daemon/api_domain_none.c - what no machine of ours has yet: checkpoints, backups, iothreads
 *
 * Owns:    the true answer to questions for them: an empty list, or that there is none of that name.  Whoever brings one of them takes its
 *          handlers from here.
 */
#include "config.h"

#include "daemon/api.h"
#include "daemon/call.h"
#include "daemon/wire.h"
#include "domain/domain.h"

/* ---- checkpoints ----------------------------------------------------------------------------------------------------------- */

API_INSTEAD(domain_list_all_checkpoints, "none yet")
int api_domain_list_all_checkpoints(Call *call, Domain *dom, const remote_domain_list_all_checkpoints_args *args,
                                    remote_domain_list_all_checkpoints_ret *ret, Err *err)
{
    return 0;
}

API_INSTEAD(domain_checkpoint_lookup_by_name, "none yet")
int api_domain_checkpoint_lookup_by_name(Call *call, Domain *dom, const remote_domain_checkpoint_lookup_by_name_args *args,
                                         remote_domain_checkpoint_lookup_by_name_ret *ret, Err *err)
{
    return err_set(err, VIR_ERR_NO_DOMAIN_CHECKPOINT, "no domain checkpoint with matching name '%s'", args->name);
}

/* ---- backups --------------------------------------------------------------------------------------------------------------- */

API_INSTEAD(domain_backup_get_xml_desc, "none yet")
int api_domain_backup_get_xml_desc(Call *call, Domain *dom, const remote_domain_backup_get_xml_desc_args *args,
                                   remote_domain_backup_get_xml_desc_ret *ret, Err *err)
{
    return err_set(err, VIR_ERR_NO_DOMAIN_BACKUP, "no domain backup job present");
}

/* ---- iothreads ------------------------------------------------------------------------------------------------------------------ */

API_INSTEAD(domain_get_iothread_info, "none yet")
int api_domain_get_iothread_info(Call *call, Domain *dom, const remote_domain_get_iothread_info_args *args,
                                 remote_domain_get_iothread_info_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    return view_check_affect(v, args->flags, err);
}
