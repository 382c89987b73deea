/* daemon/api_domain_messages.c - remarks on a machine
 *
 * Owns:    nothing; INLINE: capabilities only from memory
 */
#include "config.h"

#include "daemon/api.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "domain/taint.h"
#include "qemu/caps.h"

int api_domain_get_messages(Call *call, Domain *dom, const remote_domain_get_messages_args *args,
                            remote_domain_get_messages_ret *ret, Err *err)
{
    if (args->flags & VIR_DOMAIN_MESSAGE_IOERRORS)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "flag VIR_DOMAIN_MESSAGE_IOERRORS is not supported yet");
    g_autoptr(DomainView) v = domain_view(dom);
    if (!v->live)
        return 0;
    g_autoptr(QemuCaps) caps = v->live->emulator ? qemu_caps_peek(call_server(call)->caps, v->live->emulator) : NULL;
    g_autoptr(GPtrArray) messages = domain_messages(v, caps, args->flags);
    unsigned n = MIN(messages->len, REMOTE_DOMAIN_MESSAGES_MAX);
    ret->msgs.msgs_val = arena_array(&call->arena, remote_nonnull_string, n);
    ret->msgs.msgs_len = n;
    for (unsigned i = 0; i < n; i++)
        ret->msgs.msgs_val[i] = arena_strdup(&call->arena, messages->pdata[i]);
    return 0;
}
