/* qemu/caps_cache.c - capabilities kept in memory and on disk
 *
 * Owns:    QemuCapsCache: one entry per binary, the files under cache_dir
 * Threads: any that may sleep; peek from anywhere
 * Locks:   cache.lock (leaf; not held while probing, reading or writing files)
 * Errors:  those of probing; a bad or unwritable cache file only costs a probe
 *
 * There are two depths (caps_private.h): the whole, and a sketch of it for those who only list what the host has.  Each binary has an entry
 * of each.  An entry is in one of three states: empty, being probed by one caller (others wait for it), filled.  Filled ones are checked against
 * the binary's identity at each get, so an upgraded QEMU is probed anew without a restart of the daemon; guests keep the reference they
 * were started with.  What a QEMU told that should have had KVM and did not get it is asked again a minute later, and kept in memory only.
 */
#define LOG_AREA "qemu.caps"
#include "config.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "event/event.h"
#include "util/file.h"
#include "util/intern.h"
#include "util/lock.h"
#include "util/log.h"
#include "util/pool.h"
#include "host/node.h"
#include "qmp/codec.h"
#include "qemu/caps_private.h"

#define CACHE_FILE_MAX (8u << 20)
#define PROBE_MS 60000
#define TRIM_KEEP (256u << 10) /* for the next who needs some */

typedef struct Entry {
    char *binary;
    char *identity; /* of caps */
    QemuCaps *caps; /* NULL: empty */
    Deadline until; /* caps are good till then */
    bool probing;
    unsigned failures; /* probes that failed so far, and why the last one did */
    int fail_code;
    char *fail_detail;
} Entry;

unsigned caps_doubt_ms = 60000;

struct QemuCapsCache {
    char *dir;
    CapsAccount account;
    Mutex lock; /* leaf: entries and what is in them */
    Cond changed;
    GHashTable *entries[CAPS_DEPTHS]; /* binary -> Entry */
};

static void entry_free(void *p)
{
    Entry *e = p;
    qemu_caps_unref(e->caps);
    g_free(e->identity);
    g_free(e->fail_detail);
    g_free(e->binary);
    g_free(e);
}

QemuCapsCache *qemu_caps_cache_new(const QemuCapsConfig *cfg)
{
    QemuCapsCache *cc = g_new0(QemuCapsCache, 1);
    cc->dir = g_strdup(cfg->cache_dir);
    cc->account = (CapsAccount){cfg->uid, cfg->gid};
    mutex_init(&cc->lock, LOCK_LEAF, "capabilities cache");
    cond_init(&cc->changed);
    for (unsigned i = 0; i < CAPS_DEPTHS; i++)
        cc->entries[i] = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
    return cc;
}

void qemu_caps_cache_free(QemuCapsCache *cc)
{
    if (!cc)
        return;
    for (unsigned i = 0; i < CAPS_DEPTHS; i++)
        g_hash_table_unref(cc->entries[i]);
    cond_done(&cc->changed);
    mutex_done(&cc->lock);
    g_free(cc->dir);
    g_free(cc);
}

/* ---- identity */

/* Names and meaning of all flags: a cache written with another table is of no use. */
static unsigned table_hash(void)
{
    unsigned h = CAPS_FORMAT;
    for (unsigned i = 0; i < QEMU_CAP_MAX; i++)
        h = h * 33 + g_str_hash(cap_rows[i].name) * 7 + g_str_hash(cap_rows[i].what) +
            (cap_rows[i].detail ? g_str_hash(cap_rows[i].detail) : 0);
    return h;
}

/* One-line file, without its newline; "" when there is none. */
static char *small_file(const char *path)
{
    char *text = NULL;
    size_t len;
    if (file_read(path, 4096, &text, &len) < 0)
        return g_strdup("");
    return g_strchomp(text);
}

/* What a probe's result depends on beside the binary: this program, and the host as it was when the daemon was first asked, as KVM too is
 * tried only once. */
static char *common_identity;

static void common_identity_init(void)
{
    struct utsname un;
    uname(&un);
    g_autofree char *nested_intel = small_file("/sys/module/kvm_intel/parameters/nested");
    g_autofree char *nested_amd = small_file("/sys/module/kvm_amd/parameters/nested");
    common_identity = g_strdup_printf("kernel=%s/%s kvm=%s nested=%s%s format=%d/%08x/%lu", un.release, un.version, caps_kvm_state(),
                                      nested_intel, nested_amd, CAPS_FORMAT, table_hash(), BERTH_LIBVIRT_VERSION);
}

