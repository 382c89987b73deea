/* store/defs_load.c - all definitions of a directory, at start
 *
 * Owns:    the order of reading: every file is read; what is in it only if the index does not know its content
 * Threads: the caller's and, for many files, some more that end before it goes on
 * Locks:   none
 * Errors:  a bad file is logged and skipped
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_AREA "store.defs"
#include "util/fd.h"
#include "util/file.h"
#include "util/log.h"
#include "util/xml.h"
#include "store/defs_private.h"

#define THREADS_MAX  4u
#define ALONE        64u /* so few files are read without help */
#define BUFFER_BYTES 65536u

/* What became of one file. */
typedef struct Found {
    StoredDef *def; /* NULL: err says why */
    char *other;    /* the name in it, when that is not the file's */
    bool ours;      /* we wrote it */
    Err err;
} Found;

/* The directory while it is read.  Threads take files by number, so that none waits for another. */
typedef struct Sweep {
    DefsStore *s;
    int dirfd;
    const GPtrArray *names;
    Found *found; /* by the same index */
    gint next;
} Sweep;

/* The content in `buf`, or in *ret_long when it does not fit (caller frees).  Length, or negative errno. */
static ssize_t content_read(int dirfd, const char *name, char *buf, char **ret_long)
{
    char file[256 + sizeof(DEFS_SUFFIX)];
    g_snprintf(file, sizeof(file), "%s" DEFS_SUFFIX, name);
    AUTO_CLOSE int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size < BUFFER_BYTES) {
        ssize_t n = read(fd, buf, BUFFER_BYTES);
        if (n == st.st_size) {
            buf[n] = '\0';
            return n;
        }
        if (lseek(fd, 0, SEEK_SET) < 0)
            return -errno;
    }
    size_t len;
    int r = fd_read_all(fd, XML_OWN_BYTES, ret_long, &len);
    return r < 0 ? r : (ssize_t)len;
}

/* Reads what the index does not know. */
static void look_inside(DefsStore *s, const char *name, const char *text, size_t len, Hash128 key, Found *ret)
{
    g_autofree char *path = defs_path(s->dir, name);
    g_autoptr(DomainDef) def = domain_def_parse_stored(text, &ret->err);
    ret->ours = g_str_has_prefix(text, DEFS_HEADER);
    if (!def) {
        err_wrap(&ret->err, "definition '%s'", path);
        return;
    }
    ret->def = stored_def_new(def);
    if (strcmp(def->name, name) != 0) {
        ret->other = g_strdup(def->name);
        err_set(&ret->err, VIR_ERR_INTERNAL_ERROR, "definition '%s' is of a machine named '%s'", path, def->name);
        err_hint(&ret->err, "rename the file or define the machine again");
        return;
    }
    size_t n = ret->def->len;
    defs_index_add(s->index, key, ret->def, n <= len && memcmp(text + len - n, ret->def->text, n) == 0);
}

static void read_one(Sweep *w, unsigned i, char *buf)
{
    const char *name = w->names->pdata[i];
    Found *ret = &w->found[i];
    g_autofree char *text = NULL;
    ssize_t n = content_read(w->dirfd, name, buf, &text);
    if (n < 0) {
        g_autofree char *path = defs_path(w->s->dir, name);
        err_set_errno(&ret->err, (int)-n, "cannot read the definition '%s'", path);
        return;
    }
    const char *content = text ? text : buf;
    Hash128 key = defs_index_key(name, content, (size_t)n);
    ret->def = defs_index_find(w->s->index, key, content, (size_t)n);
    if (!ret->def)
        look_inside(w->s, name, content, (size_t)n, key, ret);
}

static gpointer sweep_some(gpointer arg)
{
    Sweep *w = arg;
    g_autofree char *buf = g_malloc(BUFFER_BYTES + 1);
    for (;;) {
        unsigned i = (unsigned)g_atomic_int_add(&w->next, 1);
        if (i >= w->names->len)
            return NULL;
        read_one(w, i, buf);
    }
}

static void sweep(Sweep *w)
{
    GThread *help[THREADS_MAX];
    unsigned most = w->names->len < ALONE ? 0 : MIN(g_get_num_processors(), THREADS_MAX) - 1, n = 0;
    while (n < most && (help[n] = g_thread_try_new("load", sweep_some, w, NULL)))
        n++;
    sweep_some(w);
    for (unsigned i = 0; i < n; i++)
        g_thread_join(help[i]);
}

/* A file of ours that tells another name than its own: defs_rename() was interrupted between its steps.  Takes those that are left. */
static bool finish_rename(DefsStore *s, const char *name, const Found *f)
{
    g_auto(Err) err = ERR_INIT;
    if (!f->ours || !f->other || defs_check_name(f->other, NULL) < 0)
        return false;
    g_autofree char *from = defs_path(s->dir, name), *to = defs_path(s->dir, f->other);
    if (access(to, F_OK) == 0)
        return false;
    if (s->move && s->move(s->move_data, name, f->other, &err) < 0)
        log_error("%s", err.detail);
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
        return false;
    dir_sync_parent(to);
    log_info("the renaming of '%s' to '%s' is completed", from, to);
    return true;
}

static LoadedDef *loaded_new(const char *name, StoredDef *def)
{
    LoadedDef *l = g_new0(LoadedDef, 1);
    l->name = g_strdup(name);
    l->def = def;
    return l;
}

static void loaded_free(void *p)
{
    LoadedDef *l = p;
    g_free(l->name);
    stored_def_unref(l->def);
    g_free(l);
}

/* Takes the definition, or tells the log why there is none. */
static void settle_one(DefsStore *s, const char *name, Found *f, GPtrArray *defs)
{
    if (f->def && !f->other) {
        g_ptr_array_add(defs, loaded_new(name, g_steal_pointer(&f->def)));
    } else if (f->def && finish_rename(s, name, f)) {
        g_ptr_array_add(defs, loaded_new(f->other, g_steal_pointer(&f->def)));
    } else {
        g_autofree char *m = err_message(&f->err);
        log_error("skipped: %s", m);
    }
    stored_def_unref(f->def);
    g_free(f->other);
    err_clear(&f->err);
}

GPtrArray *defs_load(DefsStore *s, Err *err)
{
    g_autoptr(GPtrArray) names = defs_names(s->dir, err);
    if (!names)
        return NULL;
    GPtrArray *defs = g_ptr_array_new_full(names->len, loaded_free);
    AUTO_CLOSE int dirfd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    Sweep w = {.s = s, .dirfd = dirfd, .names = names, .found = g_new0(Found, names->len)};
    sweep(&w);
    for (unsigned i = 0; i < names->len; i++)
        settle_one(s, names->pdata[i], &w.found[i], defs);
    g_free(w.found);
    defs_index_settle(s->index);
    return defs;
}
