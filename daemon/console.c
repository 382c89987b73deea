/* daemon/console.c - who holds which console
 *
 * Owns:    the table of devices in use and the streams on them
 * Threads: open on workers, end of a stream on the client event thread
 * Locks:   table.lock (leaf)
 *
 * SAFE asks for a device nobody else can hold at the same time.  The table makes every open of ours so; whoever opens the pty by other
 * means than this daemon is not seen.
 */
#include "config.h"

#define LOG_AREA "daemon.console"
#include "daemon/console.h"
#include "domain/console.h"
#include "util/lock.h"
#include "util/log.h"

typedef struct Holder {
    gint refs; /* the stream's end holds one, the opening call the other */
    char *path;
    RpcStream *stream; /* reference; NULL between the claim and the opening */
} Holder;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct {
    Mutex lock; /* leaf */
    GHashTable *by_path; /* path -> Holder */
} table;

static void holder_unref(Holder *h)
{
    if (!g_atomic_int_dec_and_test(&h->refs))
        return;
    if (h->stream)
        rpc_stream_unref(h->stream);
    g_free(h->path);
    g_free(h);
}

static void table_init(void)
{
    mutex_init(&table.lock, LOCK_LEAF, "consoles");
    table.by_path = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, NULL);
}

/* The stream is over: whoever took the device over meanwhile keeps it. */
static void on_ended(void *ud, RpcStream *st, RpcStreamEnd how)
{
    Holder *h = ud;
    {
        LOCK_SCOPE(&table.lock);
        if (g_hash_table_lookup(table.by_path, h->path) == h)
            g_hash_table_remove(table.by_path, h->path);
    }
    log_debug("console %s: stream %s", h->path, rpc_stream_end_names[how]);
    holder_unref(h);
}

int console_open(Call *call, const char *path, bool is_socket, bool channel, bool force, Err *err)
{
    pthread_once(&once, table_init);
    Holder *h = g_new0(Holder, 1);
    h->refs = 1;
    h->path = g_strdup(path);
    RpcStream *old = NULL;
    {
        LOCK_SCOPE(&table.lock);
        const Holder *have = g_hash_table_lookup(table.by_path, path);
        if (have && !force) {
            holder_unref(h);
            err_set(err, VIR_ERR_OPERATION_FAILED, "Active %s exists for this domain", channel ? "channel stream" : "console session");
            return err_hint(err, channel ? "VIR_DOMAIN_CHANNEL_FORCE takes it over" : "`virsh console --force` takes it over");
        }
        if (have && have->stream)
            old = rpc_stream_ref(have->stream);
        g_hash_table_replace(table.by_path, h->path, h);
    }
    if (old) {
        g_auto(Err) why = ERR_INIT;
        err_set(&why, VIR_ERR_OPERATION_ABORTED, "another client took the console over");
        rpc_stream_abort(old, &why);
        rpc_stream_unref(old);
    }
    int fd = domain_console_open(path, is_socket, err);
    if (fd < 0) {
        {
            LOCK_SCOPE(&table.lock);
            if (g_hash_table_lookup(table.by_path, path) == h)
                g_hash_table_remove(table.by_path, path);
        }
        holder_unref(h);
        return -1;
    }
    const RpcStreamOwner owner = {.ended = on_ended, .ud = h};
    g_atomic_int_inc(&h->refs);
    RpcStream *st = rpc_stream_ref(rpc_stream_open_fd(call->msg, fd, -1, &owner));
    bool lost = false;
    {
        LOCK_SCOPE(&table.lock);
        h->stream = st;
        lost = g_hash_table_lookup(table.by_path, path) != h;
    }
    if (lost) /* taken over by force, or ended, while it was being opened */
        rpc_stream_abort(st, NULL);
    holder_unref(h);
    return 0;
}
