/* tests/unit/test_chain.c - images of a running machine: names in a chain; opened, given to a real QEMU, made, taken away
 *
 * QEMU is real but has no machine: block nodes need none.
 */
#include "config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "domain/chain.h"
#include "domain/lifecycle.h"
#include "domain/private.h"
#include "qemu/props.h"
#include "tests/unit/domain_world.h"
#include "util/fd.h"
#include "util/spawn.h"

#define QEMU     "/usr/bin/qemu-system-x86_64"
#define QEMU_IMG "/usr/bin/qemu-img"
#define UUID     "11111111-2222-4333-8444-555555555555"

static Domain *dom;
static Child qemu;
static char *dir;

/* ---- names ------------------------------------------------------------------------------------------------------------------- */

static DomainDef *parse(const char *disks)
{
    g_autofree char *bare = world_xml("m", UUID, NULL);
    g_auto(GStrv) parts = g_strsplit(bare, "</emulator>", 2);
    g_autofree char *xml = g_strconcat(parts[0], "</emulator>", disks, parts[1], NULL);
    g_auto(Err) err = ERR_INIT;
    DomainDef *def = domain_def_parse(xml, PARSE_STATUS, NULL, &err);
    if (!def)
        fail_msg("%s", err.detail);
    return def;
}

static const char two_disks[] =
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/i/top' index='3'/>"
    "<backingStore type='file' index='2'><format type='qcow2'/><source file='/i/../i/mid'/>"
    "<backingStore type='file' index='1'><format type='raw'/><source file='/i/base[7]'/><backingStore/></backingStore></backingStore>"
    "<target dev='vda' bus='virtio'/></disk>"
    "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/i/vdb[1]' index='4'/><target dev='vdb' bus='virtio'/></disk>"
    "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>";

static void test_names(void **state)
{
    g_autoptr(DomainDef) def = parse(two_disks);
    static const struct {
        const char *name, *disk;
        unsigned index; /* 0: an error */
        const char *words;
    } cases[] = {
        {"vda", "vda", 3, NULL},
        {"vda[3]", "vda", 3, NULL},
        {"vda[1]", "vda", 1, NULL},
        {"/i/top", "vda", 3, NULL},
        {"/i/vdb[1]", "vdb", 4, NULL}, /* a file's name, not an index */
        {"vda[4]", NULL, 0, "no image with index 4"},
        {"vda[]", NULL, 0, "not found"},
        {"vda[1", NULL, 0, "not found"},
        {"vda[1]x", NULL, 0, "not found"},
        {"vdc[1]", NULL, 0, "not found"},
        {"/i/top[1]", NULL, 0, "not found"},
        {"vda[99999999999999999999]", NULL, 0, "no image"},
        {"", NULL, 0, "not found"},
    };
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        DiskDef *disk = NULL;
        StorageSource *src = NULL;
        int r = chain_address(def, cases[i].name, &disk, &src, &err);
        if (cases[i].index == 0) {
            assert_int_equal(r, -1);
            assert_int_equal(err.code, VIR_ERR_INVALID_ARG);
            assert_non_null(strstr(err.detail, cases[i].words));
            continue;
        }
        if (r < 0)
            fail_msg("%s: %s", cases[i].name, err.detail);
        assert_string_equal(disk->dst, cases[i].disk);
        assert_int_equal(src->index.v, cases[i].index);
    }
}

/* An export of a server above the image has no directory a name could be in. */
static void test_image_below_an_export(void **state)
{
    g_autoptr(DomainDef) def = parse("<disk type='network'>"
                                     "<driver type='qcow2'/><source protocol='nbd' name='export' index='2'><host name='h'/></source>"
                                     "<backingStore type='file' index='1'><format type='raw'/><source file='/i/base'/></backingStore>"
                                     "<target dev='vda' bus='virtio'/></disk>");
    DiskDef *vda = def->disks->pdata[0];
    g_auto(Err) err = ERR_INIT;
    assert_null(chain_image(vda, vda->src, "/i/none", NULL, &err));
    assert_int_equal(err.code, VIR_ERR_INVALID_ARG);
    err_clear(&err);
    assert_null(chain_image(vda, vda->src, "base", NULL, &err));
    err_clear(&err);
    assert_ptr_equal(chain_image(vda, vda->src, "/i/./base", NULL, &err), vda->src->backing);
}

