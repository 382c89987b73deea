/* domain/chain.c - images of a running machine: opened, given to QEMU as block nodes, and taken away again
 *
 * Owns:    the numbers of images; order and undoing of what an image is for QEMU: an fdset, a storage node, a format node
 * Threads: workers; sleeps for storage (in a child) and QMP
 * Locks:   the domain's, released for either; a job of the machine is held throughout
 * Errors:  host/image.h's, QEMU's own wrapped with the image
 */
#include "config.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOG_AREA "domain.chain"
#include "util/log.h"
#include "domain/chain.h"
#include "domain/private.h"
#include "qemu/image_chain.h"
#include "qemu/image_writable.h"
#include "qemu/props.h"
#include "qmp/commands.h"
#include "util/fd.h"

#define OPEN_MS 15000u

/* ---- opening ----------------------------------------------------------------------------------------------------------------- */

Chain *chain_free(Chain *c)
{
    if (c) {
        storage_source_free(c->src);
        image_set_free(c->images);
        g_array_unref(c->want_of);
        g_free(c);
    }
    return NULL;
}

StorageSource *chain_take(Chain *c)
{
    return g_steal_pointer(&c->src);
}

/* Each file the definition names is a want of its own, those found below the last are at its depths. */
static ImageNode *node_of(const Chain *c, unsigned place)
{
    unsigned named = c->want_of->len, last = MIN(place, named - 1);
    int want = g_array_index(c->want_of, int, last);
    return want < 0 ? NULL : image_set_node(c->images, (unsigned)want, place - last);
}

const ImageHeader *chain_header(const Chain *c, unsigned depth)
{
    const ImageNode *n = node_of(c, depth);
    return n ? &n->header : NULL;
}

static int add_wants(const Chain *c, GArray *wants, Err *err)
{
    for (StorageSource *s = c->src; s; s = c->flags & CHAIN_ALONE ? NULL : s->backing) {
        int want = s->type == STORAGE_NETWORK ? -1 : (int)wants->len;
        g_array_append_val(c->want_of, want);
        if (want < 0) {
            qemu_network_settle(s); /* QEMU connects by itself */
            continue;
        }
        if ((s->type != STORAGE_FILE && s->type != STORAGE_BLOCK) || !s->path || s->fdgroup)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "an image that is no file or block device of this host by its path");
        bool writable = s == c->src && c->flags & CHAIN_WRITABLE;
        ImageWant w = {.path = s->path, .open_flags = writable ? O_RDWR : O_RDONLY, .fmt = qemu_image_fmt(s->format), .flags = IMAGE_WANT_HEADER};
        if (!(c->flags & CHAIN_ALONE) && qemu_chain_leads_on(s))
            w.flags |= IMAGE_WANT_CHAIN;
        if (want > 0)
            w.flags |= IMAGE_WANT_BELOW;
        g_array_append_val(wants, w);
    }
    return 0;
}

/* QEMU's driver for devices takes no file. */
static int check_devices(const Chain *c, Err *err)
{
    unsigned place = 0;
    for (const StorageSource *s = c->src; s && place < c->want_of->len; s = s->backing, place++) {
        const ImageNode *n = node_of(c, place);
        if (n && s->type == STORAGE_BLOCK && !n->is_block)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "'%s' is asked for as a block device, but is a file", s->path);
    }
    return 0;
}

