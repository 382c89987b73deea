/* qemu/launch_sweep.c - what a daemon that was killed in the middle of a start left in the state directory
 *
 * Owns:    which names there are ours to remove
 * Threads: the main thread at start, before anything is launched
 * Errors:  none; what cannot be removed stays until the next start of the daemon
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#define LOG_AREA "qemu.launch"
#include "qemu/launch_private.h"
#include "util/log.h"

/* "domain-ID-NAME", as launch.c names them. */
static bool is_private_dir(const char *name)
{
    unsigned id;
    int end = 0;
    return sscanf(name, "domain-%u-%n", &id, &end) == 1 && end > 0 && name[end];
}

static void sweep(const char *dir, GHashTable *in_use)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d && (name = g_dir_read_name(d))) {
        if (!is_private_dir(name) || g_hash_table_contains(in_use, name))
            continue;
        g_autofree char *path = g_build_filename(dir, name, NULL);
        log_info("removing '%s', left by a start that was not finished", path);
        launch_remove_private_dir(path);
    }
}

void qemu_launch_sweep(const LaunchDirs *dirs, GHashTable *in_use)
{
    g_autofree char *channels = g_build_filename(dirs->lib_dir, "channel", "target", NULL);
    sweep(dirs->lib_dir, in_use);
    sweep(channels, in_use);
}
