/* daemon/api_caps.c - what the host and its QEMU binaries can do
 *
 * Owns:    nothing; the documents are made in src/qemu.  Probing a binary sleeps: NORMAL lane.
 */
#include "config.h"

#include <string.h>

#include "daemon/api.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "host/node.h"
#include "qemu/caps_xml.h"
#include "qemu/conf.h"
#include "qemu/cpu_compute.h"

#define PROBE_MS 30000u

static struct QemuCapsCache *cache(Call *call)
{
    return call_server(call)->caps;
}

int api_connect_get_capabilities(Call *call, remote_connect_get_capabilities_ret *ret, Err *err)
{
    g_autoptr(NodeTopology) topology = node_topology(err);
    if (!topology)
        return -1;
    CapsHost host = {.topology = topology, .live_migration = false};
    memcpy(host.uuid, call_server(call)->host_uuid, UUID_LEN);
    g_autoptr(QemuConfig) config = domain_driver_config(call_domains(call));
    if (call_server(call)->privileged && qemu_config_ids(config, &host.qemu_uid, &host.qemu_gid, err) < 0)
        return -1;
    ret->capabilities = arena_take(&call->arena, capabilities_xml(cache(call), &host, deadline_in_ms(PROBE_MS), err));
    return ret->capabilities ? 0 : -1;
}

int api_connect_get_domain_capabilities(Call *call, const remote_connect_get_domain_capabilities_args *args,
                                        remote_connect_get_domain_capabilities_ret *ret, Err *err)
{
    static const struct {
        unsigned flag;
        const char *name;
    } later[] = {
#define LATER(what) {VIR_CONNECT_GET_DOMAIN_CAPABILITIES_##what, "VIR_CONNECT_GET_DOMAIN_CAPABILITIES_" #what}
        LATER(DISABLE_DEPRECATED_FEATURES), LATER(EXPAND_CPU_FEATURES), LATER(SUPPORTED_CPU_FEATURES),
#undef LATER
    };
    for (size_t i = 0; i < N_ELEMENTS(later); i++)
        if (args->flags & later[i].flag)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "flag %s is not supported yet", later[i].name);
    DomCapsRequest rq = {.emulator = args->emulatorbin ? *args->emulatorbin : NULL,
                         .arch = args->arch ? *args->arch : NULL,
                         .machine = args->machine ? *args->machine : NULL,
                         .virttype = args->virttype ? *args->virttype : NULL};
    ret->capabilities = arena_take(&call->arena, domcapabilities_xml(cache(call), &rq, deadline_in_ms(PROBE_MS), err));
    return ret->capabilities ? 0 : -1;
}

int api_connect_get_cpu_model_names(Call *call, const remote_connect_get_cpu_model_names_args *args,
                                    remote_connect_get_cpu_model_names_ret *ret, Err *err)
{
    g_auto(GStrv) names = cpu_model_names(cache(call), args->arch, deadline_in_ms(PROBE_MS), err);
    if (!names)
        return -1;
    unsigned n = g_strv_length(names);
    if (n > REMOTE_CONNECT_CPU_MODELS_MAX)
        return err_set(err, VIR_ERR_RPC, "too many CPU models for one reply: %u", n);
    ret->ret = (int)n;
    if (!args->need_results)
        return 0;
    ret->models.models_val = arena_array(&call->arena, remote_nonnull_string, n);
    ret->models.models_len = n;
    for (unsigned i = 0; i < n; i++)
        ret->models.models_val[i] = arena_strdup(&call->arena, names[i]);
    return 0;
}

int api_connect_get_max_vcpus(Call *call, const remote_connect_get_max_vcpus_args *args, remote_connect_get_max_vcpus_ret *ret,
                              Err *err)
{
    ret->max_vcpus = qemu_max_vcpus_of_type(args->type ? *args->type : NULL, err);
    return ret->max_vcpus < 0 ? -1 : 0;
}

/* ---- CPUs -------------------------------------------------------------------------------------------------------------------- */

