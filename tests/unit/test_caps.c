/* tests/unit/test_caps.c - capabilities of the QEMU that is installed
 */
#include "config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <glib/gstdio.h>

#include "util/file.h"
#include "qemu/caps_private.h"

#define QEMU "/usr/bin/qemu-system-x86_64"

/* In place of caps_kvm.c: whether KVM works is the test's to say. */
static bool kvm_works;

bool caps_kvm_works(void)
{
    return kvm_works;
}

const char *caps_kvm_state(void)
{
    return "test";
}

bool caps_kvm_tsc(uint64_t *ret_hz, bool *ret_scaling)
{
    return false;
}

static char *cache_dir;
static QemuCapsCache *cache;

static QemuCapsCache *new_cache(void)
{
    QemuCapsConfig cfg = {.cache_dir = cache_dir, .uid = (uid_t)-1, .gid = (gid_t)-1};
    return qemu_caps_cache_new(&cfg);
}

static int setup(void **state)
{
    cache_dir = g_dir_make_tmp("caps-XXXXXX", NULL);
    cache = new_cache();
    return cache_dir ? 0 : -1;
}

static int teardown(void **state)
{
    kvm_works = false;
    caps_doubt_ms = 60000;
    qemu_caps_cache_free(cache);
    GDir *dir = g_dir_open(cache_dir, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(cache_dir, name, NULL);
        unlink(path);
    }
    if (dir)
        g_dir_close(dir);
    rmdir(cache_dir);
    g_free(cache_dir);
    return 0;
}

static QemuCaps *get(QemuCapsCache *cc)
{
    g_auto(Err) err = ERR_INIT;
    QemuCaps *caps = qemu_caps_get(cc, QEMU, deadline_in_ms(60000), &err);
    if (!caps)
        fail_msg("%s", err.detail);
    return caps;
}

static char *only_file(void)
{
    GDir *dir = g_dir_open(cache_dir, 0, NULL);
    char *path = g_build_filename(cache_dir, g_dir_read_name(dir), NULL);
    assert_null(g_dir_read_name(dir));
    g_dir_close(dir);
    return path;
}

static void test_facts(void **state)
{
    if (access(QEMU, X_OK) < 0)
        skip();
    assert_null(qemu_caps_peek(cache, QEMU));
    g_autoptr(QemuCaps) caps = get(cache);
    assert_true(qemu_caps_version(caps) >= 7002000);
    assert_string_equal(qemu_caps_arch(caps), "x86_64");
    assert_string_equal(qemu_caps_machine_canonical(caps, "pc"), qemu_caps_default_machine(caps));
    assert_true(g_str_has_prefix(qemu_caps_machine_canonical(caps, "q35"), "pc-q35-"));
    assert_null(qemu_caps_machine_canonical(caps, "nonsense"));
    assert_null(qemu_caps_machine_canonical(caps, "none"));
    const QemuMachine *q35 = qemu_caps_machine(caps, "q35");
    assert_true(q35->max_cpus >= 255);
    assert_string_equal(q35->default_cpu, "qemu64");
    assert_true(q35->hotpluggable_cpus);
    static const QemuCap must[] = {QEMU_CAP_VIRTIO_BLK, QEMU_CAP_PCIE_ROOT_PORT, QEMU_CAP_SANDBOX, QEMU_CAP_SET_ACTION,
                                   QEMU_CAP_NETDEV_STREAM, QEMU_CAP_SCREENDUMP_PNG, QEMU_CAP_VIRTIO_ACPI_INDEX, QEMU_CAP_VNC,
                                   QEMU_CAP_FD_SOCKET_CHARDEV, QEMU_CAP_MEMORY_FAILURE_EVENT, QEMU_CAP_BLOCKDEV_IO_URING,
                                   QEMU_CAP_MIGRATION_MULTIFD};
    for (unsigned i = 0; i < N_ELEMENTS(must); i++) {
        if (!qemu_caps_has(caps, must[i]))
            fail_msg("flag %s is not set", qemu_cap_name(must[i]));
    }
    assert_false(qemu_caps_has(caps, QEMU_CAP_IGB)); /* came with 8.0 */
    unsigned n;
    const QemuCpuModel *models = qemu_caps_cpu_models(caps, QEMU_ACCEL_TCG, &n);
    bool qemu64 = false, skylake = false;
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(models[i].name, "qemu64") == 0)
            qemu64 = models[i].usable && !models[i].is_versioned;
        if (strcmp(models[i].name, "Skylake-Server-v4") == 0)
            skylake = !models[i].usable && models[i].blockers && models[i].is_versioned;
    }
    assert_true(qemu64);
    assert_true(skylake);
}

