/* host/cgroup.c - one cgroup (v2) per guest
 *
 * Owns:    directories below the daemon's own cgroup
 * Threads: any; cgroup_freeze sleeps
 * Errors:  negative errno, Err only where there is something to explain
 *
 * The daemon's unit is delegated (Delegate=yes), so everything below its cgroup is ours and survives its restart.  No controller is given
 * to guests there: while a cgroup gives any to its children the kernel lets no process into it, and systemd puts the next daemon just there;
 * with one guest left the unit could not be started again.  Limits will need cgroups beside the unit's, which systemd makes.
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "host/cgroup.h"
#include "util/fd.h"
#include "util/file.h"
#include "util/pool.h"

#ifndef CGROUP2_SUPER_MAGIC
#define CGROUP2_SUPER_MAGIC 0x63677270
#endif

static int write_file(const char *dir, const char *name, const char *value)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

/* Kernel files have no size: file_read would refuse none, but reads by descriptor say what they mean. */
static int read_file(const char *dir, const char *name, char **ret)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return fd_read_all(fd, 65536, ret, NULL);
}

static bool is_cgroup2(const char *dir)
{
    struct statfs fs;
    return statfs(dir, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* Our line of /proc/self/cgroup: "0::/path". */
static char *own_path(void)
{
    char *text = NULL;
    if (read_file("/proc/self", "cgroup", &text) < 0)
        return NULL;
    char *line = g_str_has_prefix(text, "0::") ? text : strstr(text, "\n0::");
    char *ret = NULL;
    if (line) {
        line = strstr(line, "0::") + 3;
        ret = g_strndup(line, strcspn(line, "\n"));
    }
    g_free(text);
    return ret;
}

/* systemd marks the cgroups it leaves to their service; in others nothing may be made (one writer per cgroup). */
static bool is_delegated(const char *dir)
{
    char v[8];
    return getxattr(dir, "user.delegate", v, sizeof(v)) == 1 || getxattr(dir, "trusted.delegate", v, sizeof(v)) == 1;
}

char *cgroup_base(Err *err)
{
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    const char *mount = NULL;
    for (unsigned i = 0; i < N_ELEMENTS(mounts) && mount == NULL; i++) {
        if (is_cgroup2(mounts[i]))
            mount = mounts[i];
    }
    g_autofree char *own = own_path();
    if (mount == NULL || own == NULL) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "this host has no cgroup v2 hierarchy");
        return NULL;
    }
    bool root = own[0] == '\0' || strcmp(own, "/") == 0;
    g_autofree char *base = g_build_filename(mount, own, root ? "berth" : NULL, NULL);
    if (!root && !is_delegated(base)) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "cgroup '%s' is not delegated to the daemon", base);
        err_hint(err, "its unit needs Delegate=yes");
        return NULL;
    }
    if (mkdir(base, 0755) < 0 && errno != EEXIST) {
        err_set_errno(err, errno, "cannot make cgroup '%s'", base);
        return NULL;
    }
    if (access(base, W_OK) < 0) {
        err_set_errno(err, errno, "cgroup '%s' is not ours", base);
        return NULL;
    }
    return g_steal_pointer(&base);
}

int cgroup_make(const char *base, const char *name, char **ret_path, int *ret_fd)
{
    g_autofree char *safe = g_strdup(name);
    for (char *p = safe; *p; p++) {
        if (*p == '/' || (unsigned char)*p < ' ')
            *p = '_';
    }
    /* Never the name of a kernel file, and never one that is there already, be it empty: another daemon may be about to start a guest of that name in
     * it, and whoever is done first would take the other's for what its own left behind. */
    g_autofree char *path = g_strdup_printf("%s/guest-%s.XXXXXX", base, safe);
    if (!g_mkdtemp_full(path, 0755))
        return -errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        int e = errno;
        rmdir(path); /* nobody else would come back to it */
        return -e;
    }
    *ret_fd = fd;
    *ret_path = g_steal_pointer(&path);
    return 0;
}

int cgroup_kill(const char *path)
{
    return write_file(path, "cgroup.kill", "1");
}

/* Value of "key N" in a flat-keyed file; false when the key is missing. */
static bool keyed_u64(const char *text, const char *key, uint64_t *ret)
{
    size_t n = strlen(key);
    for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        if (strncmp(p, key, n) == 0 && p[n] == ' ') {
            *ret = g_ascii_strtoull(p + n + 1, NULL, 10);
            return true;
        }
    }
    return false;
}

int cgroup_freeze(const char *path, bool freeze, Deadline d)
{
    g_autofree char *events = g_build_filename(path, "cgroup.events", NULL);
    AUTO_CLOSE int fd = open(events, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = write_file(path, "cgroup.freeze", freeze ? "1" : "0");
    if (r < 0)
        return r;
    for (;;) {
        char text[512];
        ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
        if (n < 0)
            return -errno;
        text[n] = '\0';
        uint64_t frozen = 0;
        keyed_u64(text, "frozen", &frozen);
        if ((frozen != 0) == freeze)
            return 0;
        if (deadline_passed(d))
            return -ETIME;
        struct pollfd p = {.fd = fd, .events = POLLPRI}; /* the kernel says when the file changes */
        pool_blocking_begin();
        poll(&p, 1, deadline_left_ms(d));
        pool_blocking_end();
    }
}

int cgroup_remove(const char *path)
{
    return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

static uint64_t read_u64(const char *dir, const char *name)
{
    g_autofree char *text = NULL;
    return read_file(dir, name, &text) == 0 ? g_ascii_strtoull(text, NULL, 10) : 0;
}

int cgroup_stats(const char *path, CgroupStats *ret)
{
    CgroupStats s = {0};
    g_autofree char *cpu = NULL;
    int r = read_file(path, "cpu.stat", &cpu);
    if (r < 0)
        return r;
    keyed_u64(cpu, "usage_usec", &s.cpu_usec);
    keyed_u64(cpu, "user_usec", &s.user_usec);
    keyed_u64(cpu, "system_usec", &s.system_usec);
    g_autofree char *memory = NULL;
    if (read_file(path, "memory.current", &memory) == 0) {
        s.has_memory = true;
        s.memory = g_ascii_strtoull(memory, NULL, 10);
        s.memory_peak = read_u64(path, "memory.peak");
    }
    *ret = s;
    return 0;
}
