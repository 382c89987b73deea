/* host/node.c - this machine in one line: cpus, memory, name, identity, KVM, suspend, IOMMU
 *
 * Owns:    the machine's UUID, once it was asked for
 * Threads: any
 * Locks:   uuid_lock (leaf; held over the one read that decides the UUID)
 * Errors:  Err
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <linux/kvm.h>

#define ERR_FROM VIR_FROM_NONE
#include "util/fd.h"
#include "util/file.h"
#include "util/lock.h"
#include "util/uuid.h"
#include "host/hostfs.h"
#include "host/node.h"
#include "host/private.h"

#define KVM_API 12

/* ---- architecture and speed ------------------------------------------------------------------ */

static char arch_name[sizeof(((struct utsname *)NULL)->machine)];
static pthread_once_t arch_once = PTHREAD_ONCE_INIT;

static void arch_init(void)
{
    struct utsname u;
    uname(&u); /* fails only for a bad pointer */
    bool x86_32 = u.machine[0] == 'i' && g_ascii_isdigit(u.machine[1]) && strcmp(u.machine + 2, "86") == 0;
    g_strlcpy(arch_name, x86_32 ? "i686" : u.machine, sizeof(arch_name));
}

const char *node_arch(void)
{
    pthread_once(&arch_once, arch_init);
    return arch_name;
}

/* The first processor's clock as /proc/cpuinfo tells it ("cpu MHz" on x86, "clock" on ppc64), else its nominal maximum.
 */