/* A second cache on the same directory needs no probe, and says the same. */
static void test_disk(void **state)
{
    if (access(QEMU, X_OK) < 0)
        skip();
    g_autoptr(QemuCaps) first = get(cache);
    g_autofree char *path = only_file();
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    QemuCapsCache *other = new_cache();
    uint64_t start = now_us();
    g_autoptr(QemuCaps) second = get(other);
    print_message("from disk in %d us\n", (int)(now_us() - start));
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino); /* not written again */
    for (unsigned f = 0; f < QEMU_CAP_MAX; f++)
        assert_int_equal(qemu_caps_has(first, f), qemu_caps_has(second, f));
    qemu_caps_cache_free(other);
    /* what is no cache file is replaced */
    static const char *const bad[] = {"", "{", "[]", "{\"identity\": 5}", "{\"identity\": \"x\", \"caps\": {}}", "\xff\xff"};
    for (unsigned i = 0; i < N_ELEMENTS(bad); i++) {
        assert_int_equal(file_replace(path, bad[i], strlen(bad[i]), 0644, 0), 0);
        other = new_cache();
        QemuCaps *third = get(other);
        assert_int_equal(qemu_caps_version(third), qemu_caps_version(first));
        qemu_caps_unref(third);
        qemu_caps_cache_free(other);
        assert_int_equal(stat(path, &after), 0);
        assert_true(after.st_size > 10000);
    }
}

static void *getter(void *arg)
{
    return get(cache);
}

/* Requests at the same time share one probe. */
static void test_shared(void **state)
{
    if (access(QEMU, X_OK) < 0)
        skip();
    pthread_t t[6];
    QemuCaps *caps[6];
    for (unsigned i = 0; i < 6; i++)
        pthread_create(&t[i], NULL, getter, NULL);
    for (unsigned i = 0; i < 6; i++)
        pthread_join(t[i], (void **)&caps[i]);
    for (unsigned i = 0; i < 6; i++) {
        assert_ptr_equal(caps[i], caps[0]);
        qemu_caps_unref(caps[i]);
    }
    QemuCaps *peeked = qemu_caps_peek(cache, QEMU);
    assert_ptr_equal(peeked, caps[0]);
    qemu_caps_unref(peeked);
}

/* Binaries that are no QEMU: an error in time, no cache file, and a good answer later. */
static void test_bad_binaries(void **state)
{
    g_auto(Err) err = ERR_INIT;
    assert_null(qemu_caps_get(cache, "/nonexistent/qemu", deadline_in_ms(5000), &err));
    assert_int_equal(err.code, VIR_ERR_SYSTEM_ERROR);
    assert_non_null(strstr(err.detail, "Cannot check QEMU binary /nonexistent/qemu"));
    err_clear(&err);
    assert_null(qemu_caps_get(cache, "/tmp", deadline_in_ms(5000), &err));
    err_clear(&err);
    assert_null(qemu_caps_get(cache, "/bin/false", deadline_in_ms(5000), &err));
    assert_int_equal(err.code, VIR_ERR_INTERNAL_ERROR);
    err_clear(&err);

    g_autofree char *script = g_build_filename(cache_dir, "qemu-system-fake", NULL);
    static const char talks[] = "#!/bin/sh\necho 'no such accelerator' >&2\nexit 1\n";
    assert_int_equal(file_replace(script, talks, sizeof(talks) - 1, 0755, 0), 0);
    assert_null(qemu_caps_get(cache, script, deadline_in_ms(5000), &err));
    assert_non_null(strstr(err.detail, "no such accelerator"));
    err_clear(&err);

    static const char hangs[] = "#!/bin/sh\nexec sleep 100\n";
    assert_int_equal(file_replace(script, hangs, sizeof(hangs) - 1, 0755, 0), 0);
    uint64_t start = now_us();
    assert_null(qemu_caps_get(cache, script, deadline_in_ms(300), &err));
    assert_int_equal(err.code, VIR_ERR_OPERATION_TIMEOUT);
    assert_true(now_us() - start < 5000000);
}

static void *bad_getter(void *arg)
{
    g_auto(Err) err = ERR_INIT;
    assert_null(qemu_caps_get(cache, arg, deadline_in_ms(400), &err));
    assert_int_equal(err.code, VIR_ERR_OPERATION_TIMEOUT);
    return NULL;
}

/* Many who ask for a binary that hangs share its one probe's failure. */
static void test_shared_failure(void **state)
{
    g_autofree char *script = g_build_filename(cache_dir, "qemu-system-hangs", NULL);
    static const char hangs[] = "#!/bin/sh\nexec sleep 100\n";
    assert_int_equal(file_replace(script, hangs, sizeof(hangs) - 1, 0755, 0), 0);
    pthread_t t[8];
    uint64_t start = now_us();
    for (unsigned i = 0; i < 8; i++)
        pthread_create(&t[i], NULL, bad_getter, script);
    for (unsigned i = 0; i < 8; i++)
        pthread_join(t[i], NULL);
    assert_true(now_us() - start < 2000000);
}

