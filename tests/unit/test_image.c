/* unit/test_image.c - image headers (made by hand and by qemu-img), chains, loops, storage that hangs
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/image.h"
#include "util/fd.h"
#include "util/spawn.h"

#define QEMU_IMG "/usr/bin/qemu-img"

static char *dir;

static char *in_dir(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

static void qemu_img(const char *first, ...)
{
    GPtrArray *a = g_ptr_array_new();
    g_ptr_array_add(a, (void *)(uintptr_t)QEMU_IMG);
    va_list ap;
    va_start(ap, first);
    for (const char *s = first; s; s = va_arg(ap, const char *))
        g_ptr_array_add(a, (void *)(uintptr_t)s);
    va_end(ap);
    g_ptr_array_add(a, NULL);
    SpawnOpts o = {.argv = (const char *const *)a->pdata, .fd_in = -1, .cwd = dir};
    g_auto(Err) err = ERR_INIT;
    int r = spawn_run(&o, deadline_in_ms(120000), 65536, NULL, &err);
    if (r < 0)
        print_error("%s\n", err.detail);
    assert_int_equal(r, 0);
    g_ptr_array_unref(a);
}

/* QEMU measures how fast it hashes, and gives up ("Unable to get accurate CPU usage") when the machine gave it no processor meanwhile. */
static void luks_img(const char *name)
{
    const char *argv[] = {QEMU_IMG, "create", "-q", "--object", "secret,id=s,data=x", "-f", "luks", "-o", "key-secret=s,iter-time=10", name, "3M", NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1, .cwd = dir};
    for (int tries = 0; tries < 50; tries++) {
        g_auto(Err) err = ERR_INIT;
        if (spawn_run(&o, deadline_in_ms(120000), 65536, NULL, &err) == 0)
            return;
        if (!strstr(err.detail, "accurate CPU usage"))
            fail_msg("%s", err.detail);
    }
    fail_msg("no processor for qemu-img");
}

static void patch(const char *name, size_t offset, const void *bytes, size_t len)
{
    g_autofree char *path = in_dir(name);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, (off_t)offset), len);
    close(fd);
}

static ImageSet *open_chain(const char *name, ImageFmt fmt, int flags, Err *err)
{
    g_autofree char *path = in_dir(name);
    ImageWant w = {.path = path, .open_flags = flags, .fmt = fmt, .flags = IMAGE_WANT_CHAIN};
    return image_open(&w, 1, deadline_in_ms(10000), err);
}

static int setup(void **state)
{
    dir = g_dir_make_tmp("image-XXXXXX", NULL);
    qemu_img("create", "-q", "-f", "raw", "base.raw", "8M", NULL);
    qemu_img("create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "mid.qcow2", "16M", NULL);
    qemu_img("create", "-q", "-f", "qcow2", "-o", "compat=0.10", "-b", "mid.qcow2", "-F", "qcow2", "top.qcow2", "32M", NULL);
    return 0;
}

static int teardown(void **state)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *n;
    while ((n = g_dir_read_name(d))) {
        g_autofree char *p = in_dir(n);
        unlink(p);
    }
    rmdir(dir);
    g_free(dir);
    return 0;
}

