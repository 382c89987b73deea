/* store/autostart.c - which definitions start with the host: links DIR/NAME.xml to the definition
 *
 * Owns:    the links; a link that points elsewhere counts as well (libvirt looks only at its name, and so do we)
 * Threads: workers (blocks on storage)
 * Errors:  VIR_ERR_SYSTEM_ERROR with the path
 */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#define LOG_AREA "store.autostart"
#include "util/log.h"
#include "util/file.h"
#include "store/autostart.h"
#include "store/defs.h"

static char *link_path(const char *dir, const char *name)
{
    return g_strdup_printf("%s/%s.xml", dir, name);
}

bool autostart_get(const char *autostart_dir, const char *name)
{
    g_autofree char *path = link_path(autostart_dir, name);
    return access(path, F_OK) == 0;
}

GHashTable *autostart_names(const char *autostart_dir)
{
    GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(GPtrArray) names = defs_names(autostart_dir, &err);
    if (!names)
        log_error("no machine is started with the host: %s", err.detail);
    for (unsigned i = 0; names && i < names->len; i++) {
        if (autostart_get(autostart_dir, names->pdata[i]))
            g_hash_table_add(set, g_strdup(names->pdata[i]));
    }
    return set;
}

int autostart_set(const char *autostart_dir, const char *config_dir, const char *name, bool on, Err *err)
{
    g_autofree char *path = link_path(autostart_dir, name);
    int r = file_remove(path, on ? 0 : FILE_DURABLE);
    if (r < 0)
        return err_set_errno(err, -r, "cannot remove the autostart link '%s'", path);
    if (!on)
        return 0;
    g_autofree char *target = link_path(config_dir, name);
    r = dir_make(autostart_dir, 0700);
    if (r == 0 && symlink(target, path) < 0)
        r = -errno;
    if (r == 0) {
        r = dir_sync_parent(path);
        if (r < 0)
            file_remove(path, 0); /* refused means not done */
    }
    if (r < 0)
        return err_set_errno(err, -r, "cannot make the autostart link '%s'", path);
    return 0;
}
