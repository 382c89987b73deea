/* daemon/api_domain_info.c - what a machine is and how it stands
 *
 * Owns:    nothing.  All of it is answered from the published view: nothing here waits for a guest or takes a domain's lock.
 */
#include "config.h"

#include <string.h>

#include "daemon/api.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "domain/driver.h"
#include "domain/stats.h"

static unsigned long long current_memory(const DomainView *v)
{
    if (!v->live)
        return v->config->numbers.cur_memory_kib;
    return v->balloon_kib ? v->balloon_kib : v->live->cur_memory_kib;
}

int api_domain_get_info(Call *call, Domain *dom, const remote_domain_get_info_args *args, remote_domain_get_info_ret *ret,
                        Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    DefNumbers def = view_numbers(v, false);
    ret->state = (unsigned char)v->state;
    ret->maxMem = def.max_memory_kib;
    ret->memory = current_memory(v);
    ret->nrVirtCpu = (unsigned short)def.cur_vcpus;
    ret->cpuTime = v->pid ? domain_view_cpu_time_ns(v) : 0;
    return 0;
}

int api_domain_get_state(Call *call, Domain *dom, const remote_domain_get_state_args *args, remote_domain_get_state_ret *ret,
                         Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    ret->state = v->state;
    ret->reason = v->reason;
    return 0;
}

int api_domain_get_control_info(Call *call, Domain *dom, const remote_domain_get_control_info_args *args,
                                remote_domain_get_control_info_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    if (!v->live)
        return domain_err_inactive(err);
    if (v->monitor_stuck) {
        ret->state = VIR_DOMAIN_CONTROL_ERROR;
        ret->details = VIR_DOMAIN_CONTROL_ERROR_REASON_MONITOR;
    } else if (v->job != JOB_NONE) {
        ret->state = VIR_DOMAIN_CONTROL_JOB;
        ret->stateTime = (now_us() - v->job_since_us) / 1000;
    } else {
        ret->state = VIR_DOMAIN_CONTROL_OK;
    }
    return 0;
}

int api_domain_get_xml_desc(Call *call, Domain *dom, const remote_domain_get_xml_desc_args *args,
                            remote_domain_get_xml_desc_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    bool inactive = args->flags & VIR_DOMAIN_XML_INACTIVE;
    unsigned f = 0;
    if (inactive)
        f |= FORMAT_INACTIVE;
    if (args->flags & (VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE))
        f |= FORMAT_SECURE;
    if (args->flags & VIR_DOMAIN_XML_MIGRATABLE)
        f |= FORMAT_MIGRATABLE;
    /* VIR_DOMAIN_XML_UPDATE_CPU changes nothing: the CPU of a running machine is stored as it was started */
    if (!view_is_live(v, inactive)) {
        char *text = stored_def_format(v->config, f, err);
        ret->xml = arena_take(&call->arena, text);
        return text ? 0 : -1;
    }
    const DomainDef *def = v->live;
    g_autoptr(DomainDef) now = NULL;
    if (v->balloon_kib && v->balloon_kib != def->cur_memory_kib) {
        now = domain_def_copy(def); /* what was asked for is the target; shown is what the guest has */
        now->cur_memory_kib = v->balloon_kib;
        def = now;
    }
    ret->xml = arena_take(&call->arena, domain_def_format(def, f));
    return 0;
}

int api_domain_get_os_type(Call *call, Domain *dom, const remote_domain_get_os_type_args *args,
                           remote_domain_get_os_type_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    ret->type = arena_strdup(&call->arena, view_numbers(v, false).os_type);
    return 0;
}

int api_domain_get_max_memory(Call *call, Domain *dom, const remote_domain_get_max_memory_args *args,
                              remote_domain_get_max_memory_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    ret->memory = view_numbers(v, false).max_memory_kib;
    return 0;
}

static int vcpu_count(Call *call, Domain *dom, unsigned flags, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    if (view_check_affect(v, flags, err) < 0)
        return -1;
    if ((flags & VIR_DOMAIN_VCPU_GUEST) && (!v->live || flags & VIR_DOMAIN_AFFECT_CONFIG))
        return err_set(err, VIR_ERR_INVALID_ARG, "only a guest that runs can be asked for its vCPUs (VIR_DOMAIN_VCPU_GUEST)");
    if (flags & VIR_DOMAIN_VCPU_GUEST)
        return api_no_agent(call, dom, err);
    DefNumbers def = view_numbers(v, flags & VIR_DOMAIN_AFFECT_CONFIG);
    return (int)((flags & VIR_DOMAIN_VCPU_MAXIMUM) ? def.max_vcpus : def.cur_vcpus);
}

