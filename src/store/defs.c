/* store/defs.c - definitions on disk: one NAME.xml each, in libvirt's format
 *
 * Owns:    names of files, the comment at their head, what counts as a leftover
 * Threads: workers (blocks on storage)
 * Locks:   none; writers of one name are kept apart by the domain's config_begin
 * Errors:  VIR_ERR_SYSTEM_ERROR with the path
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_AREA "store.defs"
#include "util/file.h"
#include "util/log.h"
#include "util/uuid.h"
#include "util/xml.h"
#include "store/defs.h"
#include "store/defs_private.h"

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
    if (!xml_is_text(name))
        return err_set(err, VIR_ERR_XML_ERROR, "name is not text in UTF-8");
    if (strlen(name) > NAME_LIMIT)
        return err_set(err, VIR_ERR_XML_ERROR, "name is longer than the %d bytes a file's name can hold", NAME_LIMIT);
    return 0;
}

char *defs_path(const char *dir, const char *name)
{
    return g_strdup_printf("%s/%s" DEFS_SUFFIX, dir, name);
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

DefsStore *defs_open(const char *dir, const char *index_path)
{
    DefsStore *s = g_new0(DefsStore, 1);
    s->dir = g_strdup(dir);
    s->index = defs_index_open(index_path);
    dir_sync_init(&s->sync);
    return s;
}

void defs_close(DefsStore *s)
{
    if (!s)
        return;
    dir_sync_done(&s->sync);
    defs_index_free(s->index);
    g_free(s->dir);
    g_free(s);
}

void defs_set_move(DefsStore *s, DefsMove fn, void *data)
{
    s->move = fn;
    s->move_data = data;
}

static char *content_of(const char *name, const StoredDef *def)
{
    char uuid[UUID_STRING_LEN];
    uuid_format(def->uuid, uuid);
    return g_strdup_printf(
        DEFS_HEADER "which replaces the whole file at every change: what is edited in here gets "
                    "lost.\n"
                    "To change this machine use\n  virsh edit %s\nor any other program that talks to the daemon.\n-->\n\n%s",
        plain_word(name) ? name : uuid, def->text);
}

/* Writes `content` into the file of `file`. */
static int write_file(DefsStore *s, const char *file, const char *content, Err *err)
{
    g_autofree char *path = defs_path(s->dir, file);
    if (strlen(content) > XML_OWN_BYTES) /* what defs_load() reads */
        return err_set(err, VIR_ERR_XML_ERROR, "the definition '%s' would be longer than %u bytes", path, XML_OWN_BYTES);
    int r = file_replace_shared(path, content, strlen(content), 0600, &s->sync);
    if (r == -ENOENT && dir_make_durable(s->dir, 0700) == 0)
        r = file_replace_shared(path, content, strlen(content), 0600, &s->sync);
    if (r < 0)
        return err_set_errno(err, -r, "cannot write the definition '%s'", path);
    return 0;
}

int defs_save(DefsStore *s, const char *name, const StoredDef *def, bool fixed, Err *err)
{
    if (defs_check_name(name, err) < 0)
        return -1;
    g_autofree char *content = content_of(name, def);
    if (write_file(s, name, content, err) < 0)
        return -1;
    if (fixed)
        defs_index_add(s->index, defs_index_key(name, content, strlen(content)), def, true);
    return 0;
}

int defs_check_free(const DefsStore *s, const char *name, Err *err)
{
    g_autofree char *path = defs_path(s->dir, name);
    struct stat st;
    if (lstat(path, &st) < 0 && errno == ENOENT)
        return 0;
    err_set(err, VIR_ERR_OPERATION_FAILED, "there is a definition '%s' already, which was not there when the daemon started, or could not be read", path);
    return err_hint(err, "the log of the daemon's start says why; repair it and restart the daemon, or move it away");
}

int defs_remove(DefsStore *s, const char *name, Err *err)
{
    g_autofree char *path = defs_path(s->dir, name);
    int r = file_remove_shared(path, &s->sync);
    if (r < 0)
        return err_set_errno(err, -r, "cannot remove the definition '%s'", path);
    return 0;
}

int defs_rename(DefsStore *s, const char *old_name, const char *new_name, const StoredDef *def, bool fixed,
                Err *err)
{
    g_autofree char *from = defs_path(s->dir, old_name), *to = defs_path(s->dir, new_name), *before = NULL;
    size_t len;
    int r = file_read(from, XML_OWN_BYTES, &before, &len);
    if (r < 0)
        return err_set_errno(err, -r, "cannot read the definition '%s'", from);
    if (defs_check_name(new_name, err) < 0)
        return -1;
    g_autofree char *content = content_of(new_name, def);
    if (write_file(s, old_name, content, err) < 0)
        return -1;
    r = s->move ? s->move(s->move_data, old_name, new_name, err) : 0;
    if (r == 0 && rename(from, to) == 0) {
        r = dir_sync_parent(to);
        if (r < 0)
            log_warning("cannot sync the directory of '%s': %s", to, g_strerror(-r));
        if (fixed)
            defs_index_add(s->index, defs_index_key(new_name, content, strlen(content)), def, true);
        return 0;
    }
    if (r == 0) {
        err_set_errno(err, errno, "cannot rename the definition '%s' to '%s'", from, to);
        if (s->move) /* before the file says the old name again */
            s->move(s->move_data, new_name, old_name, NULL);
    }
    r = file_replace(from, before, len, 0600, FILE_DURABLE);
    if (r < 0)
        log_error("cannot write the definition '%s' back: %s", from, g_strerror(-r));
    return -1;
}

static int by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *defs_names(const char *dir, Err *err)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    DIR *d = opendir(dir);
    if (!d && errno == ENOENT)
        return g_steal_pointer(&names);
    errno = d ? 0 : errno;
    for (struct dirent *e; d && (e = readdir(d)); errno = 0) {
        size_t len = strlen(e->d_name);
        if (len > strlen(DEFS_SUFFIX) && g_str_has_suffix(e->d_name, DEFS_SUFFIX) &&
            (e->d_type == DT_REG || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN))
            g_ptr_array_add(names, g_strndup(e->d_name, len - strlen(DEFS_SUFFIX)));
    }
    int error = errno;
    if (d)
        closedir(d);
    if (error) {
        err_set_errno(err, error, "cannot list the directory '%s'", dir);
        return NULL;
    }
    g_ptr_array_sort(names, by_text);
    return g_steal_pointer(&names);
}

/* ".NAME.xml.Ab12Cd", ".NAME.pid.Ab12Cd" as file_replace makes them. */
static bool is_leftover(const char *file)
{
    static const char *const kinds[] = {DEFS_SUFFIX ".", ".pid."};
    size_t len = strlen(file);
    const size_t tail = strlen(DEFS_SUFFIX) + 1 + TEMP_RANDOM; /* of both kinds */
    bool ours = false;
    for (unsigned i = 0; i < N_ELEMENTS(kinds) && len > tail + 1; i++)
        ours |= strncmp(file + len - tail, kinds[i], tail - TEMP_RANDOM) == 0;
    if (file[0] != '.' || !ours)
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