static void test_images(void **state)
{
    g_autoptr(DomainDef) def = parse(two_disks);
    DiskDef *vda = def->disks->pdata[0];
    g_auto(Err) err = ERR_INIT;
    StorageSource *parent = vda->src;
    assert_int_equal(chain_length(vda->src), 3);
    assert_int_equal(chain_base(vda->src)->index.v, 1);
    assert_ptr_equal(chain_image(vda, NULL, "/i/top", &parent, &err), vda->src);
    assert_null(parent);
    assert_int_equal(chain_image(vda, NULL, "vda[2]", &parent, &err)->index.v, 2);
    assert_ptr_equal(parent, vda->src);
    assert_int_equal(chain_image(vda, NULL, "/i/mid", &parent, &err)->index.v, 2); /* another spelling */
    assert_int_equal(chain_image(vda, NULL, "mid", NULL, &err)->index.v, 2);       /* relative to the image above */
    assert_int_equal(chain_image(vda, vda->src, "/i/base[7]", &parent, &err)->index.v, 1);
    assert_int_equal(parent->index.v, 2);
    assert_false(err_is_set(&err));
    assert_null(chain_image(vda, vda->src, "vda[3]", NULL, &err)); /* not below itself */
    assert_string_equal(err.detail, "could not find backing store index '3' in chain for 'vda'");
    assert_int_equal(err.domain, VIR_FROM_STORAGE);
    err_clear(&err);
    assert_null(chain_image(vda, vda->src, "/i/top", NULL, &err));
    assert_string_equal(err.detail, "could not find image '/i/top' beneath '/i/top' in chain for 'vda'");
    assert_int_equal(err.domain, VIR_FROM_STORAGE);
    err_clear(&err);
    assert_null(chain_image(vda, NULL, "vdb[4]", NULL, &err));
    assert_string_equal(err.detail, "requested target 'vdb' does not match target 'vda'");
    assert_int_equal(err.domain, VIR_FROM_STORAGE);
    err_clear(&err);
    assert_null(chain_image(vda, NULL, "/i/none", NULL, &err));
    assert_string_equal(err.detail, "could not find image '/i/none' in chain for 'vda'");
    assert_int_equal(err.domain, VIR_FROM_STORAGE);
    err_clear(&err);
    StorageSource *src = NULL;
    assert_string_equal(chain_by_node(def, "libvirt-2-format", &src)->dst, "vda");
    assert_int_equal(src->index.v, 2);
    assert_null(chain_by_node(def, "libvirt-9-storage", &src));
    assert_null(chain_by_node(def, "libvirt-CoR-vda", &src));
    assert_null(chain_by_node(def, "#block123", &src));
    assert_ptr_equal(chain_above(vda->src, src), vda->src);
    assert_null(chain_above(vda->src, vda->src));
    assert_int_equal(chain_length(((DiskDef *)def->disks->pdata[2])->src), 0);
    g_autoptr(StorageSource) copy = storage_source_copy(vda->src);
    assert_int_equal(chain_length(copy), 3);
    assert_true(chain_base(copy)->backing_ends);
}

/* ---- a machine whose monitor is a real QEMU's --------------------------------------------------------------------------------- */