int api_domain_get_vcpus_flags(Call *call, Domain *dom, const remote_domain_get_vcpus_flags_args *args,
                               remote_domain_get_vcpus_flags_ret *ret, Err *err)
{
    ret->num = vcpu_count(call, dom, args->flags, err);
    return ret->num < 0 ? -1 : 0;
}

int api_domain_get_max_vcpus(Call *call, Domain *dom, const remote_domain_get_max_vcpus_args *args,
                             remote_domain_get_max_vcpus_ret *ret, Err *err)
{
    ret->num = vcpu_count(call, dom, VIR_DOMAIN_VCPU_MAXIMUM | VIR_DOMAIN_AFFECT_LIVE, err); /* of a machine that is off: refused, as by libvirt */
    return ret->num < 0 ? -1 : 0;
}

int api_domain_is_active(Call *call, Domain *dom, const remote_domain_is_active_args *args, remote_domain_is_active_ret *ret,
                         Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    ret->active = v->live != NULL;
    return 0;
}

int api_domain_is_persistent(Call *call, Domain *dom, const remote_domain_is_persistent_args *args,
                             remote_domain_is_persistent_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    ret->persistent = v->persistent;
    return 0;
}

int api_domain_is_updated(Call *call, Domain *dom, const remote_domain_is_updated_args *args,
                          remote_domain_is_updated_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    ret->updated = v->updated;
    return 0;
}

int api_domain_get_autostart(Call *call, Domain *dom, const remote_domain_get_autostart_args *args,
                             remote_domain_get_autostart_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    ret->autostart = v->autostart;
    return 0;
}

int api_domain_get_metadata(Call *call, Domain *dom, const remote_domain_get_metadata_args *args,
                            remote_domain_get_metadata_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    if (view_check_affect(v, args->flags, err) < 0)
        return -1;
    g_autoptr(DomainDef) def = view_def(v, args->flags & VIR_DOMAIN_AFFECT_CONFIG, err);
    if (!def)
        return -1;
    char *text = domain_def_get_metadata(def, args->type, args->uri ? *args->uri : NULL, err);
    ret->metadata = arena_take(&call->arena, text);
    return text ? 0 : -1;
}

API_INSTEAD(domain_has_managed_save_image, "none yet")
int api_domain_has_managed_save_image(Call *call, Domain *dom, const remote_domain_has_managed_save_image_args *args,
                                      remote_domain_has_managed_save_image_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    ret->result = v->managed_save;
    return 0;
}

/* ---- the job of a machine: none of the jobs that have progress (save, migration, dump, backup) exists yet -------------------- */

int api_domain_get_job_info(Call *call, Domain *dom, const remote_domain_get_job_info_args *args,
                            remote_domain_get_job_info_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    if (!v->live)
        return domain_err_inactive(err);
    ret->type = VIR_DOMAIN_JOB_NONE;
    return 0;
}

int api_domain_abort_job(Call *call, Domain *dom, const remote_domain_abort_job_args *args, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    if (!v->live)
        return domain_err_inactive(err);
    return err_set(err, VIR_ERR_OPERATION_INVALID, "no job is active on the domain");
}

/* ---- security labels --------------------------------------------------------------------------------------------------------- */

/* The wire carries label and its NUL, one char per element. */
static void wire_label(Call *call, const char *label, remote_domain_get_security_label_ret *out)
{
    if (!label)
        label = "";
    out->label.label_len = (u_int)strlen(label) + 1;
    out->label.label_val = arena_strdup(&call->arena, label);
    out->enforcing = 0;
}

int api_domain_get_security_label(Call *call, Domain *dom, const remote_domain_get_security_label_args *args,
                                  remote_domain_get_security_label_ret *ret, Err *err)
{
    /* only models other than dac are shown by this old call, and there is none */
    wire_label(call, NULL, ret);
    return 0;
}

int api_domain_get_security_label_list(Call *call, Domain *dom, const remote_domain_get_security_label_list_args *args,
                                       remote_domain_get_security_label_list_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    if (!v->live)
        return 0;
    ret->labels.labels_val = arena_array(&call->arena, remote_domain_get_security_label_ret, 1);
    ret->labels.labels_len = 1;
    wire_label(call, v->live->seclabel_dac, &ret->labels.labels_val[0]);
    ret->ret = 1;
    return 0;
}