/* QEMU for guests of the host's own kind: its models are what the host's CPU is described by. */
static QemuCaps *native_caps(Call *call, Err *err)
{
    DomCapsRequest rq = {.arch = node_arch(), .virttype = "qemu"};
    QemuAccel accel;
    return domcaps_emulator(cache(call), &rq, deadline_in_ms(PROBE_MS), &accel, err);
}

static QemuCaps *hypervisor_caps(Call *call, char *const *emulator, char *const *arch, char *const *machine, char *const *virttype,
                                 QemuAccel *ret_accel, Err *err)
{
    DomCapsRequest rq = {.emulator = emulator ? *emulator : NULL, .arch = arch ? *arch : NULL, .virttype = virttype ? *virttype : NULL};
    g_autoptr(QemuCaps) caps = domcaps_emulator(cache(call), &rq, deadline_in_ms(PROBE_MS), ret_accel, err);
    if (caps && machine && !qemu_caps_machine(caps, *machine)) {
        err_set(err, VIR_ERR_INVALID_ARG, "the machine '%s' is not supported by emulator '%s'", *machine, qemu_caps_binary(caps));
        return NULL;
    }
    return g_steal_pointer(&caps);
}

static int check_compare_flags(unsigned flags, Err *err)
{
    if (flags & VIR_CONNECT_COMPARE_CPU_VALIDATE_XML)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "flag VIR_CONNECT_COMPARE_CPU_VALIDATE_XML is not supported yet");
    return 0;
}

int api_connect_compare_cpu(Call *call, const remote_connect_compare_cpu_args *args, remote_connect_compare_cpu_ret *ret, Err *err)
{
    if (check_compare_flags(args->flags, err) < 0)
        return -1;
    g_autoptr(QemuCaps) caps = native_caps(call, err);
    g_auto(CpuReference) host = {0};
    if (!caps || cpu_reference_host(caps, &host, err) < 0)
        return -1;
    return cpu_compare_xml(caps, &host, args->xml, args->flags, &ret->result, err);
}

int api_connect_baseline_cpu(Call *call, const remote_connect_baseline_cpu_args *args, remote_connect_baseline_cpu_ret *ret, Err *err)
{
    g_autoptr(QemuCaps) caps = native_caps(call, err);
    if (!caps)
        return -1;
    ret->cpu = arena_take(&call->arena, cpu_baseline_xml(caps, NULL, true, (const char *const *)args->xmlCPUs.xmlCPUs_val,
                                                         args->xmlCPUs.xmlCPUs_len, args->flags, err));
    return ret->cpu ? 0 : -1;
}

int api_connect_compare_hypervisor_cpu(Call *call, const remote_connect_compare_hypervisor_cpu_args *args,
                                       remote_connect_compare_hypervisor_cpu_ret *ret, Err *err)
{
    QemuAccel accel;
    if (check_compare_flags(args->flags, err) < 0)
        return -1;
    g_autoptr(QemuCaps) caps = hypervisor_caps(call, args->emulator, args->arch, args->machine, args->virttype, &accel, err);
    g_auto(CpuReference) guest = {0};
    if (!caps || cpu_reference_guest(caps, accel, &guest, err) < 0)
        return -1;
    return cpu_compare_xml(caps, &guest, args->xmlCPU, args->flags, &ret->result, err);
}

int api_connect_baseline_hypervisor_cpu(Call *call, const remote_connect_baseline_hypervisor_cpu_args *args,
                                        remote_connect_baseline_hypervisor_cpu_ret *ret, Err *err)
{
    QemuAccel accel;
    g_autoptr(QemuCaps) caps = hypervisor_caps(call, args->emulator, args->arch, args->machine, args->virttype, &accel, err);
    g_auto(CpuReference) guest = {0};
    if (!caps || cpu_reference_guest(caps, accel, &guest, err) < 0)
        return -1;
    ret->cpu = arena_take(&call->arena, cpu_baseline_xml(caps, &guest, false, (const char *const *)args->xmlCPUs.xmlCPUs_val,
                                                         args->xmlCPUs.xmlCPUs_len, args->flags, err));
    return ret->cpu ? 0 : -1;
}
