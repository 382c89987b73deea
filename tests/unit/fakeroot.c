/* tests/unit/fakeroot.c - a directory that src/host takes for "/" */
#include "config.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/hostfs.h"
#include "host/private.h"
#include "tests/unit/fakeroot.h"

static char *dir;

void fakeroot_init(void)
{
    dir = g_strdup_printf("%s/berth-root-XXXXXX", g_get_tmp_dir());
    if (!mkdtemp(dir))
        abort();
    hostfs_set_root(dir);
    node_uuid_forget();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void fakeroot_done(void)
{
    hostfs_set_root(NULL);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    g_free(dir);
    dir = NULL;
}

const char *fakeroot_path(const char *path)
{
    static char full[4096];
    g_snprintf(full, sizeof(full), "%s%s", dir, path);
    return full;
}

void fakeroot_bytes(const void *data, size_t len, const char *path)
{
    const char *full = fakeroot_path(path);
    g_autofree char *parent = g_path_get_dirname(full);
    if (g_mkdir_with_parents(parent, 0755) < 0)
        abort();
    FILE *f = fopen(full, "w");
    if (!f || fwrite(data, 1, len, f) != len || fclose(f) != 0)
        abort();
    topology_forget();
}

void fakeroot_file(const char *content, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *path = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    fakeroot_bytes(content, strlen(content), path);
}

void fakeroot_remove(const char *path)
{
    nftw(fakeroot_path(path), remove_one, 8, FTW_DEPTH | FTW_PHYS);
    topology_forget();
}