static void test_chain(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(ImageSet) s = open_chain("top.qcow2", IMAGE_FMT_QCOW2, O_RDWR, &err);
    if (s == NULL)
        print_error("%s\n", err.detail);
    assert_non_null(s);
    assert_int_equal(s->nodes->len, 3);
    ImageNode *top = image_set_node(s, 0, 0), *mid = image_set_node(s, 0, 1), *base = image_set_node(s, 0, 2);
    assert_int_equal(top->header.fmt, IMAGE_FMT_QCOW2);
    assert_int_equal(top->header.version, 2);
    assert_int_equal(top->header.virtual_size, 32u << 20);
    assert_int_equal(top->header.backing_fmt, IMAGE_FMT_QCOW2);
    assert_int_equal(mid->header.version, 3);
    assert_int_equal(mid->header.virtual_size, 16u << 20);
    assert_int_equal(base->header.fmt, IMAGE_FMT_RAW);
    assert_int_equal(base->header.virtual_size, 8u << 20);
    g_autofree char *want = in_dir("base.raw");
    assert_string_equal(base->path, want);
    assert_int_equal(fcntl(top->fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
    assert_int_equal(fcntl(base->fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY);
    assert_true(fcntl(top->fd, F_GETFD) & FD_CLOEXEC);
}

/* The first file is a descriptor: its path is only the name its backing file is looked for beside. */
static void test_passed(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *gone = in_dir("passed.qcow2");
    qemu_img("create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "passed.qcow2", NULL);
    int fd = open(gone, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(unlink(gone), 0);
    ImageWant w = {.path = gone, .fd = fd, .fmt = IMAGE_FMT_QCOW2, .flags = IMAGE_WANT_CHAIN | IMAGE_WANT_FD};
    g_autoptr(ImageSet) s = image_open(&w, 1, deadline_in_ms(10000), &err);
    if (s == NULL)
        print_error("%s\n", err.detail);
    assert_non_null(s);
    assert_int_equal(s->nodes->len, 2);
    ImageNode *top = image_set_node(s, 0, 0);
    struct stat a, b;
    assert_true(top->fd != fd);
    assert_int_equal(fstat(fd, &a) | fstat(top->fd, &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    assert_true(fcntl(top->fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(top->header.virtual_size, 8u << 20);
    close(fd);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    w.fd = fd;
    assert_null(image_open(&w, 1, deadline_in_ms(10000), &err));
    assert_int_equal(err.os_errno, EISDIR);
    close(fd);
}

static void test_missing(void **state)
{
    g_auto(Err) err = ERR_INIT;
    assert_null(open_chain("none.qcow2", IMAGE_FMT_QCOW2, O_RDONLY, &err));
    assert_int_equal(err.os_errno, ENOENT);
    err_clear(&err);
    qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", "gone.raw", "-F", "raw", "orphan.qcow2", "1M", NULL);
    assert_null(open_chain("orphan.qcow2", IMAGE_FMT_QCOW2, O_RDONLY, &err));
    assert_non_null(strstr(err.detail, "gone.raw"));
    assert_non_null(strstr(err.detail, "orphan.qcow2"));
}

static void test_optional(void **state)
{
    g_autofree char *path = in_dir("none.iso");
    ImageWant w = {.path = path, .open_flags = O_RDONLY, .fmt = IMAGE_FMT_RAW, .flags = IMAGE_WANT_CHAIN | IMAGE_WANT_OPTIONAL};
    g_auto(Err) err = ERR_INIT;
    g_autoptr(ImageSet) s = image_open(&w, 1, deadline_in_ms(10000), &err);
    assert_non_null(s);
    assert_int_equal(image_set_node(s, 0, 0)->error, ENOENT);
    assert_int_equal(image_set_node(s, 0, 0)->fd, -1);
}

/* The name in the header becomes another of the same length. */
static void rename_backing(const char *image, const char *from, const char *to)
{
    g_autofree char *path = in_dir(image), *data = NULL;
    gsize len = 0;
    assert_true(g_file_get_contents(path, &data, &len, NULL));
    const char *at = memmem(data, len, from, strlen(from));
    assert_non_null(at);
    patch(image, (size_t)(at - data), to, strlen(to));
}

static void test_format_not_recorded(void **state)
{
    g_auto(Err) err = ERR_INIT;
    qemu_img("create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "noformat.qcow2", NULL);
    /* make the format's extension one that nobody knows */
    g_autofree char *path = in_dir("noformat.qcow2");
    char *data = NULL;
    gsize len = 0;
    assert_true(g_file_get_contents(path, &data, &len, NULL));
    const char *ext = memmem(data, len, "\xE2\x79\x2A\xCA", 4);
    assert_non_null(ext);
    patch("noformat.qcow2", (size_t)(ext - data), "\x12\x34\x56\x78", 4);
    g_free(data);
    assert_null(open_chain("noformat.qcow2", IMAGE_FMT_QCOW2, O_RDONLY, &err));
    assert_int_equal(err.code, VIR_ERR_OPERATION_INVALID);
    assert_non_null(strstr(err.detail, "was not specified in the image metadata"));
    g_autofree char *command = g_strdup_printf("qemu-img rebase -u -f qcow2 -b 'base.raw' -F raw '%s'", path);
    assert_non_null(strstr(err.hint, command));
    assert_non_null(strstr(err.hint, "it looks like raw"));
    err_clear(&err);

    /* where it is allowed, it is what it looks like, but only at the end of a chain */
    image_allow_probing(true);
    g_autoptr(ImageSet) s = open_chain("noformat.qcow2", IMAGE_FMT_QCOW2, O_RDONLY, &err);
    assert_non_null(s);
    assert_int_equal(image_set_node(s, 0, 1)->header.fmt, IMAGE_FMT_RAW);
    rename_backing("noformat.qcow2", "base.raw", "mid.qcow");
    g_autofree char *mid = in_dir("mid.qcow2"), *alias = in_dir("mid.qcow");
    assert_int_equal(symlink(mid, alias), 0);
    assert_null(open_chain("noformat.qcow2", IMAGE_FMT_QCOW2, O_RDONLY, &err));
    assert_non_null(strstr(err.hint, "it looks like qcow2"));
    image_allow_probing(false);
}

static void test_loop(void **state)
{
    g_auto(Err) err = ERR_INIT;
    qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", "loop2.qcow2", "-F", "qcow2", "loop1.qcow2", "1M", NULL);
    qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", "loop1.qcow2", "-F", "qcow2", "loop2.qcow2", "1M", NULL);
    assert_null(open_chain("loop1.qcow2", IMAGE_FMT_QCOW2, O_RDONLY, &err));
    assert_non_null(strstr(err.detail, "twice"));
}

/* A chain that somebody wrote down is no better. */
static void test_written_loop(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *top = in_dir("top.qcow2"), *mid = in_dir("mid.qcow2"), *link = in_dir("mid.again");
    assert_int_equal(symlink(mid, link), 0);
    ImageWant w[] = {{.path = mid, .fmt = IMAGE_FMT_QCOW2},
                     {.path = link, .fmt = IMAGE_FMT_RAW, .flags = IMAGE_WANT_BELOW},
                     {.path = top, .fmt = IMAGE_FMT_QCOW2, .flags = IMAGE_WANT_BELOW | IMAGE_WANT_CHAIN}};
    assert_null(image_open(w, 2, deadline_in_ms(10000), &err));
    assert_non_null(strstr(err.detail, "twice"));
    assert_non_null(strstr(err.hint, "<backingStore>"));
    err_clear(&err);
    w[1] = w[2]; /* and by what a header says */
    assert_null(image_open(w, 2, deadline_in_ms(10000), &err));
    assert_non_null(strstr(err.hint, "qemu-img rebase"));
    err_clear(&err);
    w[1].flags = 0; /* two disks may have one base */
    g_autoptr(ImageSet) s = image_open(w, 2, deadline_in_ms(10000), &err);
    assert_non_null(s);
}

static void test_wrong_format(void **state)
{
    g_auto(Err) err = ERR_INIT;
    assert_null(open_chain("base.raw", IMAGE_FMT_QCOW2, O_RDONLY, &err));
    assert_non_null(strstr(err.detail, "base.raw"));
    /* and the other way: a guest's raw disk that looks like qcow2 stays raw, its backing file is not opened */
    err_clear(&err);
    g_autoptr(ImageSet) s = open_chain("top.qcow2", IMAGE_FMT_RAW, O_RDONLY, &err);
    assert_non_null(s);
    assert_int_equal(s->nodes->len, 1);
}

static void test_json_backing(void **state)
{
    g_auto(Err) err = ERR_INIT;
    qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"base.raw\"}}",
             "-F", "raw", "json.qcow2", "1M", NULL);
    g_autoptr(ImageSet) s = open_chain("json.qcow2", IMAGE_FMT_QCOW2, O_RDONLY, &err);
    assert_non_null(s);
    assert_int_equal(s->nodes->len, 2);
    qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", "http://example.org/x", "-F", "raw", "http.qcow2", "1M", NULL);
    assert_null(open_chain("http.qcow2", IMAGE_FMT_QCOW2, O_RDONLY, &err));
    assert_int_equal(err.code, VIR_ERR_CONFIG_UNSUPPORTED);
    /* a part of the file, or other images behind it, is not the file: the guest must not read that instead */
    static const char *const more[] = {"\"offset\":65536", "\"size\":\"65536\"", "\"backing\":null", "\"encrypt.key-secret\":\"s\""};
    for (unsigned i = 0; i < N_ELEMENTS(more); i++) {
        ImageHeader h = {.backing = g_strdup_printf("json:{\"driver\":\"raw\",%s,\"file\":{\"driver\":\"file\",\"filename\":\"/i/b\"}}", more[i])};
        err_clear(&err);
        assert_null(image_backing_path("/i/a", &h, &err));
        assert_int_equal(err.code, VIR_ERR_CONFIG_UNSUPPORTED);
        image_header_clear(&h);
    }
}

/* Exports of servers, as headers name them. */
static void test_nbd_backing(void **state)
{
    static const struct {
        const char *text, *host, *socket, *name; /* no name: not understood */
        unsigned port;
    } cases[] = {
        {"nbd://h/e", "h", NULL, "e", 10809},
        {"nbd://h:99", "h", NULL, "", 99},
        {"nbd://[::1]:99/a%20b", "::1", NULL, "a b", 99},
        {"nbd+unix:///e?socket=/s", NULL, "/s", "e", 0},
        {"nbd+unix:///e?socket=/s%20%26%3d&x=y", NULL, "/s &=", "e", 0},
        {"nbd:h:99", "h", NULL, "", 99},
        {"nbd:h:99:exportname=e:f", "h", NULL, "e:f", 99},
        {"nbd:unix:/s:exportname=e", NULL, "/s", "e", 0},
        {"json:{\"driver\":\"nbd\",\"server.type\":\"inet\",\"server.host\":\"h\",\"server.port\":\"99\",\"export\":\"e\"}", "h", NULL, "e", 99},
        {"json:{\"driver\":\"raw\",\"file\":{\"driver\":\"nbd\",\"server\":{\"type\":\"unix\",\"path\":\"/s\"}}}", NULL, "/s", "", 10809},
        {"json:{\"driver\":\"nbd\",\"host\":\"h\"}", "h", NULL, "", 10809},
        {"nbd://", NULL, NULL, NULL, 0},
        {"nbd:///e", NULL, NULL, NULL, 0},
        {"nbd://h:99999/e", NULL, NULL, NULL, 0},
        {"nbd+unix:///e", NULL, NULL, NULL, 0},
        {"nbd:h", NULL, NULL, NULL, 0},
        {"nbd:exportname=e", NULL, NULL, NULL, 0},
        {"nbd::99", NULL, NULL, NULL, 0},
        {"nbd:unix:", NULL, NULL, NULL, 0},
        {"nbd:", NULL, NULL, NULL, 0},
        {"json:{\"driver\":\"nbd\"}", NULL, NULL, NULL, 0},
        {"json:{\"driver\":\"nbd\",\"server\":{\"type\":\"vsock\",\"host\":\"h\"}}", NULL, NULL, NULL, 0},
        {"json:{\"driver\":\"nbd\",\"server\":{\"type\":\"inet\",\"host\":\"h\",\"port\":\"x\"}}", NULL, NULL, NULL, 0},
        {"json:{\"driver\":\"raw\",\"offset\":4096,\"file\":{\"driver\":\"nbd\",\"host\":\"h\"}}", NULL, NULL, NULL, 0},
        {"json:[", NULL, NULL, NULL, 0},
        {"json:[]", NULL, NULL, NULL, 0},
        {"json:{\"driver\":\"nbd\",\"host\":\"h\\u0001\"}", NULL, NULL, NULL, 0},
        {"nbd://h/e%01", NULL, NULL, NULL, 0},
        {"/nbd://h/e", NULL, NULL, NULL, 0},
    };
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        ImageHeader h = {.backing = g_strdup(cases[i].text)};
        g_autoptr(ImageNbd) n = image_backing_nbd(&h);
        if (!n != !cases[i].name)
            fail_msg("%s", cases[i].text);
        if (n && (g_strcmp0(n->host, cases[i].host) || g_strcmp0(n->socket, cases[i].socket) || g_strcmp0(n->name, cases[i].name) ||
                  (n->host && n->port != cases[i].port)))
            fail_msg("%s: %s %s %s %u", cases[i].text, n->host, n->socket, n->name, n->port);
        image_header_clear(&h);
    }
    g_auto(Err) err = ERR_INIT;
    qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", "nbd://example.org/x", "-F", "raw", "nbd.qcow2", "1M", NULL);
    g_autoptr(ImageSet) s = open_chain("nbd.qcow2", IMAGE_FMT_QCOW2, O_RDONLY, &err);
    assert_non_null(s);
    assert_int_equal(s->nodes->len, 1);
    assert_string_equal(image_set_node(s, 0, 0)->nbd->host, "example.org");
    qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", "nbd://example.org/x", "-F", "qcow2", "nbd.qcow2", "1M", NULL);
    g_autoptr(ImageSet) t = open_chain("nbd.qcow2", IMAGE_FMT_QCOW2, O_RDONLY, &err);
    assert_int_equal(image_set_node(t, 0, 0)->nbd_fmt, IMAGE_FMT_QCOW2);
}

static void test_not_a_file(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *fifo = in_dir("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_null(open_chain("fifo", IMAGE_FMT_RAW, O_RDONLY, &err)); /* nobody writes: an open that waits would hang */
    assert_int_equal(err.os_errno, EINVAL);
    err_clear(&err);
    assert_null(open_chain(".", IMAGE_FMT_RAW, O_RDONLY, &err));
    assert_int_equal(err.os_errno, EISDIR);
}

static void test_many(void **state)
{
    g_autofree char *path = in_dir("top.qcow2");
    g_autofree char *log = in_dir("new.log");
    ImageWant w[] = {
        {.path = path, .open_flags = O_RDONLY, .fmt = IMAGE_FMT_QCOW2, .flags = IMAGE_WANT_CHAIN},
        {.path = log, .open_flags = O_WRONLY | O_CREAT | O_APPEND, .fmt = IMAGE_FMT_RAW},
        {.path = "/dev/null", .open_flags = O_RDWR, .flags = IMAGE_WANT_ANY_TYPE},
        {.path = path, .fmt = IMAGE_FMT_NONE, .open_flags = O_RDONLY, .flags = IMAGE_WANT_PROBE},
    };
    g_auto(Err) err = ERR_INIT;
    g_autoptr(ImageSet) s = image_open(w, N_ELEMENTS(w), deadline_in_ms(10000), &err);
    assert_non_null(s);
    assert_int_equal(s->nodes->len, 6);
    assert_int_equal(image_set_node(s, 1, 0)->mode & 07777, 0600);
    assert_true(image_set_node(s, 2, 0)->fd >= 0);
    assert_int_equal(image_set_node(s, 3, 0)->fd, -1);
    assert_int_equal(image_set_node(s, 3, 0)->header.fmt, IMAGE_FMT_QCOW2);
}

/* One image that is gone, or no image at all, takes nothing from the others. */
static void test_look(void **state)
{
    g_autofree char *top = in_dir("top.qcow2"), *gone = in_dir("gone.qcow2"), *raw = in_dir("base.raw");
    ImageWant w[] = {
        {.path = gone, .open_flags = O_RDONLY, .fmt = IMAGE_FMT_QCOW2, .flags = IMAGE_WANT_PROBE},
        {.path = top, .open_flags = O_RDONLY, .fmt = IMAGE_FMT_QCOW2, .flags = IMAGE_WANT_PROBE},
        {.path = raw, .open_flags = O_RDONLY, .fmt = IMAGE_FMT_QCOW2, .flags = IMAGE_WANT_PROBE}, /* it is none */
        {.path = raw, .open_flags = O_RDONLY, .fmt = IMAGE_FMT_RAW, .flags = IMAGE_WANT_PROBE},
    };
    g_autoptr(ImageSet) s = image_look(w, N_ELEMENTS(w), deadline_in_ms(10000));
    assert_int_equal(s->nodes->len, 2);
    assert_null(image_set_node(s, 0, 0));
    assert_null(image_set_node(s, 2, 0));
    assert_int_equal(image_set_node(s, 1, 0)->header.virtual_size, 32u << 20);
    assert_int_equal(image_set_node(s, 3, 0)->header.virtual_size, 8u << 20);
    g_autoptr(ImageSet) none = image_look(w, N_ELEMENTS(w), deadline_in_ms(0));
    assert_non_null(none); /* no time: findings or none, but no failure */
}

static void test_no_descriptor_leaks(void **state)
{
    AUTO_CLOSE int before = open("/dev/null", O_RDONLY);
    for (int i = 0; i < 20; i++) {
        g_auto(Err) err = ERR_INIT;
        image_set_free(open_chain("top.qcow2", IMAGE_FMT_QCOW2, O_RDWR, &err));
        image_set_free(open_chain("loop1.qcow2", IMAGE_FMT_QCOW2, O_RDWR, &err));
    }
    AUTO_CLOSE int after = open("/dev/null", O_RDONLY);
    assert_int_equal(after, before + 1);
}

/* Headers as an attacker would write them: nothing may be read outside the buffer (the sanitizer watches), nothing accepted. */
static void test_hostile_headers(void **state)
{
    g_autofree char *path = in_dir("mid.qcow2");
    char *text = NULL;
    gsize len = 0;
    assert_true(g_file_get_contents(path, &text, &len, NULL));
    static const struct {
        size_t offset;
        const char *bytes;
        size_t len;
    } bad[] = {
        {8, "\xff\xff\xff\xff\xff\xff\xff\xff", 8}, /* backing name beyond the end */
        {8, "\0\0\0\0\0\0\0\x10", 8},               /* inside the header */
        {16, "\xff\xff\xff\xff", 4},                /* longer than allowed */
        {20, "\0\0\0\x40", 4},                      /* cluster bits */
        {20, "\0\0\0\0", 4},
        {4, "\0\0\0\x09", 4},                       /* version */
        {100, "\xff\xff\xff\xff", 4},               /* header length */
        {100, "\0\0\0\0", 4},
        {116, "\xff\xff\xff\xff", 4},               /* length of the first extension */
        {120, "q\xff", 2},                           /* a format that is no text */
    };
    for (unsigned i = 0; i < N_ELEMENTS(bad); i++) {
        g_autofree uint8_t *copy = g_memdup2(text, len);
        memcpy(copy + bad[i].offset, bad[i].bytes, bad[i].len);
        g_auto(Err) err = ERR_INIT;
        ImageHeader h = {0};
        int r = image_header_parse(copy, len, IMAGE_FMT_QCOW2, "x", &h, &err);
        if (r == 0)
            print_error("case %u accepted\n", i);
        assert_int_equal(r, -1);
    }
    for (size_t cut = 0; cut < 600; cut++) { /* every truncation: an answer of either kind, no fault */
        g_autofree uint8_t *copy = g_memdup2(text, cut ? cut : 1);
        g_auto(Err) err = ERR_INIT;
        ImageHeader h = {0};
        if (image_header_parse(copy, cut, IMAGE_FMT_NONE, "x", &h, &err) == 0)
            image_header_clear(&h);
    }
    g_free(text);
}

/* As qemu-img makes them; every truncation of each is answered without a fault. */
static void test_formats(void **state)
{
    qemu_img("create", "-q", "-f", "raw", "r.raw", "3M", NULL);
    qemu_img("create", "-q", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=128k", "e.qcow2", "3M", NULL);
    qemu_img("create", "-q", "-f", "qcow2", "-o", "data_file=d.data", "d.qcow2", "3M", NULL);
    qemu_img("create", "-q", "-f", "qcow", "-b", "base.raw", "-F", "raw", "q.qcow", "3M", NULL);
    qemu_img("create", "-q", "-f", "qed", "-b", "base.raw", "-F", "raw", "q.qed", "3M", NULL);
    qemu_img("create", "-q", "-f", "vdi", "v.vdi", "3M", NULL);
    qemu_img("create", "-q", "-f", "vpc", "v.vpc", "3M", NULL);
    qemu_img("create", "-q", "-f", "vhdx", "v.vhdx", "3M", NULL);
    qemu_img("create", "-q", "-f", "vmdk", "v.vmdk", "3M", NULL);
    qemu_img("create", "-q", "-f", "vmdk", "-b", "v.vmdk", "-F", "vmdk", "o.vmdk", NULL);
    qemu_img("create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", "f.vmdk", "3M", NULL);
    luks_img("l.luks");
    static const struct {
        const char *name;
        ImageFmt fmt;
        uint64_t size; /* 0: not told */
        const char *backing, *backing_fmt, *data_file;
        bool encrypted;
        unsigned version;
    } cases[] = {
        {"e.qcow2", IMAGE_FMT_QCOW2, 3 << 20, NULL, NULL, NULL, false, 3},
        {"d.qcow2", IMAGE_FMT_QCOW2, 3 << 20, NULL, NULL, "d.data", false, 3},
        {"q.qcow", IMAGE_FMT_QCOW, 3 << 20, "base.raw", NULL, NULL, false, 1},
        {"q.qed", IMAGE_FMT_QED, 3 << 20, "base.raw", "raw", NULL, false, 0},
        {"v.vdi", IMAGE_FMT_VDI, 3 << 20, NULL, NULL, NULL, false, 0x10001},
        {"v.vpc", IMAGE_FMT_VPC, UINT64_MAX, NULL, NULL, NULL, false, 0}, /* rounded to cylinders */
        {"v.vhdx", IMAGE_FMT_VHDX, 0, NULL, NULL, NULL, false, 0},
        {"v.vmdk", IMAGE_FMT_VMDK, 3 << 20, NULL, NULL, NULL, false, 1},
        {"o.vmdk", IMAGE_FMT_VMDK, 3 << 20, "v.vmdk", "vmdk", NULL, false, 1},
        {"f.vmdk", IMAGE_FMT_VMDK, 0, NULL, NULL, "f-flat.vmdk", false, 0},
        {"l.luks", IMAGE_FMT_LUKS, 0, NULL, NULL, NULL, true, 1},
    };
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        g_autofree char *path = in_dir(cases[i].name), *data = NULL;
        gsize len = 0;
        assert_true(g_file_get_contents(path, &data, &len, NULL));
        len = MIN(len, 65536);
        g_auto(Err) err = ERR_INIT;
        ImageHeader h = {0};
        assert_int_equal(image_fmt_by_magic((uint8_t *)data, len), cases[i].fmt);
        if (image_header_parse((uint8_t *)data, len, cases[i].fmt, path, &h, &err) < 0)
            fail_msg("%s", err.detail);
        if (cases[i].size != UINT64_MAX)
            assert_int_equal(h.virtual_size, cases[i].size);
        assert_int_equal(h.version, cases[i].version);
        if (g_strcmp0(h.backing, cases[i].backing) || g_strcmp0(h.backing_fmt_name, cases[i].backing_fmt) ||
            g_strcmp0(h.data_file, cases[i].data_file))
            fail_msg("%s: %s %s %s", cases[i].name, h.backing, h.backing_fmt_name, h.data_file);
        assert_int_equal(h.encrypted, cases[i].encrypted);
        image_header_clear(&h);
        for (size_t cut = 0; cut < MIN(len, 1600); cut++) {
            g_autofree uint8_t *copy = g_memdup2(data, cut ? cut : 1);
            g_auto(Err) cut_err = ERR_INIT;
            if (image_header_parse(copy, cut, cases[i].fmt, "x", &h, &cut_err) == 0)
                image_header_clear(&h);
            else
                assert_non_null(cut_err.detail);
        }
        /* raw bytes are none of these, whatever somebody says */
        static const uint8_t zeros[4096];
        int r = image_header_parse(zeros, sizeof(zeros), cases[i].fmt, "x", &h, &err);
        assert_int_equal(r, cases[i].fmt == IMAGE_FMT_VPC ? 0 : -1); /* one of fixed size is described at its end */
        if (r == 0)
            image_header_clear(&h);
    }
    /* what cannot be followed is refused by name */
    g_auto(Err) err = ERR_INIT;
    assert_null(open_chain("d.qcow2", IMAGE_FMT_QCOW2, O_RDONLY, &err));
    assert_int_equal(err.code, VIR_ERR_CONFIG_UNSUPPORTED);
    assert_non_null(strstr(err.detail, "external data file 'd.data'"));
    err_clear(&err);
    assert_null(open_chain("f.vmdk", IMAGE_FMT_VMDK, O_RDONLY, &err));
    assert_non_null(strstr(err.detail, "external data file 'f-flat.vmdk'"));
    err_clear(&err);
    g_autoptr(ImageSet) s = open_chain("o.vmdk", IMAGE_FMT_VMDK, O_RDONLY, &err);
    assert_non_null(s);
    assert_int_equal(s->nodes->len, 2);
}

/* By hand: what qemu-img does not make. */
static void test_hostile_others(void **state)
{
    uint8_t b[1024];
    ImageHeader h;
    static const struct {
        ImageFmt fmt;
        size_t at1, n1;
        const char *bytes1;
        size_t at2, n2;
        const char *bytes2;
        int result;
    } cases[] = {
        {IMAGE_FMT_LUKS, 0, 8, "LUKS\xba\xbe\0\2", 0, 0, "", 0},
        {IMAGE_FMT_LUKS, 0, 8, "LUKS\xba\xbe\0\3", 0, 0, "", -1},
        {IMAGE_FMT_VMDK, 0, 4, "KDMV", 12, 8, "\xff\xff\xff\xff\xff\xff\xff\xff", -1},  /* larger than any file */
        {IMAGE_FMT_VMDK, 0, 4, "KDMV", 28, 16, "\xff\xff\xff\xff\xff\xff\xff\xff\1\0\0\0\0\0\0\0", 0}, /* far away */
        {IMAGE_FMT_VMDK, 0, 4, "KDMV", 28, 16, "\1\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 0}, /* longer than the file */
        {IMAGE_FMT_VMDK, 0, 21, "# Disk DescriptorFile", 21, 24, "\nparentFileNameHint=\"x\ny", -1},             /* no end */
        {IMAGE_FMT_VMDK, 0, 21, "# Disk DescriptorFile", 21, 12, "\nRW 1 FLAT \"", -1},
        {IMAGE_FMT_VMDK, 0, 4, "COWD", 12, 4, "\xff\xff\xff\xff", 0},
        {IMAGE_FMT_VDI, 64, 8, "\x7f\x10\xda\xbe\1\0\2\0", 0, 0, "", -1},
        {IMAGE_FMT_VPC, 0, 8, "conectix", 60, 4, "\0\0\0\4", -1},
        {IMAGE_FMT_QED, 0, 4, "QED\0", 16, 1, "\1", -1}, /* a backing file without a name */
    };
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        memset(b, 0, sizeof(b));
        memcpy(b + cases[i].at1, cases[i].bytes1, cases[i].n1);
        memcpy(b + cases[i].at2, cases[i].bytes2, cases[i].n2);
        int r = image_header_parse(b, sizeof(b), cases[i].fmt, "x", &h, &err);
        if (r != cases[i].result)
            fail_msg("case %u: %d %s", i, r, err.detail);
        if (r == 0)
            image_header_clear(&h);
    }
}

static void test_read_and_remove(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *path = in_dir("bytes");
    g_autofree uint8_t *data = g_malloc(200000), *got = g_malloc(200000);
    for (unsigned i = 0; i < 200000; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    assert_true(g_file_set_contents(path, (const char *)data, 150000, NULL));
    memset(data + 150000, 0, 50000);
    memset(got, 1, 200000);
    assert_int_equal(image_read(path, 0, got, 200000, deadline_in_ms(10000), &err), 0);
    assert_memory_equal(got, data, 200000);
    assert_int_equal(image_read(path, 149999, got, 3, deadline_in_ms(10000), &err), 0);
    assert_memory_equal(got, data + 149999, 3);
    assert_int_equal(image_read(path, UINT64_MAX - 1, got, 3, deadline_in_ms(10000), &err), -1);
    err_clear(&err);
    assert_int_equal(image_remove(path, deadline_in_ms(10000), &err), 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(image_remove(path, deadline_in_ms(10000), &err), 0);
    assert_int_equal(image_remove(dir, deadline_in_ms(10000), &err), -1);
    assert_int_equal(err.os_errno, EISDIR);
    err_clear(&err);
    assert_int_equal(image_read(path, 0, got, 1, deadline_in_ms(10000), &err), -1);
    assert_int_equal(err.os_errno, ENOENT);
}

static void test_magic(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        ImageFmt fmt;
    } cases[] = {
        {"QFI\xfb\0\0\0\x03", 8, IMAGE_FMT_QCOW2}, {"QFI\xfb\0\0\0\x01", 8, IMAGE_FMT_QCOW}, {"QED\0", 4, IMAGE_FMT_QED},
        {"KDMV", 4, IMAGE_FMT_VMDK},               {"vhdxfile", 8, IMAGE_FMT_VHDX},          {"LUKS\xba\xbe", 6, IMAGE_FMT_LUKS},
        {"conectix", 8, IMAGE_FMT_VPC},            {"hello", 5, IMAGE_FMT_RAW},              {"", 0, IMAGE_FMT_RAW},
    };
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++)
        assert_int_equal(image_fmt_by_magic((const uint8_t *)cases[i].bytes, cases[i].len), cases[i].fmt);
    for (int i = 1; i < IMAGE_FMT_MAX; i++)
        assert_int_equal(image_fmt_find(image_fmt_names[i]), i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),         cmocka_unit_test(test_passed),
        cmocka_unit_test(test_missing),      cmocka_unit_test(test_optional),
        cmocka_unit_test(test_format_not_recorded), cmocka_unit_test(test_loop), cmocka_unit_test(test_written_loop),   cmocka_unit_test(test_wrong_format),
        cmocka_unit_test(test_json_backing),  cmocka_unit_test(test_not_a_file),   cmocka_unit_test(test_many),
        cmocka_unit_test(test_look), cmocka_unit_test(test_nbd_backing), cmocka_unit_test(test_formats), cmocka_unit_test(test_hostile_others),
        cmocka_unit_test(test_read_and_remove),
        cmocka_unit_test(test_no_descriptor_leaks), cmocka_unit_test(test_hostile_headers), cmocka_unit_test(test_magic),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