Chain *chain_open(Domain *d, StorageSource *src, ChainFlags flags, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    g_autoptr(Chain) c = g_new0(Chain, 1);
    *c = (Chain){.src = src, .flags = flags, .want_of = g_array_new(FALSE, FALSE, sizeof(int))};
    g_autoptr(GArray) wants = g_array_new(FALSE, TRUE, sizeof(ImageWant));
    if (add_wants(c, wants, err) < 0)
        return NULL;
    uint64_t life = domain_leave(d);
    c->images = image_open((const ImageWant *)(void *)wants->data, wants->len, deadline_in_ms(OPEN_MS), err);
    g_auto(Err) ended = ERR_INIT;
    if (domain_enter(d, life, &ended) < 0) {
        if (c->images)
            err_move(err, &ended);
        return NULL;
    }
    if (!c->images || check_devices(c, err) < 0)
        return NULL;
    if (src->format == STORAGE_FORMAT_ABSENT)
        src->format = STORAGE_FORMAT_RAW;
    if (!(flags & CHAIN_ALONE)) {
        StorageSource *last = chain_base(src);
        if (!last->backing_ends && last->type != STORAGE_NETWORK)
            qemu_chain_adopt(c->images, wants->len - 1, last);
    }
    return g_steal_pointer(&c);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------------------- */

/* Undoing goes on whatever happens.  What QEMU does not let go, or does not answer to, is looked for again. */
static void drop(Domain *d, const char *command, const char *key, json_t *value, const char *what)
{
    g_auto(Err) err = ERR_INIT;
    uint64_t life = d->life;
    if (domain_qmp(d, command, json_pack("{s:o}", key, value), NULL, &err) == 0)
        return;
    log_info("%s: %s of %s: %s", d->name, command, what, err.detail);
    if (d->life == life && !d->priv->dying)
        blockjobs_sweep_later(d);
}

static void drop_node(Domain *d, char *node)
{
    drop(d, "blockdev-del", "node-name", json_string(node), node);
    g_free(node);
}

static void drop_set(Domain *d, const StorageSource *s)
{
    if (s->type == STORAGE_NETWORK)
        return;
    drop(d, "remove-fd", "fdset-id", json_integer((json_int_t)s->index.v), s->path);
}

/* fd: -1 when none travels with it.  A QEMU that is silent may do it yet, when nobody waits for it any more: that is looked for. */
static int add(Domain *d, const QmpCommand *cmd, json_t *args, int fd, Err *err)
{
    uint64_t life = d->life;
    QmpStatus s = domain_qmp_fds(d, cmd, args, &fd, fd >= 0, qmp_deadline(cmd), NULL, err);
    if (s == QMP_TIMEOUT && d->life == life && !d->priv->dying)
        blockjobs_sweep_later(d);
    return s == QMP_OK ? 0 : -1;
}

static int add_node(Domain *d, json_t *props, Err *err)
{
    return props ? add(d, QMP(BLOCKDEV_ADD), props, -1, err) : -1;
}

static int add_set(Domain *d, const StorageSource *s, int fd, Err *err)
{
    g_autofree char *node = qemu_node_storage(s);
    json_t *args = json_pack("{s:I, s:s}", "fdset-id", (json_int_t)s->index.v, "opaque", node);
    return add(d, QMP(ADD_FD), args, fd, err);
}

static int add_storage(Domain *d, const DiskDef *top, const StorageSource *s, ImageNode *n, bool writable, Err *err)
{
    if (s->type == STORAGE_NETWORK)
        return add_node(d, qemu_storage_props(top, s, NULL, writable, err), err);
    if (!n || n->fd < 0)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "image '%s' was not opened", s->path);
    if (add_set(d, s, n->fd, err) < 0)
        return -1;
    fd_close(&n->fd); /* QEMU has it */
    g_autofree char *filename = g_strdup_printf("/dev/fdset/%u", (unsigned)s->index.v);
    if (add_node(d, qemu_storage_props(top, s, filename, writable, err), err) == 0)
        return 0;
    drop_set(d, s);
    return -1;
}

static int add_format(Domain *d, const DiskDef *top, const StorageSource *s, bool writable, Err *err)
{
    return add_node(d, qemu_format_props(top, s, !writable, err), err);
}

/* The disk as it would be with this chain: what the top alone has goes to the new top. */
static DiskDef as_if_top(const DiskDef *disk, const Chain *c)
{
    DiskDef top = *disk;
    top.src = c->src;
    return top;
}

static int attach_below(Domain *d, const DiskDef *top, Chain *c, StorageSource *s, unsigned place, Err *err)
{
    if (!s)
        return 0;
    if (attach_below(d, top, c, s->backing, place + 1, err) < 0)
        return -1;
    if (add_storage(d, top, s, node_of(c, place), false, err) == 0) {
        if (add_format(d, top, s, false, err) == 0)
            return 0;
        drop_node(d, qemu_node_storage(s));
        drop_set(d, s);
    }
    chain_detach(d, s->backing, NULL);
    return -1;
}

static bool is_alone(const Chain *c)
{
    return c->flags & CHAIN_ALONE;
}

int chain_attach_storage(Domain *d, const DiskDef *disk, Chain *c, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    for (StorageSource *s = c->src; s; s = is_alone(c) ? NULL : s->backing)
        s->index = (OptU64){true, ++d->priv->proc.node_index};
    domain_mark_changed(d);
    g_autofree char *name = qemu_backing_name(c->src);
    DiskDef top = as_if_top(disk, c);
    StorageSource *below = is_alone(c) ? NULL : c->src->backing;
    if (attach_below(d, &top, c, below, 1, err) < 0)
        return err_wrap(err, "adding the images below '%s' to the running guest", name);
    if (add_storage(d, &top, c->src, node_of(c, 0), c->flags & CHAIN_WRITABLE, err) == 0)
        return 0;
    chain_detach(d, below, NULL);
    return err_wrap(err, "adding image '%s' to the running guest", name);
}

int chain_attach_format(Domain *d, const DiskDef *disk, Chain *c, const StorageSource *below, Err *err)
{
    domain_assert_locked(d);
    DiskDef top = as_if_top(disk, c);
    StorageSource s = *c->src;
    if (below || is_alone(c))
        s.backing = (StorageSource *)(uintptr_t)below;
    s.backing_ends = !s.backing;
    top.src = &s;
    if (add_format(d, &top, &s, c->flags & CHAIN_WRITABLE, err) == 0)
        return 0;
    g_autofree char *name = qemu_backing_name(c->src);
    return err_wrap(err, "adding image '%s' to the running guest", name);
}

int chain_attach(Domain *d, const DiskDef *disk, Chain *c, const StorageSource *below, Err *err)
{
    if (chain_attach_storage(d, disk, c, err) < 0)
        return -1;
    if (chain_attach_format(d, disk, c, below, err) == 0)
        return 0;
    drop_node(d, qemu_node_storage(c->src));
    drop_set(d, c->src);
    if (!is_alone(c))
        chain_detach(d, c->src->backing, NULL);
    return -1;
}

