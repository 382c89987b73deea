/* store/snapshots.c - snapshots on disk: BASE/MACHINE/SNAPSHOT.xml, in the form of libvirt's files
 *
 * Owns:    names of files and directories, the comment at the head of a file
 * Threads: workers, and the main thread at start (blocks on storage)
 * Locks:   none; writers of one machine are kept apart by its job
 * Errors:  VIR_ERR_SYSTEM_ERROR with the path; a bad file is logged and skipped
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_AREA "store.snapshots"
#include "util/file.h"
#include "util/log.h"
#include "util/xml.h"
#include "store/defs.h"
#include "store/defs_private.h"
#include "store/snapshots.h"

static const char header[] = DEFS_HEADER "which replaces the whole file at every change: what is edited in here gets lost.\n"
                                         "To change this snapshot use\n  virsh snapshot-edit\nor any other program that talks to the "
                                         "daemon.\n-->\n\n";

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static char *dir_of(const char *base, const char *machine)
{
    return g_build_filename(base, machine, NULL);
}

static char *path_of(const char *base, const char *machine, const char *name)
{
    return g_strdup_printf("%s/%s/%s" DEFS_SUFFIX, base, machine, name);
}

int snapshots_save(const char *base, const char *machine, const SnapshotDef *s, bool current, Err *err)
{
    g_autofree char *text = snapshot_def_format(s, SNAPSHOT_FORMAT_SECURE | SNAPSHOT_FORMAT_FILE, current, err);
    if (!text)
        return -1;
    if (is_dots(machine))
        return err_set(err, VIR_ERR_OPERATION_INVALID, "snapshots of a domain named '%s' cannot be kept", machine);
    g_autofree char *content = g_strconcat(header, text, NULL);
    g_autofree char *dir = dir_of(base, machine);
    g_autofree char *path = path_of(base, machine, s->name);
    if (strlen(content) >= XML_OWN_BYTES)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "snapshot '%s' is too large to be kept: %zu bytes", s->name, strlen(content));
    int r = dir_make_durable(dir, 0755);
    if (r == 0)
        r = file_replace(path, content, strlen(content), 0600, FILE_DURABLE);
    if (r < 0)
        return err_set_errno(err, -r, "cannot write the snapshot '%s'", path);
    return 0;
}

int snapshots_remove(const char *base, const char *machine, const char *name, Err *err)
{
    g_autofree char *path = path_of(base, machine, name);
    int r = file_remove(path, FILE_DURABLE);
    if (r < 0)
        return err_set_errno(err, -r, "cannot remove the snapshot '%s'", path);
    g_autofree char *dir = dir_of(base, machine);
    if (rmdir(dir) < 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
        log_warning("cannot remove the directory '%s': %s", dir, g_strerror(errno));
    return 0;
}

int snapshots_rename(const char *base, const char *old_name, const char *new_name, Err *err)
{
    g_autofree char *from = dir_of(base, old_name), *to = dir_of(base, new_name);
    if (rename(from, to) < 0) {
        if (errno == ENOENT)
            return 0;
        return err_set_errno(err, errno, "cannot rename the snapshots '%s' to '%s'", from, to);
    }
    int r = dir_sync_parent(to);
    if (r < 0)
        log_warning("cannot sync the directory of '%s': %s", to, g_strerror(-r));
    return 0;
}

/* ---- at start -------------------------------------------------------------------------------------------------------------- */

/* The machine in a file is taken as it stands: nothing is filled in. */
static StoredDef *as_stored(void *ud, const char *xml, Err *err)
{
    g_autoptr(DomainDef) d = domain_def_parse_stored(xml, err);
    return d ? stored_def_new(d) : NULL;
}

/* NULL with Err. */
static SnapshotDef *load_one(const char *base, const char *machine, const char *name, Err *err)
{
    g_autofree char *path = path_of(base, machine, name), *text = NULL;
    size_t len;
    int r = file_read(path, XML_OWN_BYTES, &text, &len);
    if (r < 0) {
        err_set_errno(err, -r, "cannot read the snapshot '%s'", path);
        return NULL;
    }
    g_autoptr(SnapshotDef) s = snapshot_def_parse(text, len, SNAPSHOT_PARSE_FILE, as_stored, NULL, err);
    if (!s) {
        err_wrap(err, "snapshot '%s'", path);
        return NULL;
    }
    if (strcmp(s->name, name) != 0) {
        err_set(err, VIR_ERR_XML_ERROR, "snapshot '%s' says that its name is '%s'", path, s->name);
        err_hint(err, "rename the file");
        return NULL;
    }
    return g_steal_pointer(&s);
}

int snapshots_check_file(const char *base, const char *machine, const char *name, Err *err)
{
    g_auto(Err) own = ERR_INIT;
    g_autoptr(SnapshotDef) s = load_one(base, machine, name, &own);
    if (s || own.os_errno == ENOENT)
        return 0;
    err_set(err, VIR_ERR_OPERATION_FAILED, "there is a snapshot of that name that could not be read: %s", own.detail);
    return err_hint(err, "take another name, or move the file away");
}

bool snapshots_is_later(const SnapshotDef *a, const SnapshotDef *b)
{
    if (a->creation_time != b->creation_time)
        return a->creation_time > b->creation_time;
    return strcmp(a->name, b->name) > 0;
}

static int by_time(gconstpointer pa, gconstpointer pb)
{
    const SnapshotDef *a = *(SnapshotDef *const *)pa, *b = *(SnapshotDef *const *)pb;
    return snapshots_is_later(a, b) ? 1 : snapshots_is_later(b, a) ? -1 : 0;
}

static void unref_one(void *p)
{
    snapshot_def_unref(p);
}

GPtrArray *snapshots_load(const char *base, const char *machine)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(unref_one);
    g_autofree char *dir = dir_of(base, machine);
    g_auto(Err) listing = ERR_INIT;
    defs_clean(dir);
    g_autoptr(GPtrArray) names = defs_names(dir, &listing);
    if (!names) {
        log_error("%s: no snapshots: %s", machine, listing.detail);
        return all;
    }
    for (unsigned i = 0; i < names->len; i++) {
        if (all->len >= SNAPSHOTS_MAX) {
            log_error("%s: more than %u snapshots: the rest is left alone", machine, SNAPSHOTS_MAX);
            break;
        }
        g_auto(Err) err = ERR_INIT;
        SnapshotDef *s = load_one(base, machine, names->pdata[i], &err);
        if (s)
            g_ptr_array_add(all, s);
        else
            log_error("%s: a snapshot is left alone: %s%s%s", machine, err.detail, err.hint ? "; " : "", err.hint ? err.hint : "");
    }
    g_ptr_array_sort(all, by_time);
    return all;
}

GPtrArray *snapshots_machines(const char *base)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    DIR *d = opendir(base);
    if (!d) {
        if (errno != ENOENT)
            log_error("cannot list the directory '%s': %s; no machine has snapshots", base, g_strerror(errno));
        return names;
    }
    for (struct dirent *e; (e = readdir(d));) {
        if (!is_dots(e->d_name) && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN))
            g_ptr_array_add(names, g_strdup(e->d_name));
    }
    closedir(d);
    return names;
}
