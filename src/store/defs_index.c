/* store/defs_index.c - what is already known about the files of definitions
 *
 * Owns:    the index file: a head that names the program, then records; each ends with a sum over itself
 * Threads: any
 * Locks:   index.lock (leaf; held while a record is appended, which waits for the page cache only)
 * Errors:  none; what cannot be read is not known, what cannot be written is read anew at the next start
 *
 * Records are written behind the others, some dozens with one write, so a crash costs the last of them: reading stops at the first that is
 * not whole.  The file is never synced.  It is for this machine and this program only: the bytes are those of the struct, and the head holds
 * the identity of the program's file, because another version may read or write definitions in other words.
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_AREA "store.index"
#include "util/fd.h"
#include "util/file.h"
#include "util/intern.h"
#include "util/lock.h"
#include "util/log.h"
#include "store/defs_index.h"

#define INDEX_MAX  (256u << 20) /* bytes that are read */
#define APPEND_MAX (16u << 20)  /* bytes that are written in one life; what comes after is read anew at the next start */
#define GATHER     8192u        /* bytes that are written together: to write each at once would cost every definition a write more */
#define OS_TYPE    16u

typedef struct Head {
    char magic[16];
    uint64_t dev, ino, size, mtime_ns; /* of the program */
} Head;

typedef struct Record {
    Hash128 key;
    uint64_t max_memory_kib, cur_memory_kib;
    uint32_t max_vcpus, cur_vcpus;
    uint32_t len;    /* of the definition's text */
    uint8_t in_file; /* the text is the end of the content; else it follows the record */
    uint8_t plain;
    uint8_t unused[2];
    uint8_t uuid[UUID_LEN];
    char os_type[OS_TYPE];
    Hash128 sum; /* over all above and the text that follows */
} Record;

struct DefsIndex {
    Mutex lock; /* leaf: out, appended */
    char *path; /* NULL: keeps nothing */
    char *old;  /* the file as it was read; NULL after settle */
    GHashTable *known; /* Record.key -> Known; read-only but for `used` until settle */
    GByteArray *out; /* records to be written: at settle, then when there are enough, and at the end */
    bool cut;        /* something in the file was not understood */
    size_t appended;
};

typedef struct Known {
    Record r;
    const char *text; /* in `old`, of a record that has one */
    gint used;
} Known;

static guint key_hash(gconstpointer key)
{
    return (guint)((const Hash128 *)key)->a;
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
    return hash128_equal(*(const Hash128 *)a, *(const Hash128 *)b);
}

static Head head_of_program(void)
{
    Head h = {.magic = "berth defs 1"};
    struct stat st;
    if (stat("/proc/self/exe", &st) == 0) {
        h.dev = st.st_dev;
        h.ino = st.st_ino;
        h.size = (uint64_t)st.st_size;
        h.mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    }
    return h;
}

static size_t text_size(const Record *r)
{
    return r->in_file ? 0 : r->len;
}

static Hash128 sum_of(const Record *r, const char *text)
{
    Hash128 h = hash128((Hash128){0}, r, offsetof(Record, sum));
    return hash128(h, text, text_size(r));
}

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

static void read_records(DefsIndex *x, const char *p, size_t len)
{
    while (len) {
        Known k = {.text = p + sizeof(Record)};
        if (len < sizeof(Record))
            break;
        memcpy(&k.r, p, sizeof(Record));
        len -= sizeof(Record);
        if (text_size(&k.r) > len || !hash128_equal(k.r.sum, sum_of(&k.r, k.text)) || k.r.os_type[OS_TYPE - 1])
            break;
        len -= text_size(&k.r);
        p = k.text + text_size(&k.r);
        Known *own = g_memdup2(&k, sizeof(k));
        g_hash_table_replace(x->known, &own->r.key, own);
    }
    x->cut = len > 0;
}

DefsIndex *defs_index_open(const char *path)
{
    DefsIndex *x = g_new0(DefsIndex, 1);
    mutex_init(&x->lock, LOCK_LEAF, "definitions index");
    x->path = g_strdup(path);
    x->known = g_hash_table_new_full(key_hash, key_equal, NULL, g_free);
    x->out = g_byte_array_new();
    Head head = head_of_program();
    size_t len;
    if (!path || file_read(path, INDEX_MAX, &x->old, &len) < 0)
        return x;
    if (len < sizeof(Head) || memcmp(x->old, &head, sizeof(Head)) != 0)
        x->cut = true;
    else
        read_records(x, x->old + sizeof(Head), len - sizeof(Head));
    return x;
}

Hash128 defs_index_key(const char *name, const char *content, size_t len)
{
    return hash128(hash128((Hash128){0}, name, strlen(name)), content, len);
}