void chain_detach_commands(const StorageSource *src, const StorageSource *stop, GArray *commands)
{
    for (const StorageSource *s = src; s && s != stop; s = s->backing) {
        if (!s->index.set)
            continue;
        g_autofree char *format = qemu_node_format(s), *storage = qemu_node_storage(s);
        qmp_requests_add(commands, QMP(BLOCKDEV_DEL), json_pack("{s:s}", "node-name", format));
        qmp_requests_add(commands, QMP(BLOCKDEV_DEL), json_pack("{s:s}", "node-name", storage));
        if (s->type != STORAGE_NETWORK)
            qmp_requests_add(commands, QMP(REMOVE_FD), json_pack("{s:I}", "fdset-id", (json_int_t)s->index.v));
    }
}

void chain_detach(Domain *d, const StorageSource *src, const StorageSource *stop)
{
    domain_assert_locked(d);
    if (!d->live || d->priv->dying)
        return;
    g_autoptr(GArray) commands = qmp_requests_new();
    chain_detach_commands(src, stop, commands);
    blockjobs_take_out(d, commands);
}

/* ---- writable ---------------------------------------------------------------------------------------------------------------- */

/* QEMU's own descriptors of an image, borrowed by its pidfd: the last one, and whether there is one to write through (which is there only where
 * the node can: see image_writable.c).  -1 with Err. */
static int qemu_descriptor(QmpClient *qmp, int pidfd, const StorageSource *s, bool *ret_writable, Err *err)
{
    json_t *sets = NULL, *set, *f;
    size_t i, k;
    AUTO_CLOSE int fd = -1;
    int e = 0;
    if (qmp_do(qmp, QMP(QUERY_FDSETS), NULL, &sets, err) != QMP_OK)
        return -1;
    json_array_foreach(sets, i, set)
    {
        if (json_integer_value(json_object_get(set, "fdset-id")) != (json_int_t)s->index.v)
            continue;
        json_array_foreach(json_object_get(set, "fds"), k, f)
        {
            fd_close(&fd);
            fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)json_integer_value(json_object_get(f, "fd")), 0u);
            e = fd < 0 ? errno : 0;
            *ret_writable = *ret_writable || (fd >= 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR);
        }
    }
    json_decref(sets);
    if (fd >= 0)
        return take_fd(&fd);
    if (e)
        return err_set_errno(err, e, "cannot reach QEMU's descriptor of image '%s'", s->path);
    return err_set(err, VIR_ERR_OPERATION_INVALID, "image '%s' is not in use by the running guest", s->path);
}

/* No lock held. */
static int make_writable(QmpClient *qmp, int pidfd, const DiskDef *disk, const StorageSource *s, Err *err)
{
    bool already = false;
    AUTO_CLOSE int in_use = qemu_descriptor(qmp, pidfd, s, &already, err);
    if (in_use < 0 || already)
        return in_use < 0 ? -1 : 0;
    ImageWant wants[] = {{.path = s->path, .open_flags = O_RDWR, .fmt = IMAGE_FMT_RAW},
                         {.path = s->path, .fd = in_use, .fmt = IMAGE_FMT_RAW, .flags = IMAGE_WANT_FD}};
    g_autoptr(ImageSet) set = image_open(wants, N_ELEMENTS(wants), deadline_in_ms(OPEN_MS), err);
    if (!set)
        return -1;
    const ImageNode *now = image_set_node(set, 0, 0), *then = image_set_node(set, 1, 0);
    if (now->dev != then->dev || now->ino != then->ino) {
        err_set(err, VIR_ERR_OPERATION_FAILED, "'%s' is another file now than the one the running guest has open", s->path);
        return err_hint(err, "put the original file back, or move the guest's data elsewhere with blockcopy");
    }
    return qemu_image_make_writable(qmp, pidfd, disk, s, now->fd, err);
}

int chain_make_writable(Domain *d, const DiskDef *disk, const StorageSource *src, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    if (src->type == STORAGE_NETWORK)
        return 0; /* QEMU writes where the server lets it */
    g_autoptr(QmpClient) qmp = domain_monitor_ref(d);
    AUTO_CLOSE int pidfd = kill_switch_pidfd(d);
    if (!qmp || pidfd < 0 || d->priv->dying)
        return domain_err_inactive(err);
    uint64_t life = domain_leave(d);
    int r = make_writable(qmp, pidfd, disk, src, err);
    g_auto(Err) ended = ERR_INIT;
    if (domain_enter(d, life, &ended) < 0) {
        err_clear(err);
        err_move(err, &ended);
        return -1;
    }
    if (r < 0 && qmp_client_is_closed(qmp)) {
        err_clear(err);
        return domain_err_inactive(err); /* or its monitor was lost; as domain_qmp() says it */
    }
    if (r < 0 && !qmp_client_is_responsive(qmp))
        domain_set_stuck(d, true);
    return r;
}
