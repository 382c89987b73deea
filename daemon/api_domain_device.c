/* daemon/api_domain_device.c - consoles, screens, keys, memory numbers of a machine
 *
 * Owns:    nothing
 */
#include "config.h"

#include <sys/socket.h>

#include "daemon/api.h"
#include "daemon/console.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "domain/console.h"
#include "domain/display.h"
#include "domain/fd_groups.h"
#include "domain/keys.h"
#include "domain/memory.h"
#include "domain/passthrough.h"
#include "util/fd.h"

/* ---- streams --------------------------------------------------------------------------------------------------------------- */

static int open_chr(Call *call, Domain *dom, const char *name, bool channel, bool force, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    g_autofree char *path = NULL;
    bool is_socket = false;
    if (domain_console_find(v, name, channel, &path, &is_socket, err) < 0)
        return -1;
    return console_open(call, path, is_socket, channel, force, err);
}

int api_domain_open_console(Call *call, Domain *dom, const remote_domain_open_console_args *args, Err *err)
{
    return open_chr(call, dom, args->dev_name ? *args->dev_name : NULL, false, args->flags & VIR_DOMAIN_CONSOLE_FORCE, err);
}

int api_domain_open_channel(Call *call, Domain *dom, const remote_domain_open_channel_args *args, Err *err)
{
    return open_chr(call, dom, args->name ? *args->name : NULL, true, args->flags & VIR_DOMAIN_CHANNEL_FORCE, err);
}

int api_domain_screenshot(Call *call, Domain *dom, const remote_domain_screenshot_args *args, remote_domain_screenshot_ret *ret,
                          Err *err)
{
    int fd;
    const char *mime;
    if (domain_screenshot(dom, args->screen, &fd, &mime, err) < 0)
        return -1;
    rpc_stream_open_read(call->msg, fd, 0, UINT64_MAX, false, call_server(call)->pool, NULL);
    ret->mime = arena_new(&call->arena, char *);
    *ret->mime = arena_strdup(&call->arena, mime);
    return 0;
}

/* ---- graphics -------------------------------------------------------------------------------------------------------------- */

int api_domain_open_graphics(Call *call, Domain *dom, const remote_domain_open_graphics_args *args, Err *err)
{
    AUTO_CLOSE int fd = rpc_msg_take_fd(call->msg, 0);
    return domain_open_graphics(dom, args->idx, fd, args->flags & VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH, err);
}

int api_domain_open_graphics_fd(Call *call, Domain *dom, const remote_domain_open_graphics_fd_args *args, Err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set_errno(err, errno, "making a socket pair for the viewer");
    AUTO_CLOSE int qemu_end = pair[0];
    AUTO_CLOSE int client_end = pair[1];
    if (domain_open_graphics(dom, args->idx, qemu_end, args->flags & VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH, err) < 0)
        return -1;
    call_send_fd(call, take_fd(&client_end));
    return 0;
}

/* ---- descriptors ----------------------------------------------------------------------------------------------------------- */

/* Files keep the labels and owners they have, so SECLABEL_WRITABLE has nothing to widen and SECLABEL_RESTORE nothing to undo. */
int api_domain_fd_associate(Call *call, Domain *dom, const remote_domain_fd_associate_args *args, Err *err)
{
    RpcMsg *m = call->msg;
    if (m->n_fds == 0)
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_INVALID_ARG, 0, "nfds in virDomainFDAssociate must not be zero");
    int fds[RPC_FDS_MAX];
    unsigned n = m->n_fds;
    for (unsigned i = 0; i < n; i++)
        fds[i] = rpc_msg_take_fd(m, i);
    return domain_fd_associate(dom, fd_group_new(args->name, rpc_conn_id(call->conn), fds, n), err);
}

/* ---- keys ------------------------------------------------------------------------------------------------------------------ */

int api_domain_send_key(Call *call, Domain *dom, const remote_domain_send_key_args *args, Err *err)
{
    return domain_send_key(dom, args->codeset, args->holdtime, args->keycodes.keycodes_val, args->keycodes.keycodes_len, err);
}

/* ---- memory and vcpus ------------------------------------------------------------------------------------------------------ */

int api_domain_set_memory(Call *call, Domain *dom, const remote_domain_set_memory_args *args, Err *err)
{
    return domain_set_memory(dom, args->memory, VIR_DOMAIN_AFFECT_LIVE, err);
}

int api_domain_set_memory_flags(Call *call, Domain *dom, const remote_domain_set_memory_flags_args *args, Err *err)
{
    return domain_set_memory(dom, args->memory, args->flags, err);
}

int api_domain_set_max_memory(Call *call, Domain *dom, const remote_domain_set_max_memory_args *args, Err *err)
{
    return domain_set_memory(dom, args->memory, VIR_DOMAIN_MEM_MAXIMUM, err);
}

int api_domain_set_memory_stats_period(Call *call, Domain *dom, const remote_domain_set_memory_stats_period_args *args, Err *err)
{
    return domain_set_memory_stats_period(dom, args->period, args->flags, err);
}

int api_domain_set_vcpus_flags(Call *call, Domain *dom, const remote_domain_set_vcpus_flags_args *args, Err *err)
{
    return domain_set_vcpus(dom, args->nvcpus, args->flags, err);
}

int api_domain_set_vcpus(Call *call, Domain *dom, const remote_domain_set_vcpus_args *args, Err *err)
{
    return domain_set_vcpus(dom, args->nvcpus, VIR_DOMAIN_AFFECT_LIVE, err);
}

/* ---- the qemu program ------------------------------------------------------------------------------------------------------ */

int api_qemu_domain_monitor_command(Call *call, Domain *dom, const qemu_domain_monitor_command_args *args,
                                    qemu_domain_monitor_command_ret *ret, Err *err)
{
    char *text = NULL;
    if (domain_monitor_command(dom, args->cmd, args->flags & VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP, NULL, 0, &text, err) < 0)
        return -1;
    ret->result = arena_take(&call->arena, text);
    return 0;
}

int api_qemu_domain_monitor_command_with_files(Call *call, Domain *dom, const qemu_domain_monitor_command_with_files_args *args,
                                               qemu_domain_monitor_command_with_files_ret *ret, Err *err)
{
    char *text = NULL;
    if (domain_monitor_command(dom, args->cmd, args->flags & VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP, call->msg->fds, call->msg->n_fds,
                               &text, err) < 0)
        return -1;
    ret->result = arena_take(&call->arena, text);
    return 0;
}