static int start_qemu(pid_t child)
{
    int s[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    static const char *const argv[] = {QEMU, "-S", "-machine", "none", "-nodefaults", "-nographic", "-chardev", "socket,id=mon,fd=3",
                                       "-mon", "chardev=mon,mode=control", NULL};
    SpawnFd pass = {s[1], 3};
    SpawnOpts o = {.argv = argv, .fd_in = -1, .fd_out = -1, .fd_err = -1, .die_with_parent = true, .fds = &pass, .n_fds = 1, .cwd = dir};
    g_auto(Err) err = ERR_INIT;
    if (spawn(&o, &qemu, &err) < 0)
        fail_msg("%s", err.detail);
    close(s[1]);
    return s[0];
}

static void must(int r, const Err *err)
{
    if (r < 0)
        fail_msg("failed: %s", err->detail);
}

static int call_start(Domain *d, void *arg, Err *err)
{
    return domain_start(d, 0, 0, err);
}

static int call_destroy(Domain *d, void *arg, Err *err)
{
    return domain_destroy(d, 0, err);
}

static void qemu_img(const char *first, ...)
{
    const char *argv[16] = {QEMU_IMG, first};
    unsigned n = 2;
    va_list ap;
    va_start(ap, first);
    while ((argv[n] = va_arg(ap, const char *)))
        n++;
    va_end(ap);
    SpawnOpts o = {.argv = argv, .fd_in = -1, .cwd = dir};
    g_auto(Err) err = ERR_INIT;
    must(spawn_run(&o, deadline_in_ms(20000), 65536, NULL, &err), &err);
}

static char *in_dir(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

static int setup(void **state)
{
    if (access(QEMU, X_OK) < 0)
        return 0;
    if (world_setup(state) < 0)
        return -1;
    dir = g_build_filename(world_dir, "images", NULL);
    mkdir(dir, 0700);
    qemu_img("create", "-q", "-f", "raw", "base.raw", "1M", NULL);
    qemu_img("create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "mid.qcow2", NULL);
    qemu_img("create", "-q", "-f", "qcow2", "-b", "mid.qcow2", "-F", "qcow2", "top.qcow2", NULL);
    world_monitor = start_qemu;
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = world_xml("m", UUID, NULL);
    dom = domain_define(world_drv, xml, 0, &err);
    if (!dom)
        fail_msg("%s", err.detail);
    must(world_as_gate(dom, JOB_MODIFY, call_start, NULL, &err), &err);
    /* descriptors are borrowed from the process that has them */
    kill_switch_arm(dom, fcntl(qemu.pidfd, F_DUPFD_CLOEXEC, 3), qemu.pid, dom->life);
    return 0;
}

static int teardown(void **state)
{
    if (!dom)
        return 0;
    g_auto(Err) err = ERR_INIT;
    must(world_as_gate(dom, JOB_DESTROY, call_destroy, NULL, &err), &err);
    child_kill(&qemu);
    g_clear_pointer((Object **)(void *)&dom, object_unref);
    g_clear_pointer(&dir, g_free);
    world_teardown(state);
    return 0;
}

static void as_job(WorldCall call)
{
    if (!dom)
        skip();
    g_auto(Err) err = ERR_INIT;
    must(world_as_gate(dom, JOB_MODIFY, call, NULL, &err), &err);
}

static gint by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "libvirt-1-format:ro libvirt-1-storage:rw …", sorted. */
static char *nodes(Domain *d)
{
    g_auto(Err) err = ERR_INIT;
    json_t *ret = NULL, *n;
    size_t i;
    must(domain_qmp(d, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), &ret, &err), &err);
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    json_array_foreach(ret, i, n)
        g_ptr_array_add(list, g_strdup_printf("%s:%s", json_string_value(json_object_get(n, "node-name")),
                                              json_is_true(json_object_get(n, "ro")) ? "ro" : "rw"));
    g_ptr_array_sort(list, by_text);
    g_ptr_array_add(list, NULL);
    char *text = g_strjoinv(" ", (char **)list->pdata);
    g_ptr_array_unref(list);
    json_decref(ret);
    return text;
}

static void expect_nodes(Domain *d, const char *want)
{
    g_autofree char *got = nodes(d);
    assert_string_equal(got, want);
}

/* How many sets of descriptors QEMU has. */
static unsigned sets(Domain *d)
{
    g_auto(Err) err = ERR_INIT;
    json_t *ret = NULL;
    must(domain_qmp(d, "query-fdsets", NULL, &ret, &err), &err);
    unsigned n = (unsigned)json_array_size(ret);
    json_decref(ret);
    return n;
}

static unsigned in_set(Domain *d, int set)
{
    g_auto(Err) err = ERR_INIT;
    json_t *ret = NULL, *s;
    size_t i;
    unsigned n = 0;
    must(domain_qmp(d, "query-fdsets", NULL, &ret, &err), &err);
    json_array_foreach(ret, i, s)
    {
        if (json_integer_value(json_object_get(s, "fdset-id")) == set)
            n = (unsigned)json_array_size(json_object_get(s, "fds"));
    }
    json_decref(ret);
    return n;
}

/* Commits `from` into `into`, a raw job of QEMU's own. */
static void commit(Domain *d, const StorageSource *top, const StorageSource *from, const StorageSource *into)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *device = qemu_node_format(top), *a = qemu_node_format(from), *b = qemu_node_format(into);
    json_t *args = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "job-id", "commit", "device", device, "top-node", a, "base-node", b,
                             "backing-file", into->path, "auto-dismiss", 0);
    must(domain_qmp(d, "block-commit", args, NULL, &err), &err);
    for (bool over = false; !over;) {
        json_t *jobs = NULL;
        must(domain_qmp(d, "query-jobs", NULL, &jobs, &err), &err);
        json_t *job = json_array_get(jobs, 0);
        over = g_strcmp0(json_string_value(json_object_get(job, "status")), "concluded") == 0;
        if (over && json_object_get(job, "error"))
            fail_msg("%s", json_string_value(json_object_get(job, "error")));
        json_decref(jobs);
    }
    must(domain_qmp(d, "job-dismiss", json_pack("{s:s}", "id", "commit"), NULL, &err), &err);
}

