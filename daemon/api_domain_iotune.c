/* daemon/api_domain_iotune.c - limits of disks: typed parameters in and out
 *
 * Owns:    nothing; domain/iotune.h does it.  Lock and job are the gate's.
 */
#include "config.h"

#include <string.h>

#include "daemon/api.h"
#include "daemon/wire.h"
#include "domain/iotune.h"
#include "util/xml.h"
#include "api_enums.h"
#include "api_strings.h"

#define GROUP_AT 13 /* among the limits, where stock daemons have it */

static int read_change(const remote_typed_param *v, unsigned n, IoTuneChange *c, Err *err)
{
    for (unsigned i = 0; i < n; i++) {
        bool group = strcmp(v[i].field, VIR_DOMAIN_BLOCK_IOTUNE_GROUP_NAME) == 0;
        int field = group ? -1 : iotune_find(v[i].field);
        if (!group && field < 0)
            return err_set(err, VIR_ERR_INVALID_ARG, "parameter '%s' not supported", v[i].field);
        if (v[i].value.type != (group ? VIR_TYPED_PARAM_STRING : VIR_TYPED_PARAM_ULLONG))
            return err_set(err, VIR_ERR_INVALID_ARG, "invalid type for parameter '%s', expected '%s'", v[i].field, group ? "string" : "ullong");
        if (group ? c->group_given : (c->given >> field) & 1)
            return err_set(err, VIR_ERR_INVALID_ARG, "parameter '%s' occurs multiple times", v[i].field);
        if (group) {
            c->group_given = true;
            c->values.group_name = v[i].value.remote_typed_param_value_u.s;
            if (!xml_is_text(c->values.group_name))
                return err_set(err, VIR_ERR_INVALID_ARG, "the group's name is no text in UTF-8, or holds a character that XML cannot");
        } else {
            c->given |= 1u << field;
            iotune_set(&c->values, (unsigned)field, v[i].value.remote_typed_param_value_u.ul);
        }
    }
    return 0;
}

int api_domain_set_block_io_tune(Call *call, Domain *dom, const remote_domain_set_block_io_tune_args *args, Err *err)
{
    IoTuneChange c = {.given = 0};
    if (read_change(args->params.params_val, args->params.params_len, &c, err) < 0)
        return -1;
    return domain_set_io_tune(dom, args->disk, &c, args->flags, err);
}

int api_domain_get_block_io_tune(Call *call, Domain *dom, const remote_domain_get_block_io_tune_args *args,
                                 remote_domain_get_block_io_tune_ret *ret, Err *err)
{
    const unsigned all = IOTUNE_FIELDS + 1;
    if (args->nparams < 0 || args->nparams > REMOTE_DOMAIN_BLOCK_IO_TUNE_PARAMETERS_MAX)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_RPC, 0, "nparams %d is not between 0 and %d", args->nparams,
                            REMOTE_DOMAIN_BLOCK_IO_TUNE_PARAMETERS_MAX);
    if (args->nparams == 0) {
        ret->nparams = (int)all;
        return 0;
    }
    DiskIoTune t;
    if (!args->disk)
        return err_set(err, VIR_ERR_INVALID_ARG, "a disk must be named");
    if (domain_get_io_tune(dom, *args->disk, args->flags & ~(unsigned)VIR_TYPED_PARAM_STRING_OKAY, &t, err) < 0)
        return -1;
    Params p;
    params_init(&p, &call->arena);
    for (unsigned i = 0; i < IOTUNE_FIELDS; i++) {
        if (p.n == GROUP_AT)
            params_string(&p, t.group_name ? t.group_name : "", VIR_DOMAIN_BLOCK_IOTUNE_GROUP_NAME);
        params_ullong(&p, iotune_get(&t, i), "%s", iotune_fields[i].name);
    }
    g_free(t.group_name);
    if (!(args->flags & VIR_TYPED_PARAM_STRING_OKAY))
        params_drop_strings(&p);
    PARAMS_REPLY(&p, ret, args->nparams);
    return 0;
}
