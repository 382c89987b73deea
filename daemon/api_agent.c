/* daemon/api_agent.c - calls that are questions to the agent inside the guest
 *
 * Owns:    the answer while the agent is not spoken to, with the codes clients tolerate by design: no agent channel (74), a channel
 *          that no agent listens on (86); one that has an agent is told that Berth cannot use it yet
 */
#include "config.h"

#include <string.h>

#include "daemon/api.h"
#include "daemon/call.h"
#include "api_enums.h"

#define AGENT_CHANNEL "org.qemu.guest_agent.0"

int api_no_agent(Call *call, Domain *dom, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    if (v->state != VIR_DOMAIN_RUNNING)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "domain is not running"); /* a guest whose vCPUs stand answers nothing */
    for (unsigned i = 0; v->live && i < v->live->channels->len; i++) {
        const ChrDef *c = v->live->channels->pdata[i];
        if (!c->target_name || strcmp(c->target_name, AGENT_CHANNEL) != 0)
            continue;
        if (c->target_state != CHANNEL_STATE_CONNECTED)
            return err_set(err, VIR_ERR_AGENT_UNRESPONSIVE, "QEMU guest agent is not connected");
        return err_set(err, VIR_ERR_NO_SUPPORT, "%s: berthd does not talk to guest agents yet", call->proc->api);
    }
    return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "QEMU guest agent is not configured");
}

/* A handler that has results / none. */
#define ASKS(name) \
    API_INSTEAD(domain_##name, "no agent") \
    int api_domain_##name(Call *call, Domain *dom, const remote_domain_##name##_args *args, remote_domain_##name##_ret *ret, Err *err) \
    { \
        return api_no_agent(call, dom, err); \
    }
#define TELLS(name) \
    API_INSTEAD(domain_##name, "no agent") \
    int api_domain_##name(Call *call, Domain *dom, const remote_domain_##name##_args *args, Err *err) \
    { \
        return api_no_agent(call, dom, err); \
    }

#include "daemon/agent_calls.def"

API_INSTEAD(qemu_domain_agent_command, "no agent")
int api_qemu_domain_agent_command(Call *call, Domain *dom, const qemu_domain_agent_command_args *args,
                                  qemu_domain_agent_command_ret *ret, Err *err)
{
    return api_no_agent(call, dom, err);
}

API_INSTEAD(domain_interface_addresses, "no agent")
/* Other sources: leases of our networks, of which there are none while there are no networks, and the host's ARP table. */
int api_domain_interface_addresses(Call *call, Domain *dom, const remote_domain_interface_addresses_args *args,
                                   remote_domain_interface_addresses_ret *ret, Err *err)
{
    if (args->source == VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        return api_no_agent(call, dom, err);
    if (args->source == VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)
        return 0;
    return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "Unsupported IP address data source %u: the ARP table is not looked at yet",
                   args->source);
}
