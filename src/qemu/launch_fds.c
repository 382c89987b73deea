/* qemu/launch_fds.c - opens what the command line has planned
 *
 * Owns:    listening sockets of monitor and character devices until QEMU has them; tap names
 * Threads: workers; files are opened by the killable opener, sockets and taps here
 * Errors:  VIR_ERR_SYSTEM_ERROR naming path and device
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "host/tap.h"
#include "qemu/launch_private.h"
#include "qmp/client.h"
#include "util/fd.h"
#include "util/file.h"

#define BOOT_FILE_MAX (INT64_C(1) << 30)

/* ---- sockets ----------------------------------------------------------------------------------------------------------------- */

/* Gives the socket at `path` to QEMU's account.  The directory may be a user's, who could put a link in its place meanwhile: so the very
 * object is held and looked at first. */
static int own_socket(Launch *l, const char *path, mode_t mode, Err *err)
{
    AUTO_CLOSE int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set_errno(err, errno, "cannot look at socket '%s'", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, VIR_ERR_OPERATION_FAILED, "'%s' is not the socket that was made there", path);
    if (l->change_ids && fchownat(fd, "", l->uid, l->gid, AT_EMPTY_PATH) < 0)
        return err_set_errno(err, errno, "cannot give socket '%s' to QEMU's account", path);
    char self[64];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    if (chmod(self, mode) < 0)
        return err_set_errno(err, errno, "cannot set the mode of socket '%s'", path);
    return 0;
}

/* A listening UNIX socket at `path`; one left behind by an earlier guest is replaced.  QEMU's account owns it. */
static int listen_unix(Launch *l, const char *path, mode_t mode, const char *alias, Err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(a.sun_path))
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "UNIX socket path '%s' too long", path);
    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot make a socket for %s", alias);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        return err_set_errno(err, errno, "cannot bind socket '%s' of %s", path, alias);
    g_ptr_array_add(l->sockets, g_strdup(path));
    if (own_socket(l, path, mode, err) < 0)
        return -1;
    if (listen(fd, 1) < 0)
        return err_set_errno(err, errno, "cannot listen on socket '%s'", path);
    return take_fd(&fd);
}

static int listen_chr(Launch *l, const ArgvFd *f, Err *err)
{
    /* the default place of channels is ours to make; elsewhere the directory is the user's */
    g_autofree char *dir = g_path_get_dirname(f->path);
    if (g_str_has_prefix(dir, l->req->dirs->lib_dir)) {
        int r = dir_make(dir, 0755);
        if (r < 0)
            return err_set_errno(err, -r, "cannot make directory '%s'", dir);
    }
    return listen_unix(l, f->path, 0775, f->alias, err);
}

static int connect_chr(Launch *l, const ArgvFd *f, Err *err)
{
    int fd = qmp_connect_unix(f->path, l->req->deadline, err);
    if (fd < 0)
        return err_wrap(err, "connecting %s", f->alias);
    return fd;
}

/* ---- files ------------------------------------------------------------------------------------------------------------------- */

static bool readable_for(const Launch *l, const ImageNode *n)
{
    if (!l->change_ids)
        return true; /* QEMU is who we are, and we could open it */
    if (n->uid == l->uid)
        return n->mode & S_IRUSR;
    bool in_group = n->gid == l->gid;
    for (unsigned i = 0; i < l->n_groups; i++)
        in_group = in_group || n->gid == l->groups[i];
    return in_group ? n->mode & S_IRGRP : n->mode & S_IROTH;
}

/* QEMU reads boot files by opening /proc/self/fd/N, which asks for its own permission on the file.  Where it has none it gets a copy in
 * memory, which nobody can write. */
static int boot_file(Launch *l, const ArgvFd *f, Err *err)
{
    ImageNode *n = g_hash_table_lookup(l->boot_fds, f->path);
    if (n == NULL || n->fd < 0)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "'%s' was not opened", f->path);
    if (readable_for(l, n)) {
        int fd = fcntl(n->fd, F_DUPFD_CLOEXEC, 3);
        return fd >= 0 ? fd : err_set_errno(err, errno, "cannot duplicate the descriptor of '%s'", f->path);
    }
    if (n->file_size > (uint64_t)BOOT_FILE_MAX)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "'%s' is larger than 1 GiB and not readable for QEMU's account", f->path);
    AUTO_CLOSE int copy = memfd_create(f->alias, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy < 0)
        return err_set_errno(err, errno, "cannot copy '%s' to memory", f->path);
    off_t at = 0;
    while ((uint64_t)at < n->file_size) {
        ssize_t sent = sendfile(copy, n->fd, &at, (size_t)(n->file_size - (uint64_t)at));
        if (sent < 0)
            return err_set_errno(err, errno, "cannot copy '%s' to memory", f->path);
        if (sent == 0)
            break;
    }
    if (fcntl(copy, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0 || fchmod(copy, 0444) < 0)
        return err_set_errno(err, errno, "cannot seal the copy of '%s'", f->path);
    return take_fd(&copy);
}

static bool is_image(const ArgvFd *f)
{
    return f->kind == ARGV_FD_FILE && f->fdset >= 0 && f->fdset < FDSET_OTHERS;
}

