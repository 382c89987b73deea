/* qemu/launch_prepare.c - a stored definition becomes a live one
 *
 * Owns:    what is decided at start: channel sockets, display ports, the CPU behind host-model, backing chains
 * Threads: workers; opening images sleeps
 * Errors:  naming disk, path or element
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>

#include "model/complete.h"
#include "qemu/image_chain.h"
#include "qemu/launch_private.h"

#define LOG_AREA "qemu.launch"
#include "util/log.h"

/* ---- channels, displays ------------------------------------------------------------------------------------------------------ */

static void prepare_channels(Launch *l)
{
    for (unsigned i = 0; i < l->def->channels->len; i++) {
        ChrDef *c = l->def->channels->pdata[i];
        if (c->source.type != CHR_UNIX || c->source.path || c->target_type != CHR_TARGET_VIRTIO)
            continue;
        g_autofree char *dir = g_path_get_basename(l->proc.private_dir), *name = channel_socket_name(c);
        c->source.path = g_strdup_printf("%s/channel/target/%s/%s", l->req->dirs->lib_dir, dir, name);
        if (c->source.mode == CHR_MODE_ABSENT)
            c->source.mode = CHR_MODE_BIND;
    }
}

static ListenDef *first_listen(GraphicsDef *g)
{
    return g->listens && g->listens->len ? g->listens->pdata[0] : NULL;
}

static int take_port(Launch *l, int *port, int min, int max, Err *err)
{
    int p = launch_port_take(min, max, err);
    if (p < 0)
        return -1;
    g_array_append_val(l->ports, p);
    *port = p;
    return 0;
}

static int prepare_vnc(Launch *l, GraphicsDef *g, Err *err)
{
    const QemuConfig *c = l->req->config;
    ListenDef *listen = first_listen(g);
    if (listen && listen->type == LISTEN_SOCKET) {
        if (listen->socket == NULL) {
            listen->socket = g_strdup_printf("%s/vnc.sock", l->proc.private_dir);
            listen->auto_socket = true;
        }
        return 0;
    }
    if (listen && listen->type == LISTEN_NONE)
        return 0;
    if (listen && listen->type == LISTEN_ADDRESS && listen->address == NULL) {
        listen->address = g_strdup(c && c->vnc_listen ? c->vnc_listen : "127.0.0.1");
        listen->from_config = true;
    }
    if (g->autoport) {
        if (take_port(l, &g->port, c ? c->remote_display_port_min : 5900, c ? c->remote_display_port_max : 65535, err) < 0)
            return -1;
        g->port_reserved = true;
    } else {
        launch_port_mark(g->port);
        g_array_append_val(l->ports, g->port);
        g->port_reserved = true;
    }
    if (g->websocket == -1)
        return take_port(l, &g->websocket, c ? c->remote_websocket_port_min : 5700, c ? c->remote_websocket_port_max : 65535, err);
    return 0;
}

static void prepare_label(Launch *l)
{
    g_free(l->def->seclabel_dac);
    l->def->seclabel_dac = l->change_ids ? g_strdup_printf("+%u:+%u", (unsigned)l->uid, (unsigned)l->gid) : NULL;
}

/* What a running machine's definition says where the stored one is silent. */
static int prepare_place(Launch *l, Err *err)
{
    DomainDef *d = l->def;
    if (d->resource_partition && strcmp(d->resource_partition, "/machine") != 0)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "<resource><partition>%s</partition> is not supported, allowed: /machine",
                       d->resource_partition);
    if (!d->resource_partition && geteuid() == 0)
        d->resource_partition = g_strdup("/machine");
    if (!d->memballoon || d->memballoon->model == MEMBALLOON_NONE)
        d->cur_memory_kib = d->max_memory_kib; /* nobody takes the difference away */
    return 0;
}

int launch_prepare_def(Launch *l, Err *err)
{
    domain_def_assign_aliases(l->def);
    if (prepare_place(l, err) < 0)
        return -1;
    prepare_channels(l);
    for (unsigned i = 0; i < l->def->graphics->len; i++) {
        GraphicsDef *g = l->def->graphics->pdata[i];
        if (g->type == GRAPHICS_VNC && prepare_vnc(l, g, err) < 0)
            return -1;
    }
    prepare_label(l);
    return 0;
}

/* ---- images ------------------------------------------------------------------------------------------------------------------ */

typedef struct ImageJob {
    DiskDef *disk;       /* NULL: a boot file */
    StorageSource *src;
} ImageJob;

static bool disk_is_read_only(const DiskDef *d)
{
    return d->readonly || d->device == DISK_DEVICE_CDROM;
}

static bool may_be_missing(const DiskDef *d)
{
    return d->startup_policy == STARTUP_OPTIONAL;
}

