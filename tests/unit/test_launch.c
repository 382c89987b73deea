/* unit/test_launch.c - real QEMU processes: every golden definition starts, early ends are explained, a kernel boots, reconnect
 *
 * Skipped where there is no QEMU.  As root the guests run as "nobody" with images only root can read, in a network namespace of our own.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>

#include "golden.h"
#include "qemu/conf.h"
#include "qemu/image_writable.h"
#include "qemu/launch.h"
#include "qemu/props.h"
#include "qmp/client.h"
#include "qmp/commands.h"
#include "util/fd.h"

#define QEMU_IMG "/usr/bin/qemu-img"

static char *dir, *images;
static QemuCapsCache *cache;
static QemuCaps *caps;
static QemuConfig *config;
static EventLoop *loop;
static LaunchDirs dirs;
static int server_fd = -1; /* the socket a mode='connect' channel finds */

static const QmpHandlers handlers;

/* ---- the place --------------------------------------------------------------------------------------------------------------- */

static void qemu_img(const char *a, const char *b, const char *c, const char *d, const char *e, const char *f, const char *g,
                     const char *h)
{
    const char *argv[] = {QEMU_IMG, a, b, c, d, e, f, g, h, NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1, .cwd = images, .umask = 0077};
    g_auto(Err) err = ERR_INIT;
    if (spawn_run(&o, deadline_in_ms(20000), 65536, NULL, &err) < 0)
        fail_msg("%s", err.detail);
}

static void make_bridge(void)
{
    struct nl_sock *s = nl_socket_alloc();
    if (nl_connect(s, NETLINK_ROUTE) == 0) {
        rtnl_link_bridge_add(s, "br0");
        struct rtnl_link *l = NULL;
        if (rtnl_link_get_kernel(s, 0, "lo", &l) == 0) {
            struct rtnl_link *c = rtnl_link_alloc();
            rtnl_link_set_flags(c, rtnl_link_str2flags("up"));
            rtnl_link_change(s, l, c, 0);
            rtnl_link_put(c);
            rtnl_link_put(l);
        }
    }
    nl_socket_free(s);
}