/* Images were opened before the arguments were made: their descriptors move from there. */
static int image_fd(Launch *l, const ArgvFd *f, Err *err)
{
    ImageNode *n = g_hash_table_lookup(l->node_fds, GUINT_TO_POINTER((unsigned)f->fdset));
    if (n == NULL || n->fd < 0)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "image '%s' of %s was not opened", f->path, f->alias);
    return take_fd(&n->fd);
}

/* Log files and devices of character devices, in one opener child. */
static int open_others(Launch *l, Err *err)
{
    g_autoptr(GArray) wants = g_array_new(FALSE, TRUE, sizeof(ImageWant));
    g_autoptr(GArray) slots = g_array_new(FALSE, TRUE, sizeof(unsigned));
    for (unsigned i = 0; i < l->argv->fds->len; i++) {
        const ArgvFd *f = &g_array_index(l->argv->fds, ArgvFd, i);
        if (f->kind != ARGV_FD_FILE || is_image(f))
            continue;
        ImageWant w = {.path = f->path, .open_flags = f->flags, .fmt = IMAGE_FMT_RAW, .flags = IMAGE_WANT_ANY_TYPE};
        g_array_append_val(wants, w);
        g_array_append_val(slots, i);
    }
    if (wants->len == 0)
        return 0;
    g_autoptr(ImageSet) set = image_open((const ImageWant *)(void *)wants->data, wants->len, l->req->deadline, err);
    if (set == NULL)
        return -1;
    for (unsigned i = 0; i < slots->len; i++)
        l->fds[g_array_index(slots, unsigned, i)] = take_fd(&image_set_node(set, i, 0)->fd);
    return 0;
}

/* ---- network ----------------------------------------------------------------------------------------------------------------- */

static NetDef *net_of(Launch *l, const ArgvFd *f)
{
    for (unsigned i = 0; i < l->def->nets->len; i++) {
        if (l->def->nets->pdata[i] == (gpointer)(uintptr_t)f->net)
            return l->def->nets->pdata[i];
    }
    return NULL;
}

/* All queues of one interface at once, into the slots from `first` on. */
static int open_tap(Launch *l, unsigned first, const ArgvFd *f, Err *err)
{
    NetDef *net = net_of(l, f);
    if (net == NULL)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "interface %s is not in the definition", f->alias);
    TapOpts o = {
        .name = net->ifname,
        .queues = net->queues.set && net->queues.v > 1 ? (unsigned)net->queues.v : 1,
        .vnet_hdr = net->model && g_str_has_prefix(net->model, "virtio"),
        .existing = net->target_managed == TRI_NO,
        .guest_mac = net->mac,
        .mtu = net->mtu.set ? (unsigned)net->mtu.v : 0,
        .bridge = net->type == NET_BRIDGE ? net->source : NULL,
    };
    if (net->type == NET_BRIDGE && net->source == NULL)
        return err_set(err, VIR_ERR_XML_ERROR, "interface of type 'bridge' without <source bridge=>");
    if (o.queues > TAP_MAX_QUEUES)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "%u queues of an interface; the kernel allows %u", o.queues, TAP_MAX_QUEUES);
    int fds[TAP_MAX_QUEUES];
    char name[LINK_NAME_LEN];
    if (tap_open(&o, fds, name, err) < 0)
        return -1;
    for (unsigned q = 0; q < o.queues; q++)
        l->fds[first + q] = fds[q];
    g_free(net->ifname);
    net->ifname = g_strdup(name);
    return 0;
}

/* ---- all --------------------------------------------------------------------------------------------------------------------- */

static int open_one(Launch *l, unsigned i, Err *err)
{
    const ArgvFd *f = &g_array_index(l->argv->fds, ArgvFd, i);
    int fd = -1;
    switch (f->kind) {
    case ARGV_FD_MONITOR:
        fd = listen_unix(l, f->path, 0600, f->alias, err);
        break;
    case ARGV_FD_CHR_LISTEN:
        fd = listen_chr(l, f, err);
        break;
    case ARGV_FD_CHR_CONNECT:
        fd = connect_chr(l, f, err);
        break;
    case ARGV_FD_FILE:
        if (!is_image(f))
            return 0;
        fd = image_fd(l, f, err);
        break;
    case ARGV_FD_BOOT_FILE:
        fd = boot_file(l, f, err);
        break;
    case ARGV_FD_TAP:
        return f->queue == 0 ? open_tap(l, i, f, err) : 0;
    case ARGV_FD_VHOST:
        fd = vhost_net_open();
        if (fd < 0)
            return err_set_errno(err, -fd, "cannot open /dev/vhost-net");
        break;
    }
    if (fd < 0)
        return -1;
    l->fds[i] = fd;
    return 0;
}

int launch_open_fds(Launch *l, Err *err)
{
    unsigned n = l->argv->fds->len;
    l->fds = g_new(int, n + 1);
    for (unsigned i = 0; i <= n; i++)
        l->fds[i] = -1;
    if (open_others(l, err) < 0)
        return -1;
    for (unsigned i = 0; i < n; i++) {
        if (open_one(l, i, err) < 0)
            return -1;
    }
    return 0;
}

void launch_close_fds(Launch *l)
{
    for (unsigned i = 0; l->fds && l->argv && i < l->argv->fds->len; i++)
        fd_close(&l->fds[i]);
}
