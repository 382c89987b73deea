/* tests/fuzz/fuzz_config.c - fuzz target: libvirtd.conf, berthd.conf and qemu.conf
 *
 * Owns:    nothing; the input is the file, read as each of the three
 * Threads: one
 * Locks:   none
 * Errors:  aborts when a refusal has no words or does not name the file, or when two readings of one file differ
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "qemu/conf.h"
#include "util/log.h"

#include "daemon/conf.h"

/* A file with these bytes; its name by the descriptor. */
static char *as_file(int fd, const uint8_t *data, size_t size)
{
    fuzz_check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "memfd");
    return g_strdup_printf("/proc/self/fd/%d", fd);
}

static void check_refusal(const Err *err, const char *path)
{
    fuzz_check(err->detail && g_str_has_prefix(err->detail, path), "a refusal that does not name the file");
}

static void as_daemon_config(const char *libvirtd_conf, const char *berthd_conf)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DaemonConfig) a = daemon_config_load(libvirtd_conf, berthd_conf, &err);
    if (!a) {
        check_refusal(&err, libvirtd_conf ? libvirtd_conf : berthd_conf);
        return;
    }
    g_autoptr(DaemonConfig) b = daemon_config_load(libvirtd_conf, berthd_conf, NULL);
    unsigned pos = 0;
    fuzz_check(b && !conf_next_change(libvirtd_config_keys, a, b, &pos), "two readings differ");
    fuzz_check(a->max_clients > 0 && a->max_client_requests > 0 && a->max_workers > 0, "a limit of nothing");
}

static void as_qemu_config(const char *path)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(QemuConfig) a = qemu_config_load(path, &err);
    if (!a)
        check_refusal(&err, path);
    else
        fuzz_check(a->remote_display_port_min >= 5900 && a->remote_display_port_max <= 65535, "a port out of range");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("conf", MFD_CLOEXEC);
        fuzz_check(log_configure(4, NULL, "4:file:/dev/null", NULL) == 0, "log");
    }
    g_autofree char *path = as_file(fd, data, size);
    as_daemon_config(path, NULL);
    as_daemon_config(NULL, path);
    as_qemu_config(path);
    return 0;
}

const char *const fuzz_dirs[] = {"tests/fuzz/corpus/config", "conf", NULL};

/* Each key that has something to show, as one would write it. */
uint8_t *fuzz_seed(unsigned i, size_t *ret_size)
{
    static const ConfKey *const tables[] = {libvirtd_config_keys, berthd_config_keys, qemu_config_keys};
    for (unsigned t = 0; t < N_ELEMENTS(tables); t++) {
        for (const ConfKey *k = tables[t]; k->name; k++) {
            if (i-- > 0)
                continue;
            const char *value = k->example ? k->example : k->preset ? k->preset : "\"x\"";
            g_autofree char *line = g_strdup_printf("%s = %s # x\n", k->name, value);
            return fuzz_text_seed(line, ret_size);
        }
    }
    return NULL;
}
