/* domain/console.c - the host end of a machine's character devices
 *
 * Owns:    which device a name means; not who holds it (daemon/console.c)
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "domain/console.h"
#include "util/fd.h"

static const ChrDef *find_in(const GPtrArray *list, const char *name)
{
    for (unsigned i = 0; list && i < list->len; i++) {
        const ChrDef *c = list->pdata[i];
        if (!name || (c->info.alias && strcmp(c->info.alias, name) == 0) || (c->target_name && strcmp(c->target_name, name) == 0))
            return c;
    }
    return NULL;
}

int domain_console_find(const DomainView *v, const char *name, bool channel, char **ret_path, bool *ret_is_socket, Err *err)
{
    if (!v->live)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "domain is not running");
    const DomainDef *def = v->live;
    const ChrDef *c = NULL;
    if (channel) {
        c = find_in(def->channels, name);
    } else {
        const GPtrArray *lists[] = {def->consoles, def->serials, def->parallels};
        for (size_t i = 0; i < N_ELEMENTS(lists) && !c; i++)
            c = find_in(lists[i], name);
    }
    if (!c) {
        err_set(err, VIR_ERR_INTERNAL_ERROR, "cannot find %s %s", channel ? "channel" : "character device", name ? name : "default");
        return err_hint(err, "`virsh dumpxml %s` shows the devices and their aliases", v->name);
    }
    if ((c->source.type != CHR_PTY && c->source.type != CHR_UNIX) || !c->source.path) {
        err_set(err, VIR_ERR_INTERNAL_ERROR, "%s %s is not using a PTY or UNIX socket", channel ? "channel" : "character device",
                c->info.alias ? c->info.alias : "default");
        return err_hint(err, "give the device <... type='pty'> to open it from clients");
    }
    *ret_path = g_strdup(c->source.path);
    *ret_is_socket = c->source.type == CHR_UNIX;
    return 0;
}

int domain_console_open(const char *path, bool is_socket, Err *err)
{
    if (!is_socket) {
        int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        return fd >= 0 ? fd : err_set_errno(err, errno, "opening %s", path);
    }
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(sa.sun_path))
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "socket path %s is longer than %zu bytes", path, sizeof(sa.sun_path) - 1);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(err, errno, "making a socket");
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) /* UNIX: at once, or EAGAIN when its queue is full */
        return err_set_errno(err, errno, "connecting to %s", path);
    return take_fd(&fd);
}