static int setup(void **state)
{
    if (access(GOLDEN_QEMU, X_OK) < 0)
        return 0;
    dir = g_dir_make_tmp("launch-XXXXXX", NULL);
    chmod(dir, 0711);
    images = g_build_filename(dir, "images", NULL);
    mkdir(images, 0700); /* QEMU's account cannot even look into it */
    const char *raw[] = {"base.raw", "c.iso", "d.raw", "e.raw", "f.raw", "u.raw"};
    qemu_img("create", "-q", "-f", "qcow2", "alone.qcow2", "8M", NULL, NULL);
    for (unsigned i = 0; i < N_ELEMENTS(raw); i++)
        qemu_img("create", "-q", "-f", "raw", raw[i], "8M", NULL, NULL);
    qemu_img("create", "-q", "-f", "raw", "fl.raw", "1440K", NULL, NULL);
    const char *mid[] = {QEMU_IMG, "create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "mid.qcow2", NULL};
    const char *top[] = {QEMU_IMG, "create", "-q", "-f", "qcow2", "-b", "mid.qcow2", "-F", "qcow2", "top.qcow2", NULL};
    const char *const *chains[] = {mid, top};
    for (unsigned i = 0; i < 2; i++) {
        SpawnOpts o = {.argv = chains[i], .fd_in = -1, .cwd = images, .umask = 0077};
        g_auto(Err) err = ERR_INIT;
        if (spawn_run(&o, deadline_in_ms(20000), 65536, NULL, &err) < 0)
            fail_msg("%s", err.detail);
    }
    const char *text = "";
    if (geteuid() == 0) {
        text = "user = \"nobody\"\ngroup = \"nogroup\"\n";
        if (unshare(CLONE_NEWNET) == 0)
            make_bridge();
    }
    g_auto(Err) err = ERR_INIT;
    config = qemu_config_parse(text, strlen(text), "test", &err);
    assert_non_null(config);
    QemuCapsConfig c = {.uid = (uid_t)-1};
    cache = qemu_caps_cache_new(&c);
    caps = qemu_caps_get(cache, GOLDEN_QEMU, deadline_in_ms(60000), &err);
    if (caps == NULL)
        fail_msg("%s", err.detail);
    loop = event_loop_new("monitors");
    event_loop_start(loop);
    dirs.lib_dir = g_build_filename(dir, "lib", NULL);
    dirs.log_dir = g_build_filename(dir, "log", NULL);
    server_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/conn.sock", images);
    assert_int_equal(bind(server_fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(server_fd, 10), 0);
    return 0;
}

static int teardown(void **state)
{
    if (dir == NULL)
        return 0;
    event_loop_stop(loop, 0);
    event_loop_free(loop);
    qemu_caps_unref(caps);
    qemu_caps_cache_free(cache);
    qemu_config_unref(config);
    fd_close(&server_fd);
    const char *argv[] = {"/bin/rm", "-rf", dir, NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1};
    spawn_run(&o, deadline_in_ms(20000), 1000, NULL, NULL);
    g_free(dir);
    g_free(images);
    g_free((char *)(uintptr_t)dirs.lib_dir);
    g_free((char *)(uintptr_t)dirs.log_dir);
    return 0;
}

/* ---- helpers ----------------------------------------------------------------------------------------------------------------- */

static DomainDef *parse_here(const char *xml)
{
    g_auto(GStrv) parts = g_strsplit(xml, "/images/", -1);
    g_autofree char *with = g_strconcat(images, "/", NULL);
    g_autofree char *text = g_strjoinv(with, parts);
    g_auto(Err) err = ERR_INIT;
    DomainDef *d = golden_parse(text, caps, &err);
    if (d == NULL)
        fail_msg("%s", err.detail);
    d->id = 7;
    /* places that libvirt chose when the golden was made are ours to choose anew */
    for (unsigned i = 0; i < d->channels->len; i++) {
        ChrDef *c = d->channels->pdata[i];
        if (c->source.type == CHR_UNIX && c->source.mode != CHR_MODE_CONNECT)
            g_clear_pointer(&c->source.path, g_free);
    }
    for (unsigned i = 0; i < d->graphics->len; i++) {
        GraphicsDef *g = d->graphics->pdata[i];
        ListenDef *l = g->listens && g->listens->len ? g->listens->pdata[0] : NULL;
        if (l && l->type == LISTEN_SOCKET)
            g_clear_pointer(&l->socket, g_free);
    }
    /* nobody is at the other end */
    for (unsigned i = 0; i < d->serials->len; i++) {
        ChrDef *c = d->serials->pdata[i];
        if ((c->source.type == CHR_TCP && c->source.mode == CHR_MODE_CONNECT) || c->source.type == CHR_PIPE)
            c->source.type = CHR_NULL;
    }
    for (unsigned i = 0; i < d->nets->len; i++)
        ((NetDef *)d->nets->pdata[i])->target_managed = TRI_ABSENT;
    return d;
}

static int launch(DomainDef *def, LaunchResult *res, Err *err)
{
    LaunchRequest req = {
        .def = def,
        .caps = caps,
        .config = config,
        .dirs = &dirs,
        .monitor_loop = loop,
        .handlers = &handlers,
        .deadline = deadline_in_ms(60000),
    };
    return qemu_launch(&req, res, err);
}

static void end(LaunchResult *res, const DomainDef *def)
{
    g_auto(Err) err = ERR_INIT;
    qmp_quit(res->qmp, &err);
    int status = -1;
    assert_int_equal(child_wait(&res->child, deadline_in_ms(20000), &status), 1);
    assert_int_equal(status, 0);
    fd_close(&res->child.pidfd);
    qmp_client_close(res->qmp, "end");
    qmp_client_unref(res->qmp);
    qemu_launch_cleanup(&res->proc, def, "shutdown");
    assert_int_not_equal(access(res->proc.private_dir, F_OK), 0);
    if (res->proc.cgroup)
        assert_int_not_equal(access(res->proc.cgroup, F_OK), 0);
    g_autofree char *log = NULL;
    assert_true(g_file_get_contents(res->proc.log_path, &log, NULL, NULL));
    assert_non_null(strstr(log, "starting up berth version: "));
    assert_true(g_str_has_suffix(log, ": shutting down, reason=shutdown\n"));
    launched_process_clear(&res->proc);
}

static void need_qemu(void)
{
    if (dir == NULL)
        skip();
}

/* ---- tests ------------------------------------------------------------------------------------------------------------------- */

static void test_goldens_start(void **state)
{
    need_qemu();
    g_auto(GStrv) names = golden_names();
    for (char **n = names; *n; n++) {
        if (geteuid() != 0 && strstr(*n, "bridge"))
            continue;
        g_autofree char *xml = golden_read(*n, ".xml");
        g_autoptr(DomainDef) def = parse_here(xml);
        /* boot files are those of this host, if it has any */
        if (def->os.kernel) {
            g_clear_pointer(&def->os.kernel, g_free);
            g_clear_pointer(&def->os.initrd, g_free);
            g_clear_pointer(&def->os.cmdline, g_free);
        }
        g_auto(Err) err = ERR_INIT;
        LaunchResult res = {0};
        if (launch(def, &res, &err) < 0)
            fail_msg("%s: %s: %s", *n, err.phase, err.detail);
        QmpRunState s;
        assert_int_equal(qmp_query_status(res.qmp, &s, &err), QMP_OK);
        assert_string_equal(s.status, "prelaunch");
        assert_true(res.proc.start_time > 0);
        for (unsigned i = 0; i < def->serials->len; i++) {
            const ChrDef *c = def->serials->pdata[i];
            if (c->source.type == CHR_PTY)
                assert_true(c->source.path && g_str_has_prefix(c->source.path, "/dev/pts/"));
        }
        for (unsigned i = 0; i < def->nets->len; i++) {
            const NetDef *net = def->nets->pdata[i];
            if (net->type == NET_BRIDGE || net->type == NET_ETHERNET)
                assert_non_null(net->ifname);
        }
        end(&res, def);
    }
}

/* QEMU runs as somebody else, without privileges, with nothing of ours. */
static void test_isolation(void **state)
{
    need_qemu();
    if (geteuid() != 0)
        skip();
    g_autofree char *xml = golden_read("minimal", ".xml");
    g_autoptr(DomainDef) def = parse_here(xml);
    g_auto(Err) err = ERR_INIT;
    LaunchResult res = {0};
    if (launch(def, &res, &err) < 0)
        fail_msg("%s: %s", err.phase, err.detail);
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)res.proc.pid);
    g_autofree char *status = NULL;
    assert_true(g_file_get_contents(path, &status, NULL, NULL));
    assert_non_null(strstr(status, "Uid:\t65534\t65534\t65534\t65534"));
    assert_non_null(strstr(status, "CapEff:\t0000000000000000"));
    assert_non_null(strstr(status, "CapBnd:\t0000000000000000"));
    assert_non_null(strstr(status, "NoNewPrivs:\t1"));
    assert_non_null(strstr(status, "Seccomp:\t2"));
    struct stat st;
    assert_int_equal(stat(res.proc.private_dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    assert_int_equal(st.st_uid, 65534);
    assert_string_equal(def->seclabel_dac, "+65534:+65534");
    end(&res, def);
}

static void test_early_exit(void **state)
{
    need_qemu();
    static const struct {
        const char *args, *words, *hint;
    } cases[] = {
        {"<qemu:arg value='-nonsense'/>", "invalid option", NULL},
        {"<qemu:arg value='-drive'/><qemu:arg value='file=/root/none/such.img'/>", "such.img", NULL},
        {"<qemu:arg value='-chardev'/><qemu:arg value='file,id=x,path=/proc/1/mem'/>", "Permission denied", "runs as user nobody"},
    };
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        if (cases[i].hint && geteuid() != 0)
            continue;
        g_autofree char *xml = golden_read("minimal", ".xml");
        g_auto(GStrv) parts = g_strsplit(xml, "</domain>", 2);
        g_auto(GStrv) head = g_strsplit(parts[0], "<domain type='qemu'", 2);
        g_autofree char *with =
            g_strconcat("<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'", head[1], "<qemu:commandline>",
                        cases[i].args, "</qemu:commandline></domain>", NULL);
        g_autoptr(DomainDef) def = parse_here(with);
        g_auto(Err) err = ERR_INIT;
        LaunchResult res = {0};
        uint64_t began = now_us();
        assert_int_equal(launch(def, &res, &err), -1);
        assert_true(now_us() - began < 10000000); /* told at once, not by a deadline */
        if (strstr(err.detail, cases[i].words) == NULL)
            print_error("%s\n", err.detail);
        assert_non_null(strstr(err.detail, "process exited while connecting to monitor: "));
        assert_non_null(strstr(err.detail, cases[i].words));
        assert_string_equal(err.phase, "connecting to the monitor");
        if (cases[i].hint) {
            assert_non_null(err.hint);
            assert_non_null(strstr(err.hint, cases[i].hint));
        }
        g_autofree char *left = g_build_filename(dirs.lib_dir, "domain-7-min", NULL);
        assert_int_not_equal(access(left, F_OK), 0);
    }
}

static void test_missing_image(void **state)
{
    need_qemu();
    g_autofree char *xml = golden_read("q35-bridge-usb2", ".xml");
    g_autoptr(DomainDef) def = parse_here(xml);
    DiskDef *d = def->disks->pdata[0];
    g_free(d->src->path);
    d->src->path = g_build_filename(images, "gone.iso", NULL);
    d->src->type = STORAGE_FILE;
    d->startup_policy = STARTUP_MANDATORY;
    g_auto(Err) err = ERR_INIT;
    LaunchResult res = {0};
    assert_int_equal(launch(def, &res, &err), -1);
    assert_string_equal(err.phase, "opening images");
    assert_non_null(strstr(err.detail, "gone.iso"));
    assert_int_equal(err.os_errno, ENOENT);
}

/* A guest's chain is found and shown, whatever the definition said of it: nothing. */
static void test_chain_found(void **state)
{
    need_qemu();
    g_autofree char *xml = golden_read("q35-devices", ".xml");
    g_autoptr(DomainDef) def = parse_here(xml);
    DiskDef *disk = def->disks->pdata[0];
    StorageSource *below = disk->src->backing;
    disk->src->backing = NULL;
    disk->src->backing_ends = false;
    g_auto(Err) err = ERR_INIT;
    LaunchResult res = {0};
    if (launch(def, &res, &err) < 0)
        fail_msg("%s: %s", err.phase, err.detail);
    assert_non_null(disk->src->backing);
    assert_int_equal(disk->src->backing->format, STORAGE_FORMAT_QCOW2);
    assert_non_null(disk->src->backing->backing);
    assert_true(disk->src->backing->backing->backing_ends);
    assert_true(disk->src->backing->backing->index.v > 0);
    end(&res, def);
    /* the part that was taken off */
    DiskDef *owner = g_new0(DiskDef, 1);
    owner->src = disk->src->backing;
    disk->src->backing = below;
    for (StorageSource *s = owner->src, *next; s; s = next) {
        next = s->backing;
        g_free(s->path);
        g_free(s);
    }
    g_free(owner);
}

static void test_reconnect(void **state)
{
    need_qemu();
    g_autofree char *xml = golden_read("minimal", ".xml");
    g_autoptr(DomainDef) def = parse_here(xml);
    g_auto(Err) err = ERR_INIT;
    LaunchResult res = {0};
    if (launch(def, &res, &err) < 0)
        fail_msg("%s: %s", err.phase, err.detail);
    qmp_client_close(res.qmp, "the daemon restarts");
    res.qmp = qmp_client_unref(res.qmp);

    LaunchRequest req = {.def = def, .config = config, .dirs = &dirs, .monitor_loop = loop, .handlers = &handlers,
                         .deadline = deadline_in_ms(20000)};
    LaunchResult again = {0};
    bool gone = true;
    if (qemu_launch_reconnect(&req, &res.proc, &again, &gone, &err) < 0)
        fail_msg("%s", err.detail);
    assert_false(gone);
    QmpRunState s;
    assert_int_equal(qmp_query_status(again.qmp, &s, &err), QMP_OK);
    fd_close(&res.child.pidfd);
    res.child.pid = 0;

    LaunchedProcess other = {0};
    launched_process_copy(&other, &res.proc);
    other.start_time++; /* the pid means another process now */
    LaunchResult none = {0};
    assert_int_equal(qemu_launch_reconnect(&req, &other, &none, &gone, &err), -1);
    assert_true(gone);
    launched_process_clear(&other);
    launched_process_clear(&res.proc);
    err_clear(&err);
    end(&again, def);
}

/* Commits into a backing image, which QEMU was given read-only: the guest survives, before and while it runs. */
static void commit_into_base(bool run)
{
    g_autofree char *xml = golden_read("q35-devices", ".xml");
    g_autoptr(DomainDef) def = parse_here(xml);
    g_auto(Err) err = ERR_INIT;
    LaunchResult res = {0};
    if (launch(def, &res, &err) < 0)
        fail_msg("%s: %s", err.phase, err.detail);
    if (run)
        assert_int_equal(qmp_cont(res.qmp, &err), QMP_OK);
    const DiskDef *disk = def->disks->pdata[0];
    const StorageSource *mid = disk->src->backing, *base = mid->backing;
    AUTO_CLOSE int fd = open(base->path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    if (qemu_image_make_writable(res.qmp, res.child.pidfd, disk, base, fd, &err) < 0)
        fail_msg("%s", err.detail);
    json_t *args = json_object();
    g_autofree char *top_node = qemu_node_format(disk->src), *mid_node = qemu_node_format(mid), *base_node = qemu_node_format(base);
    props_str(args, "job-id", "commit");
    props_str(args, "device", top_node);
    props_str(args, "top-node", mid_node);
    props_str(args, "base-node", base_node);
    props_bool(args, "auto-dismiss", false);
    if (qmp_do(res.qmp, QMP(BLOCK_COMMIT), args, NULL, &err) != QMP_OK)
        fail_msg("%s", err.detail);
    bool concluded = false;
    for (int i = 0; i < 2000 && !concluded; i++) {
        json_t *jobs = NULL;
        if (qmp_do(res.qmp, QMP(QUERY_JOBS), NULL, &jobs, &err) != QMP_OK)
            fail_msg("%s", err.detail);
        json_t *job = json_array_get(jobs, 0);
        concluded = g_strcmp0(json_string_value(json_object_get(job, "status")), "concluded") == 0;
        if (concluded && json_object_get(job, "error"))
            fail_msg("%s", json_string_value(json_object_get(job, "error")));
        json_decref(jobs);
    }
    assert_true(concluded);
    end(&res, def);
    /* the chain is shorter now: make it anew for the other tests */
    const char *mid_argv[] = {QEMU_IMG, "create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "mid.qcow2", NULL};
    const char *top_argv[] = {QEMU_IMG, "create", "-q", "-f", "qcow2", "-b", "mid.qcow2", "-F", "qcow2", "top.qcow2", NULL};
    const char *const *chains[] = {mid_argv, top_argv};
    for (unsigned i = 0; i < 2; i++) {
        SpawnOpts o = {.argv = chains[i], .fd_in = -1, .cwd = images, .umask = 0077};
        if (spawn_run(&o, deadline_in_ms(20000), 65536, NULL, &err) < 0)
            fail_msg("%s", err.detail);
    }
}

static void test_commit_paused(void **state)
{
    need_qemu();
    commit_into_base(false);
}

static void test_commit_running(void **state)
{
    need_qemu();
    commit_into_base(true);
}

/* Reads a pty until `needle` shows or the deadline passes. */
static bool pty_shows(const char *path, const char *needle, Deadline d)
{
    AUTO_CLOSE int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    g_autoptr(GString) s = g_string_new(NULL);
    while (!deadline_passed(d)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        poll(&p, 1, deadline_left_ms(d));
        char buf[4096];
        ssize_t n = read(fd, buf, sizeof(buf));
        if (n > 0)
            g_string_append_len(s, buf, n);
        else if (n == 0 || errno != EAGAIN)
            return false;
        if (strstr(s->str, needle))
            return true;
    }
    return false;
}

static void test_kernel_boots(void **state)
{
    need_qemu();
    g_autoptr(GDir) boot = g_dir_open("/boot", 0, NULL);
    g_autofree char *kernel = NULL;
    const char *n;
    while (boot && kernel == NULL && (n = g_dir_read_name(boot))) {
        if (g_str_has_prefix(n, "vmlinuz-"))
            kernel = g_build_filename("/boot", n, NULL);
    }
    if (kernel == NULL || access(kernel, R_OK) < 0)
        skip();
    /* as Ubuntu has it: readable for root only, so QEMU gets a copy in memory */
    g_autofree char *own = g_build_filename(images, "vmlinuz", NULL);
    char *data = NULL;
    gsize len = 0;
    assert_true(g_file_get_contents(kernel, &data, &len, NULL));
    assert_true(g_file_set_contents_full(own, data, (gssize)len, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    g_free(data);

    g_autofree char *xml = golden_read("q35-devices", ".xml");
    g_autoptr(DomainDef) def = parse_here(xml);
    def->os.kernel = g_strdup(own);
    def->os.cmdline = g_strdup("console=ttyS0 panic=-1");
    g_auto(Err) err = ERR_INIT;
    LaunchResult res = {0};
    if (launch(def, &res, &err) < 0)
        fail_msg("%s: %s", err.phase, err.detail);
    const ChrDef *serial = def->serials->pdata[0];
    assert_int_equal(qmp_cont(res.qmp, &err), QMP_OK);
    assert_true(pty_shows(serial->source.path, "Linux version", deadline_in_ms(120000)));
    end(&res, def);
}

static void test_ports(void **state)
{
    need_qemu();
    g_autofree char *golden = golden_read("minimal", ".xml");
    g_auto(GStrv) parts = g_strsplit(golden, "</devices>", 2);
    g_autofree char *xml = g_strconcat(parts[0], "<graphics type='vnc' port='-1' autoport='yes'><listen type='address' address='127.0.0.1'/>"
                                       "</graphics></devices>", parts[1], NULL);
    g_autoptr(DomainDef) one = parse_here(xml);
    g_autoptr(DomainDef) two = parse_here(xml);
    g_free(two->name);
    two->name = g_strdup("second");
    two->id = 8;
    g_auto(Err) err = ERR_INIT;
    LaunchResult r1 = {0}, r2 = {0};
    if (launch(one, &r1, &err) < 0 || launch(two, &r2, &err) < 0)
        fail_msg("%s: %s", err.phase, err.detail);
    const GraphicsDef *g1 = one->graphics->pdata[0], *g2 = two->graphics->pdata[0];
    assert_true(g1->port >= 5900);
    assert_true(g2->port > g1->port);
    end(&r1, one);
    end(&r2, two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens_start), cmocka_unit_test(test_isolation),     cmocka_unit_test(test_early_exit),
        cmocka_unit_test(test_missing_image), cmocka_unit_test(test_chain_found),   cmocka_unit_test(test_reconnect),
        cmocka_unit_test(test_ports),         cmocka_unit_test(test_kernel_boots),
        cmocka_unit_test(test_commit_paused), cmocka_unit_test(test_commit_running),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
