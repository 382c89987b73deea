/* store/defs.c - definitions on disk: one NAME.xml each, in libvirt's format
 *
 * Owns:    names of files, the comment at their head, what counts as a leftover
 * Threads: workers (blocks on storage)
 * Locks:   none; writers of one name are kept apart by the domain's config_begin
 * Errors:  VIR_ERR_SYSTEM_ERROR with the path; a bad file is logged and skipped at load
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define LOG_AREA "store.defs"
#include "util/file.h"
#include "util/log.h"
#include "util/uuid.h"
#include "util/xml.h"
#include "store/defs.h"

#define SUFFIX      ".xml"
#define TEMP_RANDOM 6 /* characters mkostemp fills in */
/* A temporary is "." NAME ".xml" "." and six characters, and must fit NAME_MAX. */
#define NAME_LIMIT (255 - 1 - 4 - 1 - TEMP_RANDOM)

int defs_check_name(const char *name, Err *err)
{
    if (!name || !*name)
        return err_set(err, VIR_ERR_NO_NAME, "the definition");
    for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
        if (*p == '/')
            return err_set(err, VIR_ERR_XML_ERROR, "name %s cannot contain '/'", name);
        if (*p < 0x20 || *p == 0x7f)
            return err_set(err, VIR_ERR_XML_ERROR, "name cannot contain control characters (byte %u)", *p);
    }
    if (strlen(name) > NAME_LIMIT)
        return err_set(err, VIR_ERR_XML_ERROR, "name is longer than the %d bytes a file's name can hold", NAME_LIMIT);
    return 0;
}

char *defs_path(const char *dir, const char *name)
{
    return g_strdup_printf("%s/%s" SUFFIX, dir, name);
}

/* Only what is safe to paste into a shell and to stand in an XML comment. */
static bool plain_word(const char *s)
{
    if (*s == '-' || strstr(s, "--"))
        return false;
    for (; *s; s++) {
        if (!g_ascii_isalnum(*s) && !strchr("_.+-", *s))
            return false;
    }
    return true;
}

#define HEADER "<!--\nWritten by the daemon, "

/* Writes `def` into the file of `name`. */
static int save_as(const char *dir, const char *name, const DomainDef *def, Err *err)
{
    if (defs_check_name(def->name, err) < 0)
        return -1;
    char uuid[UUID_STRING_LEN];
    uuid_format(def->uuid, uuid);
    g_autofree char *xml = domain_def_format(def, FORMAT_INACTIVE | FORMAT_SECURE);
    g_autofree char *text = g_strdup_printf(
        HEADER "which replaces the whole file at every change: what is edited in here gets "
               "lost.\n"
               "To change this machine use\n  virsh edit %s\nor any other program that talks to the daemon.\n-->\n\n%s",
        plain_word(def->name) ? def->name : uuid, xml);
    g_autofree char *path = defs_path(dir, name);
    int r = file_replace(path, text, strlen(text), 0600, FILE_DURABLE);
    if (r == -ENOENT && dir_make(dir, 0700) == 0)
        r = file_replace(path, text, strlen(text), 0600, FILE_DURABLE);
    if (r < 0)
        return err_set_errno(err, -r, "cannot write the definition '%s'", path);
    return 0;
}

int defs_save(const char *dir, const DomainDef *def, Err *err)
{
    return save_as(dir, def->name, def, err);
}

int defs_remove(const char *dir, const char *name, Err *err)
{
    g_autofree char *path = defs_path(dir, name);
    int r = file_remove(path, FILE_DURABLE);
    if (r < 0)
        return err_set_errno(err, -r, "cannot remove the definition '%s'", path);
    return 0;
}

int defs_rename(const char *dir, const char *old_name, const DomainDef *def, Err *err)
{
    g_autofree char *from = defs_path(dir, old_name), *to = defs_path(dir, def->name), *before = NULL;
    size_t len;
    int r = file_read(from, XML_MAX_BYTES, &before, &len);
    if (r < 0)
        return err_set_errno(err, -r, "cannot read the definition '%s'", from);
    if (save_as(dir, old_name, def, err) < 0)
        return -1;
    if (rename(from, to) == 0) {
        r = dir_sync_parent(to);
        if (r < 0)
            log_warning("cannot sync the directory of '%s': %s", to, g_strerror(-r));
        return 0;
    }
    int e = errno;
    r = file_replace(from, before, len, 0600, FILE_DURABLE);
    if (r < 0)
        log_error("cannot write the definition '%s' back: %s", from, g_strerror(-r));
    return err_set_errno(err, e, "cannot rename the definition '%s' to '%s'", from, to);
}