static DomainDef *one_disk(const char *more)
{
    g_autofree char *path = in_dir("top.qcow2");
    g_autofree char *xml = g_strdup_printf("<disk type='file' device='disk'><driver name='qemu' type='qcow2' %s/><source file='%s'/>"
                                           "<target dev='vda' bus='virtio'/></disk>",
                                           more, path);
    return parse(xml);
}

static StorageSource *image(const char *name, StorageFormat format)
{
    StorageSource *s = storage_source_new();
    s->type = STORAGE_FILE;
    s->path = in_dir(name);
    s->format = format;
    return s;
}

static int call_attach(Domain *d, void *arg, Err *err)
{
    g_autoptr(DomainDef) def = one_disk("cache='none' discard='unmap' detect_zeroes='unmap'");
    DiskDef *disk = def->disks->pdata[0];
    unsigned before = d->priv->proc.node_index;
    g_autoptr(Chain) c = chain_open(d, image("top.qcow2", STORAGE_FORMAT_QCOW2), CHAIN_WRITABLE, err);
    if (!c || chain_attach(d, disk, c, NULL, err) < 0)
        return -1;
    assert_int_equal(before, 0);
    assert_int_equal(d->priv->proc.node_index, 3);
    assert_int_equal(chain_length(c->src), 3);
    assert_int_equal(c->src->index.v, 1);
    assert_true(c->src->backing->detected);
    assert_int_equal(c->src->backing->backing->format, STORAGE_FORMAT_RAW);
    assert_int_equal(chain_header(c, 0)->virtual_size, 1 << 20);
    assert_int_equal(chain_header(c, 2)->fmt, IMAGE_FMT_RAW);
    assert_null(chain_header(c, 3));
    expect_nodes(d, "libvirt-1-format:rw libvirt-1-storage:rw libvirt-2-format:ro libvirt-2-storage:rw "
                    "libvirt-3-format:ro libvirt-3-storage:rw"); /* automatically read-only is rw for QEMU */
    assert_int_equal(sets(d), 3);

    /* a backing image is made writable once, and only if its path still leads to it */
    g_autofree char *base_path = in_dir("base.raw"), *aside = in_dir("aside.raw");
    assert_int_equal(rename(base_path, aside), 0);
    qemu_img("create", "-q", "-f", "raw", "base.raw", "1M", NULL);
    assert_int_equal(chain_make_writable(d, disk, c->src->backing->backing, err), -1);
    assert_non_null(strstr(err->detail, "another file now"));
    err_clear(err);
    assert_int_equal(rename(aside, base_path), 0);
    assert_int_equal(in_set(d, 3), 1);
    must(chain_make_writable(d, disk, c->src->backing->backing, err), err);
    assert_int_equal(in_set(d, 3), 2);
    must(chain_make_writable(d, disk, c->src->backing->backing, err), err);
    assert_int_equal(in_set(d, 3), 2);
    commit(d, c->src, c->src->backing, c->src->backing->backing);


    /* what the commit left out goes first, then the rest */
    StorageSource *mid = c->src->backing, *base = mid->backing;
    c->src->backing = base;
    chain_detach(d, mid, base);
    expect_nodes(d, "libvirt-1-format:rw libvirt-1-storage:rw libvirt-3-format:ro libvirt-3-storage:rw");
    mid->backing = NULL;
    storage_source_free(mid);
    chain_detach(d, c->src, base);
    expect_nodes(d, "libvirt-3-format:ro libvirt-3-storage:rw");
    chain_detach(d, base, NULL);
    expect_nodes(d, "");
    assert_int_equal(sets(d), 0);
    qemu_img("resize", "-q", "-f", "qcow2", "top.qcow2", "2M", NULL); /* nobody has it locked */
    return 0;
}