/* Devices and displays QEMU has in files of their own come and go with packages, without any change of the binary. */
static char *modules_identity(const char *binary)
{
    GString *s = g_string_new("modules=");
    g_autofree char *bin = g_path_get_dirname(binary), *prefix = g_path_get_dirname(bin);
    struct utsname un;
    uname(&un);
    g_autofree char *debian = g_strdup_printf("lib/%s-linux-gnu/qemu", un.machine);
    const char *const dirs[] = {"lib/qemu", "lib64/qemu", debian};
    for (unsigned i = 0; i < N_ELEMENTS(dirs); i++) {
        g_autofree char *path = g_build_filename(prefix, dirs[i], NULL);
        struct stat st;
        if (stat(path, &st) == 0)
            g_string_append_printf(s, "%jd.%09ld,", (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    }
    return g_string_free(s, FALSE);
}

/* Everything a probe's result depends on, as one line.  NULL with Err when the binary cannot be run. */
static char *identity_of(const QemuCapsCache *cc, const char *binary, Err *err)
{
    struct stat st;
    if (stat(binary, &st) < 0) {
        err_set_errno(err, errno, "Cannot check QEMU binary %s", binary);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || access(binary, X_OK) < 0) {
        err_set_errno(err, S_ISREG(st.st_mode) ? EACCES : EINVAL, "QEMU binary %s is not executable", binary);
        return NULL;
    }
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    caps_kvm_state(); /* may sleep, and says so to the pool */
    pthread_once(&once, common_identity_init);
    g_autofree char *modules = modules_identity(binary);
    return g_strdup_printf("%s dev=%ju ino=%ju size=%jd mtime=%jd.%09ld ctime=%jd.%09ld %s uid=%d %s", binary, (uintmax_t)st.st_dev,
                           (uintmax_t)st.st_ino, (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                           (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec, modules, (int)cc->account.uid, common_identity);
}

/* ---- disk */

static char *cache_path(const QemuCapsCache *cc, const char *binary, CapsDepth depth)
{
    if (!cc->dir)
        return NULL;
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, binary, -1);
    return g_strdup_printf("%s/berth-%s%s.json", cc->dir, sum, depth == CAPS_SKETCH ? "-sketch" : "");
}

static QemuCaps *load(const QemuCapsCache *cc, const char *binary, CapsDepth depth, const char *identity)
{
    g_autofree char *path = cache_path(cc, binary, depth);
    g_autofree char *text = NULL;
    size_t len;
    if (!path || file_read(path, CACHE_FILE_MAX, &text, &len) < 0)
        return NULL;
    g_auto(Err) err = ERR_INIT;
    json_t *file = qmp_json_parse(text, len, QMP_MAX_DEPTH, &err);
    const char *of = json_string_value(json_object_get(file, "identity"));
    QemuCaps *caps = NULL;
    if (!file)
        log_warning("%s is not usable and will be replaced: %s", path, err.detail);
    else if (g_strcmp0(of, identity) == 0)
        caps = caps_from_document(binary, json_object_get(file, "caps"), &err);
    json_decref(file);
    return caps;
}

static void save(const QemuCapsCache *cc, const char *binary, CapsDepth depth, const char *identity, json_t *doc)
{
    g_autofree char *path = cache_path(cc, binary, depth);
    if (!path)
        return;
    json_t *file = json_object();
    json_object_set_new(file, "identity", json_string(identity));
    json_object_set(file, "caps", doc);
    char *text = json_dumps(file, JSON_COMPACT);
    int r = text ? dir_make(cc->dir, 0755) : -EINVAL;
    if (r >= 0)
        r = file_replace(path, text, strlen(text), 0644, 0);
    if (r < 0)
        log_warning("cannot keep capabilities of %s in %s: %s", binary, path, g_strerror(-r));
    free(text);
    json_decref(file);
}

/* ---- getting */

static json_t *probe(const QemuCapsCache *cc, const char *binary, CapsDepth depth, Deadline d, Err *err)
{
    bool kvm = caps_kvm_works();
    if (depth == CAPS_WHOLE)
        return caps_probe(binary, cc->account, kvm, d, err);
    const char *native = qemu_caps_emulator_for_arch(node_arch());
    return caps_probe_sketch(binary, cc->account, kvm, g_strcmp0(native, binary) == 0, d, err);
}

static bool is_doubtful(const QemuCaps *caps)
{
    return json_is_true(json_object_get(caps_document(caps), "doubtful"));
}

static QemuCaps *load_or_probe(const QemuCapsCache *cc, const char *binary, CapsDepth depth, const char *identity, Deadline d, Err *err)
{
    QemuCaps *caps = load(cc, binary, depth, identity);
    if (caps)
        return caps;
    uint64_t start = now_us();
    json_t *doc = probe(cc, binary, depth, deadline_min(d, deadline_in_ms(PROBE_MS)), err);
    if (!doc)
        return NULL;
    caps = caps_from_document(binary, doc, err);
    if (caps) {
        log_info("probed %s in %" PRIu64 " ms", binary, (now_us() - start) / 1000);
        if (!is_doubtful(caps))
            save(cc, binary, depth, identity, doc);
    }
    json_decref(doc);
    malloc_trim(TRIM_KEEP); /* what QEMU has told took some megabytes, most of which are free again */
    return caps;
}

/* The entry of a binary, made if need be.  Entries live as long as the cache. */
static Entry *entry_locked(QemuCapsCache *cc, const char *binary, CapsDepth depth)
{
    Entry *e = g_hash_table_lookup(cc->entries[depth], binary);
    if (!e) {
        e = g_new0(Entry, 1);
        e->binary = g_strdup(binary);
        g_hash_table_insert(cc->entries[depth], e->binary, e);
    }
    return e;
}

/* Are its capabilities those of this binary?  Lock held. */
static bool is_good(const Entry *e, const char *identity)
{
    return e->caps && strcmp(e->identity, identity) == 0 && !deadline_passed(e->until);
}

/* Waits for a probe under way.  Then either *ret is what memory has (0), or the caller is to probe (0, *ret NULL, e->probing set), or
 * it failed (-1): also when the probe waited for did, so that many who wait for a binary that hangs do not try it one after the
 * other. */
static int take_or_claim(QemuCapsCache *cc, Entry *e, const char *identity, Deadline d, QemuCaps **ret, Err *err)
{
    unsigned failures = e->failures;
    bool in_time = true;
    while (e->probing && in_time)
        in_time = cond_wait_until(&cc->changed, &cc->lock, d);
    if (e->probing)
        return err_set(err, VIR_ERR_OPERATION_TIMEOUT, "waiting for the capabilities of %s", e->binary);
    if (e->failures != failures)
        return err_set(err, e->fail_code, "%s", e->fail_detail ? e->fail_detail : e->binary);
    if (is_good(e, identity))
        *ret = qemu_caps_ref(e->caps);
    else
        e->probing = true;
    return 0;
}

/* Lock held. */
static void fill_locked(Entry *e, QemuCaps *caps, const char *identity)
{
    qemu_caps_unref(e->caps);
    g_free(e->identity);
    e->caps = qemu_caps_ref(caps);
    e->identity = g_strdup(identity);
    e->until = is_doubtful(caps) ? deadline_in_ms(caps_doubt_ms) : (Deadline){UINT64_MAX};
}

static QemuCaps *get(QemuCapsCache *cc, const char *binary, CapsDepth depth, const char *identity, Deadline d, Err *err)
{
    QemuCaps *caps = NULL;
    pool_blocking_begin();
    mutex_lock(&cc->lock);
    Entry *e = entry_locked(cc, binary, depth);
    int r = take_or_claim(cc, e, identity, d, &caps, err);
    mutex_unlock(&cc->lock);
    pool_blocking_end();
    if (caps || r < 0)
        return caps;
    g_auto(Err) own = ERR_INIT;
    caps = load_or_probe(cc, binary, depth, identity, d, &own);
    LOCK_SCOPE(&cc->lock);
    e->probing = false;
    if (!caps) {
        e->failures++;
        e->fail_code = own.code;
        g_free(e->fail_detail);
        e->fail_detail = g_strdup(own.detail);
        err_move(err, &own);
    } else {
        fill_locked(e, caps, identity);
    }
    cond_broadcast(&cc->changed);
    return caps;
}

QemuCaps *qemu_caps_get(QemuCapsCache *cc, const char *binary, Deadline d, Err *err)
{
    event_assert_may_block();
    g_autofree char *identity = identity_of(cc, binary, err);
    return identity ? get(cc, binary, CAPS_WHOLE, identity, d, err) : NULL;
}

/* What memory or disk has. */
static QemuCaps *known(QemuCapsCache *cc, const char *binary, CapsDepth depth, const char *identity)
{
    {
        LOCK_SCOPE(&cc->lock);
        const Entry *e = entry_locked(cc, binary, depth);
        if (is_good(e, identity))
            return qemu_caps_ref(e->caps);
    }
    QemuCaps *caps = load(cc, binary, depth, identity);
    LOCK_SCOPE(&cc->lock);
    Entry *e = entry_locked(cc, binary, depth);
    if (caps && !e->caps && !e->probing)
        fill_locked(e, caps, identity);
    return caps;
}

QemuCaps *qemu_caps_sketch(QemuCapsCache *cc, const char *binary, Deadline d, Err *err)
{
    event_assert_may_block();
    g_autofree char *identity = identity_of(cc, binary, err);
    if (!identity)
        return NULL;
    QemuCaps *caps = known(cc, binary, CAPS_WHOLE, identity);
    return caps ? caps : get(cc, binary, CAPS_SKETCH, identity, d, err);
}

QemuCaps *qemu_caps_known_sketch(QemuCapsCache *cc, const char *binary)
{
    event_assert_may_block();
    g_autofree char *identity = identity_of(cc, binary, NULL);
    if (!identity)
        return NULL;
    QemuCaps *caps = known(cc, binary, CAPS_WHOLE, identity);
    return caps ? caps : known(cc, binary, CAPS_SKETCH, identity);
}

QemuCaps *qemu_caps_peek(QemuCapsCache *cc, const char *binary)
{
    LOCK_SCOPE(&cc->lock);
    Entry *e = g_hash_table_lookup(cc->entries[CAPS_WHOLE], binary);
    return e && e->caps ? qemu_caps_ref(e->caps) : NULL;
}

/* ---- emulators of architectures */

/* Architecture as libvirt names it, QEMU's target; in the order capabilities list them. */
static const char *const arch_targets[][2] = {
    {"alpha", "alpha"}, {"armv6l", "arm"}, {"armv7l", "arm"}, {"aarch64", "aarch64"}, {"cris", "cris"}, {"i686", "i386"}, {"m68k", "m68k"},
    {"microblaze", "microblaze"}, {"microblazeel", "microblazeel"}, {"mips", "mips"}, {"mipsel", "mipsel"}, {"mips64", "mips64"},
    {"mips64el", "mips64el"}, {"or32", "or1k"}, {"parisc", "hppa"}, {"ppc", "ppc"}, {"ppc64", "ppc64"}, {"ppc64le", "ppc64"},
    {"riscv32", "riscv32"}, {"riscv64", "riscv64"}, {"s390x", "s390x"}, {"sh4", "sh4"}, {"sh4eb", "sh4eb"}, {"sparc", "sparc"},
    {"sparc64", "sparc64"}, {"x86_64", "x86_64"}, {"xtensa", "xtensa"}, {"xtensaeb", "xtensaeb"}, {"loongarch64", "loongarch64"},
};

static const char *arch_names[N_ELEMENTS(arch_targets)];

static void arch_names_init(void)
{
    for (unsigned i = 0; i < N_ELEMENTS(arch_targets); i++)
        arch_names[i] = arch_targets[i][0];
}

const char *const *qemu_caps_arches(unsigned *ret_n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, arch_names_init);
    *ret_n = N_ELEMENTS(arch_targets);
    return arch_names;
}

const char *qemu_caps_emulator_for_arch(const char *arch)
{
    static const char *const dirs[] = {"/usr/bin", "/usr/local/bin", "/usr/libexec"};
    struct utsname un;
    uname(&un);
    for (unsigned i = 0; i < N_ELEMENTS(arch_targets); i++) {
        if (strcmp(arch_targets[i][0], arch) != 0)
            continue;
        for (unsigned k = 0; k < N_ELEMENTS(dirs); k++) {
            g_autofree char *path = g_strdup_printf("%s/qemu-system-%s", dirs[k], arch_targets[i][1]);
            if (access(path, X_OK) == 0)
                return str_intern(path);
        }
        /* An x86_64 binary runs i686 guests as well; some distributions call the native one qemu-kvm. */
        if (strcmp(arch, "i686") == 0)
            return qemu_caps_emulator_for_arch("x86_64");
        if (strcmp(arch, un.machine) == 0 && access("/usr/libexec/qemu-kvm", X_OK) == 0)
            return "/usr/libexec/qemu-kvm";
    }
    return NULL;
}

bool qemu_caps_arch_known(const char *arch)
{
    for (unsigned i = 0; i < N_ELEMENTS(arch_targets); i++) {
        if (strcmp(arch_targets[i][0], arch) == 0)
            return true;
    }
    return false;
}