/* QEMUs run with KVM by the script below. */
static unsigned kvm_runs(void)
{
    g_autofree char *log = g_build_filename(cache_dir, "runs", NULL), *text = NULL;
    size_t len = 0;
    return file_read(log, 4096, &text, &len) < 0 ? 0 : (unsigned)len;
}

/* A busy host, or an account that may not use /dev/kvm yet: what QEMU says without it is not for ever. */
static void test_kvm_that_did_not_come(void **state)
{
    if (access(QEMU, X_OK) < 0)
        skip();
    kvm_works = true;
    g_autofree char *script = g_build_filename(cache_dir, "qemu-system-nokvm", NULL);
    g_autofree char *text = g_strdup_printf("#!/bin/sh\ncase \"$*\" in *accel=kvm*) printf x >>%s/runs; echo denied >&2; exit 1;; esac\nexec " QEMU " \"$@\"\n",
                                            cache_dir);
    assert_int_equal(file_replace(script, text, strlen(text), 0755, 0), 0);
    g_auto(Err) err = ERR_INIT;
    for (unsigned runs = 1; runs <= 2; runs++) { /* two daemons, one after the other */
        QemuCapsCache *cc = new_cache();
        for (unsigned i = 0; i < 2; i++) { /* for a while it counts */
            QemuCaps *caps = qemu_caps_get(cc, script, deadline_in_ms(60000), &err);
            if (!caps)
                fail_msg("%s", err.detail);
            assert_false(qemu_caps_accel_usable(caps, QEMU_ACCEL_KVM));
            qemu_caps_unref(caps);
            assert_int_equal(kvm_runs(), runs);
        }
        qemu_caps_cache_free(cc);
    }
    caps_doubt_ms = 0;
    for (unsigned runs = 3; runs <= 4; runs++) { /* and then it is asked again */
        QemuCaps *caps = qemu_caps_get(cache, script, deadline_in_ms(60000), &err);
        assert_non_null(caps);
        qemu_caps_unref(caps);
        assert_int_equal(kvm_runs(), runs);
    }
}

/* A package of modules (a display, a USB redirector) was installed: the binary is the same, what it can do is not. */
static void test_modules(void **state)
{
    if (access(QEMU, X_OK) < 0)
        skip();
    g_autofree char *bin = g_build_filename(cache_dir, "bin", NULL), *lib = g_build_filename(cache_dir, "lib", NULL);
    g_autofree char *modules = g_build_filename(lib, "qemu", NULL), *module = g_build_filename(modules, "hw-display-qxl.so", NULL);
    g_autofree char *script = g_build_filename(bin, "qemu-system-x86_64", NULL);
    static const char text[] = "#!/bin/sh\nexec " QEMU " \"$@\"\n";
    assert_int_equal(g_mkdir(bin, 0755) | g_mkdir(lib, 0755) | g_mkdir(modules, 0755), 0);
    struct timespec then[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, modules, then, 0), 0);
    assert_int_equal(file_replace(script, text, sizeof(text) - 1, 0755, 0), 0);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(QemuCaps) first = qemu_caps_get(cache, script, deadline_in_ms(60000), &err);
    g_autoptr(QemuCaps) second = qemu_caps_get(cache, script, deadline_in_ms(60000), &err);
    assert_int_equal(file_replace(module, "", 0, 0644, 0), 0);
    g_autoptr(QemuCaps) third = qemu_caps_get(cache, script, deadline_in_ms(60000), &err);
    if (!first || !third)
        fail_msg("%s", err.detail);
    assert_ptr_equal(second, first);
    assert_ptr_not_equal(third, first);
    assert_int_equal(unlink(module) | unlink(script) | rmdir(modules) | rmdir(lib) | rmdir(bin), 0);
}

static void test_arches(void **state)
{
    assert_null(qemu_caps_emulator_for_arch("nonsense"));
    assert_true(qemu_caps_arch_known("aarch64"));
    assert_false(qemu_caps_arch_known("nonsense"));
    if (access(QEMU, X_OK) == 0)
        assert_string_equal(qemu_caps_emulator_for_arch("x86_64"), QEMU);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(test_facts), CASE(test_disk), CASE(test_shared), CASE(test_bad_binaries), CASE(test_shared_failure), CASE(test_kvm_that_did_not_come), CASE(test_modules), CASE(test_arches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