/* QEMU keeps descriptors of removed sets while it is paused: nobody else may be locked out by them. */
static int call_paused(Domain *d, void *arg, Err *err)
{
    g_autoptr(DomainDef) def = one_disk("");
    DiskDef *disk = def->disks->pdata[0];
    must(domain_qmp(d, "stop", NULL, NULL, err), err);
    for (unsigned i = 0; i < 2; i++) {
        g_autoptr(Chain) c = chain_open(d, image("top.qcow2", STORAGE_FORMAT_QCOW2), CHAIN_WRITABLE, err);
        if (!c || chain_attach(d, disk, c, NULL, err) < 0)
            return -1;
        must(chain_make_writable(d, disk, c->src->backing->backing, err), err);
        chain_detach(d, c->src, NULL);
        expect_nodes(d, "");
        qemu_img("resize", "-q", "-f", "raw", "base.raw", "+1M", NULL);
        qemu_img("resize", "-q", "-f", "qcow2", "top.qcow2", "+1M", NULL);
    }
    return domain_qmp(d, "cont", NULL, NULL, err);
}

static void test_paused(void **state)
{
    as_job(call_paused);
}

static void test_attach(void **state)
{
    as_job(call_attach);
}

static void must_fail(int r, Err *err, const char *words)
{
    assert_int_equal(r, -1);
    if (!strstr(err->detail, words))
        fail_msg("'%s' not in: %s", words, err->detail);
    err_clear(err);
}

static int call_rollback(Domain *d, void *arg, Err *err)
{
    g_autoptr(DomainDef) def = one_disk("");
    DiskDef *disk = def->disks->pdata[0];
    /* QEMU refuses the top: what it shall stand on does not exist */
    g_autoptr(StorageSource) nowhere = image("nowhere", STORAGE_FORMAT_RAW);
    nowhere->index = (OptU64){true, 99};
    g_autoptr(Chain) c = chain_open(d, image("top.qcow2", STORAGE_FORMAT_QCOW2), CHAIN_WRITABLE, err);
    must(c ? 0 : -1, err);
    must_fail(chain_attach(d, disk, c, nowhere, err), err, "adding image");
    expect_nodes(d, "");
    assert_int_equal(sets(d), 0);
    /* or one below: an image with a feature nobody knows */
    qemu_img("create", "-q", "-f", "qcow2", "odd.qcow2", "1M", NULL);
    g_autofree char *odd = in_dir("odd.qcow2");
    int fd = open(odd, O_WRONLY);
    assert_int_equal(pwrite(fd, "\x01", 1, 72), 1);
    close(fd);
    StorageSource *top = image("top.qcow2", STORAGE_FORMAT_QCOW2);
    top->backing = image("mid.qcow2", STORAGE_FORMAT_QCOW2);
    top->backing->backing = image("odd.qcow2", STORAGE_FORMAT_QCOW2);
    g_autoptr(Chain) lies = chain_open(d, top, CHAIN_WRITABLE, err);
    must(lies ? 0 : -1, err);
    must_fail(chain_attach(d, disk, lies, NULL, err), err, "adding the images below");
    expect_nodes(d, "");
    assert_int_equal(sets(d), 0);
    /* what lies about its format, and what is not there, QEMU never hears of */
    assert_null(chain_open(d, image("base.raw", STORAGE_FORMAT_QCOW2), CHAIN_ALONE, err));
    must_fail(-1, err, "no qcow2 image");
    assert_null(chain_open(d, image("none.qcow2", STORAGE_FORMAT_QCOW2), 0, err));
    must_fail(-1, err, "none.qcow2");
    return 0;
}