StoredDef *defs_index_find(DefsIndex *x, Hash128 key, const char *content, size_t len)
{
    Known *k = g_hash_table_lookup(x->known, &key);
    if (!k || (k->r.in_file && k->r.len > len))
        return NULL;
    g_atomic_int_set(&k->used, 1);
    DefNumbers n = {.max_memory_kib = k->r.max_memory_kib,
                    .cur_memory_kib = k->r.cur_memory_kib,
                    .max_vcpus = k->r.max_vcpus,
                    .cur_vcpus = k->r.cur_vcpus,
                    .os_type = *k->r.os_type ? str_intern(k->r.os_type) : NULL};
    return stored_def_from_text(k->r.in_file ? content + (len - k->r.len) : k->text, k->r.len, &n, k->r.uuid, k->r.plain);
}

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

/* Gives up: the next start reads what the file does not tell.  Lock held. */
static void stop_writing(DefsIndex *x, const char *why, int r)
{
    log_debug("'%s' is %s: %s", x->path, why, g_strerror(-r));
    g_clear_pointer(&x->path, g_free);
}

/* Opened each time: a file kept open for writing would keep its file system from being made read-only.  Lock held. */
static int append(DefsIndex *x)
{
    if (x->appended + x->out->len > APPEND_MAX)
        return -EFBIG;
    AUTO_CLOSE int fd = open(x->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    return fd < 0 ? -errno : fd_write_all(fd, x->out->data, x->out->len);
}

/* Writes what waits.  Lock held. */
static void flush(DefsIndex *x)
{
    int w = append(x);
    x->appended += x->out->len;
    g_byte_array_set_size(x->out, 0);
    if (w < 0)
        stop_writing(x, "not written any further", w);
}

void defs_index_add(DefsIndex *x, Hash128 key, const StoredDef *def, bool in_file)
{
    Record r;
    memset(&r, 0, sizeof(r)); /* the padding too is written */
    r.key = key;
    r.max_memory_kib = def->numbers.max_memory_kib;
    r.cur_memory_kib = def->numbers.cur_memory_kib;
    r.max_vcpus = def->numbers.max_vcpus;
    r.cur_vcpus = def->numbers.cur_vcpus;
    r.len = def->len;
    r.in_file = in_file;
    r.plain = def->plain;
    memcpy(r.uuid, def->uuid, UUID_LEN);
    if (!in_file && !def->plain)
        return; /* there may be a password in the text: it is kept in one place only */
    if (def->numbers.os_type && g_strlcpy(r.os_type, def->numbers.os_type, OS_TYPE) >= OS_TYPE)
        return;
    r.sum = sum_of(&r, def->text);

    LOCK_SCOPE(&x->lock);
    if (!x->path)
        return;
    g_byte_array_append(x->out, (const guint8 *)&r, sizeof(r));
    g_byte_array_append(x->out, (const guint8 *)def->text, (guint)text_size(&r));
    if (!x->known && x->out->len >= GATHER) /* known: all of it at settle */
        flush(x);
}

/* Everything known that is still of use, behind what was added. */
static void keep_used(DefsIndex *x)
{
    GHashTableIter it;
    Known *k;
    g_hash_table_iter_init(&it, x->known);
    while (g_hash_table_iter_next(&it, NULL, (gpointer *)&k)) {
        if (!k->used)
            continue;
        g_byte_array_append(x->out, (const guint8 *)&k->r, sizeof(k->r));
        g_byte_array_append(x->out, (const guint8 *)k->text, (guint)text_size(&k->r));
    }
}

static unsigned count_unused(DefsIndex *x)
{
    GHashTableIter it;
    Known *k;
    unsigned n = 0;
    g_hash_table_iter_init(&it, x->known);
    while (g_hash_table_iter_next(&it, NULL, (gpointer *)&k))
        n += !k->used;
    return n;
}

void defs_index_settle(DefsIndex *x)
{
    LOCK_SCOPE(&x->lock);
    if (!x->path)
        return;
    int r = 0;
    if (x->cut || !x->old || x->out->len || count_unused(x) > g_hash_table_size(x->known) / 2) {
        Head head = head_of_program();
        g_byte_array_prepend(x->out, (const guint8 *)&head, sizeof(head));
        keep_used(x);
        g_autofree char *dir = g_path_get_dirname(x->path);
        r = dir_make(dir, 0755);
        if (r == 0)
            r = file_replace(x->path, x->out->data, x->out->len, 0600, 0);
    }
    g_byte_array_set_size(x->out, 0);
    g_clear_pointer(&x->known, g_hash_table_unref);
    g_clear_pointer(&x->old, g_free);
    if (r < 0)
        stop_writing(x, "not written", r);
}

void defs_index_free(DefsIndex *x)
{
    if (!x)
        return;
    if (x->path && !x->known && x->out->len > 0)
        flush(x);
    g_clear_pointer(&x->known, g_hash_table_unref);
    g_clear_pointer(&x->out, g_byte_array_unref);
    mutex_done(&x->lock);
    g_free(x->old);
    g_free(x->path);
    g_free(x);
}