/* QEMU locks open file descriptions, which the images of one group share: it would not notice two writers. */
static int check_one_writer(const GArray *wants, const GArray *jobs, Err *err)
{
    for (unsigned i = 0; i < wants->len; i++) {
        const ImageWant *w = &g_array_index(wants, ImageWant, i);
        const ImageJob *a = &g_array_index(jobs, ImageJob, i);
        for (unsigned k = 0; (w->flags & IMAGE_WANT_FD) && k < i; k++) {
            const ImageWant *v = &g_array_index(wants, ImageWant, k);
            const ImageJob *b = &g_array_index(jobs, ImageJob, k);
            if (!(v->flags & IMAGE_WANT_FD) || strcmp(a->src->fdgroup, b->src->fdgroup) != 0)
                continue;
            bool one_writes = w->open_flags == O_RDWR || v->open_flags == O_RDWR;
            if (one_writes && !(a->disk->shareable && b->disk->shareable))
                return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "disks '%s' and '%s' share file descriptor group '%s' and one writes to it",
                               b->disk->dst, a->disk->dst, a->src->fdgroup);
        }
    }
    return 0;
}

static const FdGroup *find_group(const Launch *l, const char *name)
{
    for (unsigned i = 0; l->req->fd_groups && i < l->req->fd_groups->len; i++) {
        const FdGroup *g = l->req->fd_groups->pdata[i];
        if (strcmp(fd_group_name(g), name) == 0)
            return g;
    }
    return NULL;
}

/* Which descriptor of its group an image gets.  Who only reads takes a read-write one where there is no other. */
static int want_group(const Launch *l, const DiskDef *disk, StorageSource *s, bool writable, ImageWant *w, Err *err)
{
    const FdGroup *g = find_group(l, s->fdgroup);
    if (g == NULL) {
        err_set(err, VIR_ERR_INVALID_ARG, "file descriptor group '%s' was not associated with the domain", s->fdgroup);
        return err_hint(err, "virDomainFDAssociate() gives disk '%s' its descriptors, on a connection that stays open", disk->dst);
    }
    w->flags |= IMAGE_WANT_FD;
    w->fd = writable ? -1 : fd_group_pick(g, O_RDONLY);
    s->fd_writable = false;
    if (w->fd < 0) {
        w->fd = fd_group_pick(g, O_RDWR);
        s->fd_writable = !writable;
    }
    if (w->fd >= 0)
        return 0;
    err_set(err, VIR_ERR_INVALID_ARG, "file descriptor group '%s' has no descriptor open for %s, as disk '%s' needs", s->fdgroup,
            writable ? "reading and writing" : "reading", disk->dst);
    return err_hint(err, "associate one opened with %s", writable ? "O_RDWR" : "O_RDONLY or O_RDWR");
}

/* One want per image the definition names; the last of them leads on where the definition does not say it ends. */
static int want_disk(Launch *l, DiskDef *disk, GArray *wants, GArray *jobs, Err *err)
{
    bool first = true;
    for (StorageSource *s = disk->src; s && s->path; s = s->backing) {
        if (s->type == STORAGE_NETWORK)
            continue; /* QEMU connects by itself */
        bool writable = s == disk->src && !disk_is_read_only(disk);
        ImageWant w = {.path = s->path, .open_flags = writable ? O_RDWR : O_RDONLY, .fmt = qemu_image_fmt(s->format)};
        if (s->fdgroup && want_group(l, disk, s, writable, &w, err) < 0)
            return -1;
        if (qemu_chain_leads_on(s))
            w.flags |= IMAGE_WANT_CHAIN;
        if (!first)
            w.flags |= IMAGE_WANT_BELOW;
        first = false;
        if (s == disk->src && may_be_missing(disk))
            w.flags |= IMAGE_WANT_OPTIONAL;
        ImageJob j = {disk, s};
        g_array_append_val(wants, w);
        g_array_append_val(jobs, j);
    }
    return 0;
}

static void want_boot_file(const char *path, GArray *wants, GArray *jobs)
{
    if (path == NULL)
        return;
    ImageWant w = {.path = path, .open_flags = O_RDONLY};
    ImageJob j = {NULL, NULL};
    g_array_append_val(wants, w);
    g_array_append_val(jobs, j);
}

void launch_missing_free(void *p)
{
    LaunchMissing *m = p;
    g_free(m->path);
    g_free(m->alias);
    g_free(m);
}