static void test_rollback(void **state)
{
    as_job(call_rollback);
}

static int call_create(Domain *d, void *arg, Err *err)
{
    g_autoptr(DomainDef) def = one_disk("");
    DiskDef *disk = def->disks->pdata[0];
    g_autoptr(Chain) old = chain_open(d, image("top.qcow2", STORAGE_FORMAT_QCOW2), CHAIN_WRITABLE, err);
    if (!old || chain_attach(d, disk, old, NULL, err) < 0)
        return -1;
    g_autoptr(StorageSource) overlay = image("overlay.qcow2", STORAGE_FORMAT_QCOW2);
    ChainCreate how = {.size = 1 << 20, .cluster_size = 4096, .backing = old->src, .backing_name = "top.qcow2", .what = "external snapshot", .dst = "vda"};
    bool made = false;
    must(chain_create(d, overlay, &how, &made, err), err);
    assert_true(made);
    must_fail(chain_create(d, overlay, &how, &made, err), err, "external snapshot file for disk vda already exists");
    StorageSource *copy = storage_source_copy(overlay);
    g_autoptr(Chain) c = chain_open(d, copy, CHAIN_WRITABLE | CHAIN_ALONE, err);
    if (!c || chain_attach(d, disk, c, NULL, err) < 0)
        return -1;
    assert_int_equal(c->src->index.v, 4);
    assert_string_equal(chain_header(c, 0)->backing, "top.qcow2");
    assert_int_equal(chain_header(c, 0)->backing_fmt, IMAGE_FMT_QCOW2);
    assert_int_equal(chain_header(c, 0)->cluster_size, 4096);
    assert_int_equal(chain_header(c, 0)->virtual_size, 1 << 20);
    g_autofree char *lower = qemu_node_format(old->src), *upper = qemu_node_format(c->src);
    must(domain_qmp(d, "blockdev-snapshot", json_pack("{s:s, s:s}", "node", lower, "overlay", upper), NULL, err), err);
    expect_nodes(d, "libvirt-1-format:ro libvirt-1-storage:rw libvirt-2-format:ro libvirt-2-storage:rw "
                    "libvirt-3-format:ro libvirt-3-storage:rw libvirt-4-format:rw libvirt-4-storage:rw");
    must(chain_make_writable(d, disk, c->src, err), err); /* it was the top: nothing to do */
    assert_int_equal(in_set(d, 1), 1);
    c->src->backing = chain_take(old);
    /* another top on the same chain, as a shallow copy has it */
    g_autoptr(StorageSource) target = image("target.qcow2", STORAGE_FORMAT_QCOW2);
    how.backing_name = NULL;
    must(chain_create(d, target, &how, &made, err), err);
    g_autoptr(Chain) second = chain_open(d, storage_source_copy(target), CHAIN_WRITABLE | CHAIN_ALONE, err);
    if (!second || chain_attach(d, disk, second, c->src->backing, err) < 0)
        return -1;
    chain_detach(d, second->src, NULL);
    chain_unmake(d, target);
    assert_int_equal(access(target->path, F_OK), -1);
    chain_detach(d, c->src, NULL);
    expect_nodes(d, "");

    how.backing = NULL;
    g_autoptr(StorageSource) raw = image("copy.raw", STORAGE_FORMAT_RAW);
    must(chain_create(d, raw, &how, &made, err), err);
    struct stat st;
    assert_int_equal(stat(raw->path, &st), 0);
    assert_int_equal(st.st_size, 1 << 20);
    raw->format = STORAGE_FORMAT_VMDK;
    must_fail(chain_create(d, raw, &how, &made, err), err, "allowed: raw, qcow2");
    return 0;
}

static void test_create(void **state)
{
    as_job(call_create);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_images), cmocka_unit_test(test_image_below_an_export),
        cmocka_unit_test_setup_teardown(test_attach, setup, teardown),
        cmocka_unit_test_setup_teardown(test_paused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rollback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_create, setup, teardown),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