/* What the file of `name` says, whoever it is about; *ret_ours: we wrote it. */
static DomainDef *load(const char *dir, const char *name, bool *ret_ours, Err *err)
{
    g_autofree char *path = defs_path(dir, name);
    g_autofree char *text = NULL;
    size_t len;
    int r = file_read(path, XML_MAX_BYTES, &text, &len);
    if (r < 0) {
        err_set_errno(err, -r, "cannot read the definition '%s'", path);
        return NULL;
    }
    DomainDef *def = domain_def_parse(text, PARSE_INACTIVE, NULL, err);
    if (!def)
        err_wrap(err, "definition '%s'", path);
    *ret_ours = g_str_has_prefix(text, HEADER);
    return def;
}

static int check_name(const char *dir, const char *name, const DomainDef *def, Err *err)
{
    if (g_strcmp0(def->name, name) == 0)
        return 0;
    g_autofree char *path = defs_path(dir, name);
    err_set(err, VIR_ERR_INTERNAL_ERROR, "definition '%s' is of a machine named '%s'", path, def->name);
    return err_hint(err, "rename the file or define the machine again");
}

DomainDef *defs_load_one(const char *dir, const char *name, Err *err)
{
    bool ours;
    g_autoptr(DomainDef) def = load(dir, name, &ours, err);
    return def && check_name(dir, name, def, err) == 0 ? g_steal_pointer(&def) : NULL;
}

/* A file of ours that tells another name than its own: defs_rename() was interrupted between its two steps.  Takes the second. */
static bool finish_rename(const char *dir, const char *name, const DomainDef *def)
{
    g_autofree char *from = defs_path(dir, name), *to = defs_path(dir, def->name);
    if (defs_check_name(def->name, NULL) < 0 || renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
        return false;
    dir_sync_parent(to);
    log_info("the renaming of '%s' to '%s' is completed", from, to);
    return true;
}

static int by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *defs_names(const char *dir)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    DIR *d = opendir(dir);
    if (!d) {
        if (errno != ENOENT)
            log_error("cannot list '%s': %s", dir, g_strerror(errno));
        return names;
    }
    for (struct dirent *e; (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len > strlen(SUFFIX) && g_str_has_suffix(e->d_name, SUFFIX) &&
            (e->d_type == DT_REG || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN))
            g_ptr_array_add(names, g_strndup(e->d_name, len - strlen(SUFFIX)));
    }
    closedir(d);
    g_ptr_array_sort(names, by_text);
    return names;
}

GPtrArray *defs_load(const char *dir)
{
    g_autoptr(GPtrArray) names = defs_names(dir);
    GPtrArray *defs = g_ptr_array_new_with_free_func((GDestroyNotify)domain_def_unref);
    for (unsigned i = 0; i < names->len; i++) {
        g_auto(Err) err = ERR_INIT;
        bool ours;
        g_autoptr(DomainDef) def = load(dir, names->pdata[i], &ours, &err);
        if (def && ours && strcmp(def->name, names->pdata[i]) != 0 && finish_rename(dir, names->pdata[i], def)) {
            g_ptr_array_add(defs, g_steal_pointer(&def));
        } else if (def && check_name(dir, names->pdata[i], def, &err) == 0) {
            g_ptr_array_add(defs, g_steal_pointer(&def));
        } else {
            g_autofree char *m = err_message(&err);
            log_error("skipped: %s", m);
        }
    }
    return defs;
}

/* ".NAME.xml.Ab12Cd", ".NAME.pid.Ab12Cd" as file_replace makes them. */
static bool is_leftover(const char *file)
{
    size_t len = strlen(file);
    const size_t tail = strlen(SUFFIX) + 1 + TEMP_RANDOM;
    if (file[0] != '.' || len <= tail + 1 || (strncmp(file + len - tail, SUFFIX ".", tail - TEMP_RANDOM) != 0 && strncmp(file + len - tail, ".pid.", tail - TEMP_RANDOM) != 0))
        return false;
    for (const char *p = file + len - TEMP_RANDOM; *p; p++) {
        if (!g_ascii_isalnum(*p))
            return false;
    }
    return true;
}

void defs_clean(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        if (!is_leftover(e->d_name))
            continue;
        g_autofree char *path = g_build_filename(dir, e->d_name, NULL);
        int r = file_remove(path, 0);
        if (r < 0)
            log_warning("cannot remove the leftover '%s': %s", path, g_strerror(-r));
        else
            log_info("removed the leftover '%s'", path);
    }
    closedir(d);
}
