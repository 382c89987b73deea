/* daemon/api_native.c - definitions in QEMU's own form
 *
 * Owns:    nothing
 */
#include "config.h"

#include <string.h>

#include "daemon/api.h"
#include "daemon/wire.h"
#include "domain/native.h"

int api_connect_domain_xml_to_native(Call *call, const remote_connect_domain_xml_to_native_args *args,
                                     remote_connect_domain_xml_to_native_ret *ret, Err *err)
{
    if (strcmp(args->nativeFormat, "qemu-argv") != 0)
        return err_set(err, VIR_ERR_INVALID_ARG, "unsupported config type %s; it is qemu-argv", args->nativeFormat);
    char *text = domain_native_argv(call_domains(call), args->domainXml, err);
    ret->nativeConfig = arena_take(&call->arena, text);
    return text ? 0 : -1;
}
