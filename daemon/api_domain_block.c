/* daemon/api_domain_block.c - one disk of a machine: its size, its bytes, a mark to be told about
 *
 * Owns:    nothing
 */
#include "config.h"

#include "daemon/api.h"
#include "daemon/call.h"
#include "domain/block_ops.h"

int api_domain_block_resize(Call *call, Domain *dom, const remote_domain_block_resize_args *args, Err *err)
{
    return domain_block_resize(dom, args->disk, args->size, args->flags, err);
}

int api_domain_block_peek(Call *call, Domain *dom, const remote_domain_block_peek_args *args, remote_domain_block_peek_ret *ret, Err *err)
{
    if (args->size > REMOTE_DOMAIN_BLOCK_PEEK_BUFFER_MAX)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, 0, "size > maximum buffer size");
    ret->buffer.buffer_val = arena_array(&call->arena, char, args->size);
    ret->buffer.buffer_len = args->size;
    return domain_block_peek(dom, args->path, args->offset, (uint8_t *)ret->buffer.buffer_val, args->size, err);
}

int api_domain_set_block_threshold(Call *call, Domain *dom, const remote_domain_set_block_threshold_args *args, Err *err)
{
    return domain_set_block_threshold(dom, args->dev, args->threshold, err);
}