/* The image of an optional disk is not there. */
static void empty_or_drop(Launch *l, ImageJob *j)
{
    DiskDef *disk = j->disk;
    bool drop = disk->device != DISK_DEVICE_CDROM && disk->device != DISK_DEVICE_FLOPPY;
    log_warning("%s: '%s' of disk '%s' is missing and optional: the %s", l->def->name, disk->src->path, disk->dst,
                drop ? "guest starts without the disk" : "drive is empty");
    if (l->req->missing) {
        LaunchMissing *m = g_new0(LaunchMissing, 1);
        *m = (LaunchMissing){g_strdup(disk->src->path), g_strdup(disk->info.alias), drop};
        g_ptr_array_add(l->req->missing, m);
    }
    if (drop) {
        g_autofree char *alias = g_strdup(disk->info.alias);
        domain_def_remove_alias(l->def, alias);
        j->src = NULL;
        return;
    }
    g_clear_pointer(&disk->src->path, g_free);
    disk->startup_policy = STARTUP_ABSENT; /* it was the old medium's */
}

static void adopt_disk(Launch *l, unsigned want, ImageJob *j)
{
    const ImageNode *n = image_set_node(l->images, want, 0);
    StorageSource *s = j->src;
    if (n->error) {
        empty_or_drop(l, j);
        return;
    }
    if (s->format == STORAGE_FORMAT_ABSENT)
        s->format = STORAGE_FORMAT_RAW;
    if (s->backing == NULL && !s->backing_ends)
        qemu_chain_adopt(l->images, want, s);
}

/* Which open image belongs to which node, now that nodes have numbers. */
static void index_images(Launch *l, const GArray *jobs)
{
    for (unsigned i = 0; i < jobs->len; i++) {
        const ImageJob *j = &g_array_index(jobs, ImageJob, i);
        if (j->disk == NULL) {
            ImageNode *n = image_set_node(l->images, i, 0);
            g_hash_table_insert(l->boot_fds, n->path, n);
            continue;
        }
        StorageSource *s = j->src; /* NULL: dropped */
        for (unsigned depth = 0; s; depth++, s = s->backing) {
            ImageNode *n = image_set_node(l->images, i, depth);
            if (n == NULL)
                break; /* the next named image has a want of its own */
            g_hash_table_insert(l->node_fds, GUINT_TO_POINTER((unsigned)s->index.v), n);
        }
    }
}

static int check_source(const DiskDef *disk, Err *err)
{
    for (const StorageSource *s = disk->src; s; s = s->backing) {
        if (s->path && s->type != STORAGE_FILE && s->type != STORAGE_BLOCK && s->type != STORAGE_NETWORK)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "source type '%s' of disk '%s'",
                           enum_word(storage_type_names, STORAGE_MAX, (int)s->type), disk->dst);
    }
    return 0;
}

/* The header of an image behind a server QEMU alone reads: what it has below, nobody is told. */
static void adopt_network(DiskDef *disk)
{
    for (StorageSource *s = disk->src; s && s->path; s = s->backing) {
        if (s->type == STORAGE_NETWORK)
            qemu_network_settle(s);
    }
}

/* Whether the image belongs to a disk that was dropped, for lack of the image above. */
static bool is_gone(GArray *jobs, unsigned i)
{
    ImageJob *j = &g_array_index(jobs, ImageJob, i);
    for (unsigned k = 0; k < i; k++) {
        const ImageJob *above = &g_array_index(jobs, ImageJob, k);
        if (above->disk == j->disk && !above->src)
            j->src = NULL;
    }
    return !j->src;
}

int launch_open_images(Launch *l, Err *err)
{
    g_autoptr(GArray) wants = g_array_new(FALSE, TRUE, sizeof(ImageWant));
    g_autoptr(GArray) jobs = g_array_new(FALSE, TRUE, sizeof(ImageJob));
    for (unsigned i = 0; i < l->def->disks->len; i++) {
        DiskDef *disk = l->def->disks->pdata[i];
        if (check_source(disk, err) < 0 || want_disk(l, disk, wants, jobs, err) < 0)
            return -1;
    }
    if (check_one_writer(wants, jobs, err) < 0)
        return -1;
    want_boot_file(l->def->os.kernel, wants, jobs);
    want_boot_file(l->def->os.initrd, wants, jobs);
    want_boot_file(l->def->os.dtb, wants, jobs);
    l->images = image_open((const ImageWant *)(void *)wants->data, wants->len, l->req->deadline, err);
    if (l->images == NULL)
        return -1;
    for (unsigned i = 0; i < jobs->len; i++) {
        ImageJob *j = &g_array_index(jobs, ImageJob, i);
        if (j->disk && !is_gone(jobs, i))
            adopt_disk(l, i, j);
    }
    for (unsigned i = 0; i < l->def->disks->len; i++)
        adopt_network(l->def->disks->pdata[i]);
    qemu_assign_nodes(l->def, &l->proc.node_index);
    index_images(l, jobs);
    return 0;
}