static unsigned read_mhz(void)
{
    static const char *const keys[] = {"cpu MHz", "clock"};
    g_autofree char *text = NULL;
    if (hostfs_read_head(&text, HOSTFS_SMALL, "/proc/cpuinfo") == 0) {
        for (unsigned i = 0; i < N_ELEMENTS(keys); i++) {
            const char *p = text;
            unsigned long long v;
            while (p && !g_str_has_prefix(p, keys[i])) {
                p = strchr(p, '\n');
                p = p ? p + 1 : NULL;
            }
            if (!p)
                continue;
            p += strlen(keys[i]);
            p += strspn(p, " \t:");
            if (text_number(&p, &v) && v <= INT_MAX)
                return (unsigned)v;
        }
    }
    unsigned long long khz;
    if (hostfs_number(&khz, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq") == 0 && khz / 1000 <= INT_MAX)
        return (unsigned)(khz / 1000);
    return 0;
}

/* ---- node info ------------------------------------------------------------------------------- */

static int compare_cpus(const void *pa, const void *pb)
{
    const NodeCpu *a = pa, *b = pb;
    if (a->socket_id != b->socket_id)
        return a->socket_id < b->socket_id ? -1 : 1;
    if (a->die_id != b->die_id)
        return a->die_id < b->die_id ? -1 : 1;
    return a->core_id < b->core_id ? -1 : a->core_id > b->core_id;
}

/* Raises the maxima by what this cell has: sockets in it, cores of a socket, threads of a core. */
static void count_cell(const NodeCell *cell, NodeInfo *info)
{
    g_autofree NodeCpu *cpus = g_memdup2(cell->cpus, cell->n_cpus * sizeof(NodeCpu)); /* siblings stay the cell's */
    unsigned sockets = 0, cores = 0, threads = 0;
    if (cell->n_cpus)
        qsort(cpus, cell->n_cpus, sizeof(*cpus), compare_cpus);
    for (unsigned i = 0; i < cell->n_cpus; i++) {
        if (i == 0 || cpus[i].socket_id != cpus[i - 1].socket_id) {
            sockets++;
            cores = threads = 0;
        }
        if (cores == 0 || compare_cpus(&cpus[i], &cpus[i - 1]) != 0) {
            cores++;
            threads = 0;
        }
        threads++;
        info->cores = MAX(info->cores, cores);
        info->threads = MAX(info->threads, threads);
    }
    info->sockets = MAX(info->sockets, sockets);
}

int node_info(NodeInfo *ret, Err *err)
{
    g_autoptr(NodeTopology) t = node_topology(err);
    if (!t)
        return -1;
    NodeInfo info = {.cpus = t->n_cpus, .mhz = read_mhz(), .nodes = t->n_cells};
    g_strlcpy(info.arch, node_arch(), sizeof(info.arch));
    for (unsigned i = 0; i < t->n_cells; i++) {
        info.memory_kib += t->cells[i].memory_kib;
        count_cell(&t->cells[i], &info);
    }
    IdSet present;
    unsigned all = t->n_cpus;
    if (hostfs_idset(&present, NODE_MAX_CPUS, "/sys/devices/system/cpu/present") == 0)
        all = MAX(all, idset_count(&present));
    /* Cells differ, or some cpus are offline: a product that is not the number of cpus would mislead whoever
     * multiplies. */
    if ((uint64_t)info.nodes * info.sockets * info.cores * info.threads != all) {
        info.nodes = info.sockets = info.threads = 1;
        info.cores = all;
    }
    *ret = info;
    return 0;
}

unsigned node_max_cpus(void)
{
    g_autoptr(NodeTopology) t = node_topology(NULL);
    return t ? t->max_cpu + 1 : 1;
}

/* ---- name ------------------------------------------------------------------------------------ */

/* The canonical name /etc/hosts gives `name`, or NULL. */
static char *hosts_canonical(const char *name)
{
    g_autofree char *text = NULL;
    if (hostfs_read(&text, 1u << 20, "/etc/hosts") < 0)
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *hash = strchr(*line, '#');
        if (hash)
            *hash = '\0';
        char *save = NULL, *canonical = NULL;
        char *address = strtok_r(*line, " \t\r", &save);
        for (char *word; address && (word = strtok_r(NULL, " \t\r", &save));) {
            if (!canonical)
                canonical = word;
            if (g_ascii_strcasecmp(word, name) == 0)
                return g_strdup(canonical);
        }
    }
    return NULL;
}

char *node_hostname(Err *err)
{
    char name[HOST_NAME_MAX + 2];
    if (gethostname(name, sizeof(name)) < 0) {
        err_set_errno(err, errno, "cannot get the host's name");
        return NULL;
    }
    name[sizeof(name) - 1] = '\0';
    if (!name[0] || !g_utf8_validate(name, -1, NULL)) {
        err_set(err, VIR_ERR_INTERNAL_ERROR, "the host's name is empty or not text");
        err_hint(err, "set one with hostnamectl");
        return NULL;
    }
    if (strchr(name, '.') || g_str_has_prefix(name, "localhost"))
        return g_strdup(name);
    g_autofree char *full = hosts_canonical(name);
    if (full && strchr(full, '.') && !g_str_has_prefix(full, "localhost") && strlen(full) <= 255 &&
        g_utf8_validate(full, -1, NULL))
        return g_steal_pointer(&full);
    return g_strdup(name);
}

/* ---- identity -------------------------------------------------------------------------------- */

static Mutex uuid_lock;
static pthread_once_t uuid_once = PTHREAD_ONCE_INIT;
static uint8_t known_uuid[UUID_LEN];
static bool uuid_known;

static void uuid_init(void)
{
    mutex_init(&uuid_lock, LOCK_LEAF, "node uuid");
}

static bool firmware_uuid(uint8_t ret[UUID_LEN])
{
    g_autofree char *text = NULL;
    return hostfs_read(&text, HOSTFS_SMALL, "/sys/class/dmi/id/product_uuid") == 0 && uuid_parse(text, ret) &&
           !uuid_is_trivial(ret);
}

static int kept_uuid(const char *path, uint8_t ret[UUID_LEN], Err *err)
{
    g_autofree char *text = NULL;
    size_t len;
    int r = file_read(path, HOSTFS_SMALL, &text, &len);
    if (r == 0 && strlen(text) == len && uuid_parse(text, ret) && !uuid_is_trivial(ret))
        return 0;
    if (r < 0 && r != -ENOENT)
        return err_set_errno(err, -r, "cannot read %s", path);
    if (r == 0 && len > 0) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "%s holds no UUID", path);
        return err_hint(err, "correct it or remove it, and a new one is made");
    }
    char line[UUID_STRING_LEN + 1];
    uuid_generate(ret);
    uuid_format(ret, line);
    g_strlcat(line, "\n", sizeof(line));
    r = file_replace(path, line, strlen(line), 0644, FILE_DURABLE);
    return r < 0 ? err_set_errno(err, -r, "cannot keep the host's UUID in %s", path) : 0;
}

