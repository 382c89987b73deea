/* daemon/api_event.c - registering for events, both generations
 *
 * Owns:    nothing; INLINE handlers over daemon/events.h
 */
#include "config.h"

#define ERR_FROM VIR_FROM_RPC
#include "daemon/api.h"
#include "daemon/events.h"
#include "api_enums.h"

static EventHub *hub(Call *call)
{
    return call_server(call)->events;
}

/* ---- first generation ------------------------------------------------------------------------------------------------------ */

static int register_legacy(Call *call, int event_id, Err *err)
{
    EventWant w = {.class = EVENT_DOMAIN, .event_id = event_id, .legacy = true};
    return event_hub_add(hub(call), call->conn, &w, err) < 0 ? -1 : 0;
}

int api_connect_domain_event_register(Call *call, remote_connect_domain_event_register_ret *ret, Err *err)
{
    return register_legacy(call, VIR_DOMAIN_EVENT_ID_LIFECYCLE, err);
}

int api_connect_domain_event_deregister(Call *call, remote_connect_domain_event_deregister_ret *ret, Err *err)
{
    return event_hub_remove_legacy(hub(call), call->conn, VIR_DOMAIN_EVENT_ID_LIFECYCLE, err);
}

int api_connect_domain_event_register_any(Call *call, const remote_connect_domain_event_register_any_args *args, Err *err)
{
    return register_legacy(call, args->eventID, err);
}

int api_connect_domain_event_deregister_any(Call *call, const remote_connect_domain_event_deregister_any_args *args, Err *err)
{
    return event_hub_remove_legacy(hub(call), call->conn, args->eventID, err);
}

/* ---- callback ids ---------------------------------------------------------------------------------------------------------- */

int api_connect_domain_event_callback_register_any(Call *call, const remote_connect_domain_event_callback_register_any_args *args,
                                                   remote_connect_domain_event_callback_register_any_ret *ret, Err *err)
{
    EventWant w = {.class = EVENT_DOMAIN,
                   .event_id = args->eventID,
                   .uuid = args->dom ? (const uint8_t *)args->dom->uuid : NULL};
    ret->callbackID = event_hub_add(hub(call), call->conn, &w, err);
    return ret->callbackID < 0 ? -1 : 0;
}

int api_connect_domain_event_callback_deregister_any(Call *call,
                                                     const remote_connect_domain_event_callback_deregister_any_args *args,
                                                     Err *err)
{
    return event_hub_remove(hub(call), call->conn, EVENT_DOMAIN, args->callbackID, err);
}

/* ---- raw monitor events ---------------------------------------------------------------------------------------------------- */

int api_qemu_connect_domain_monitor_event_register(Call *call, const qemu_connect_domain_monitor_event_register_args *args,
                                                   qemu_connect_domain_monitor_event_register_ret *ret, Err *err)
{
    EventWant w = {.class = EVENT_QEMU_MONITOR,
                   .uuid = args->dom ? (const uint8_t *)args->dom->uuid : NULL,
                   .monitor_event = args->event ? *args->event : NULL,
                   .regex = args->flags & VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_REGEX,
                   .nocase = args->flags & VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_NOCASE};
    ret->callbackID = event_hub_add(hub(call), call->conn, &w, err);
    return ret->callbackID < 0 ? -1 : 0;
}

int api_qemu_connect_domain_monitor_event_deregister(Call *call, const qemu_connect_domain_monitor_event_deregister_args *args,
                                                     Err *err)
{
    return event_hub_remove(hub(call), call->conn, EVENT_QEMU_MONITOR, args->callbackID, err);
}