int node_uuid(const char *state_path, uint8_t ret[UUID_LEN], Err *err)
{
    pthread_once(&uuid_once, uuid_init);
    LOCK_SCOPE (&uuid_lock)
        ;
    if (!uuid_known) {
        uint8_t uuid[UUID_LEN];
        if (!firmware_uuid(uuid)) {
            if (!state_path)
                uuid_generate(uuid);
            else if (kept_uuid(state_path, uuid, err) < 0)
                return -1;
        }
        memcpy(known_uuid, uuid, UUID_LEN);
        uuid_known = true;
    }
    memcpy(ret, known_uuid, UUID_LEN);
    return 0;
}

void node_uuid_forget(void)
{
    pthread_once(&uuid_once, uuid_init);
    LOCK_SCOPE (&uuid_lock)
        ;
    uuid_known = false;
}

/* ---- devices --------------------------------------------------------------------------------- */

static NodeKvm open_kvm(int *ret_fd)
{
    g_autofree char *path = hostfs_path("/dev/kvm");
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == EACCES || errno == EPERM     ? NODE_KVM_FORBIDDEN
               : errno == ENOENT || errno == ENOTDIR ? NODE_KVM_MISSING
                                                     : NODE_KVM_BROKEN;
    if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API)
        return NODE_KVM_BROKEN;
    *ret_fd = take_fd(&fd);
    return NODE_KVM_PRESENT;
}

NodeKvm node_kvm(void)
{
    AUTO_CLOSE int fd = -1;
    return open_kvm(&fd);
}

unsigned node_kvm_max_vcpus(void)
{
    AUTO_CLOSE int fd = -1;
    if (open_kvm(&fd) != NODE_KVM_PRESENT)
        return 0;
    int n = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
    if (n <= 0)
        n = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);
    return n > 0 ? (unsigned)n : 0;
}

bool node_iommu(void)
{
    g_autofree char *path = hostfs_path("/sys/kernel/iommu_groups");
    DIR *d = opendir(path);
    bool found = false;
    if (!d)
        return false;
    for (struct dirent *e; !found && (e = readdir(d));)
        found = e->d_name[0] != '.';
    closedir(d);
    return found;
}

static bool has_word(const char *text, const char *word)
{
    g_auto(GStrv) words = g_strsplit_set(text, " \n[]", -1);
    return g_strv_contains((const char *const *)words, word);
}

unsigned node_suspend_targets(void)
{
    g_autofree char *state = NULL;
    g_autofree char *disk = NULL;
    unsigned targets = 0;
    if (hostfs_read(&state, HOSTFS_SMALL, "/sys/power/state") < 0)
        return 0;
    if (has_word(state, "mem"))
        targets |= NODE_SUSPEND_MEM;
    if (has_word(state, "disk") && hostfs_read(&disk, HOSTFS_SMALL, "/sys/power/disk") == 0 &&
        !has_word(disk, "disabled")) {
        targets |= NODE_SUSPEND_DISK;
        if ((targets & NODE_SUSPEND_MEM) && has_word(disk, "suspend"))
            targets |= NODE_SUSPEND_HYBRID;
    }
    return targets;
}
