/* daemon/audit.c - a record of everything clients change
 *
 * Owns:    the queue of records, the thread that writes them, the file
 * Threads: audit_call from any; writing on a thread of its own, which may sleep as long as the disk does, two seconds for a journal
 * Locks:   Audit.lock (queue)
 * Errors:  what cannot be written is counted as lost, and said in the log
 */
#include "config.h"

#define ERR_FROM VIR_FROM_CONF
#define LOG_AREA "daemon.audit"
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <jansson.h>
#include <sys/socket.h>

#include "daemon/audit.h"
#include "daemon/audit_slots.h"
#include "protocol/remote_protocol.h"
#include "util/fd.h"
#include "util/lock.h"
#include "util/log.h"
#include "util/log_datagram.h"
#include "util/uuid.h"

#define QUEUE_MAX 8192u
#define OTHERS_MAX (QUEUE_MAX / 2) /* the rest is for changes: who is refused, or connects, again and again crowds out no record of one */
#define GATHER_MS 10u    /* what comes so soon after a record is written with it: a wake-up costs more than a record */
#define GATHER_MAX 1024u /* unless it is so much */
#define MESSAGE_ID "3f0e2cbd5b7a4f2c9e1d6a8b47c0915e" /* of every record in the journal */
#define JOURNAL_WAIT_S 2 /* for a journal that does not read; then what waits is lost, and counted */

struct AuditRecord {
    AuditRecord *next;
    int64_t time_us; /* since the epoch */
    uint64_t client;
    char *who, *from;        /* identity; address or "local" */
    const char *proc, *kind; /* constants */
    char *name;              /* of the object; NULL: none, or not known */
    char uuid[UUID_STRING_LEN];
    int code;                /* VIR_ERR_*; 0: done */
    bool unknown;            /* the daemon was killed before it ended */
    bool change;             /* of a call that was carried out */
    char *texts[2];          /* proc and kind, where they are no constants */
    int slot;                /* freed when this is written; -1: none */
    unsigned lost;           /* this record stands for so many others */
};

struct Audit {
    pthread_t thread;
    Mutex lock;
    Cond wake;
    AuditRecord *head, **tail;
    unsigned queued, lost;
    bool stop;
    AuditSpec spec; /* under the lock; file is not kept */
    int next_fd;    /* the thread is to go on with, if `moved`: a reload opened it */
    bool moved;
    int fd;         /* -1: to the journal; the thread's, so that writing takes no descriptor when there is none to be had */
    int journal;    /* socket for that; the thread's */
    char *slots_path;
    AuditSlots *slots; /* atomic, from NULL on only; NULL: none are to be had, or records were never asked for */
    gint level;     /* atomic copy of spec.level */
};

static void record_free(AuditRecord *r)
{
    g_free(r->who);
    g_free(r->from);
    g_free(r->name);
    g_free(r->texts[0]);
    g_free(r->texts[1]);
    g_free(r);
}

/* It is written, or never will be. */
static void record_done(Audit *a, AuditRecord *r)
{
    if (r->slot >= 0)
        audit_slots_release(a->slots, r->slot);
    record_free(r);
}

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

static void set_text(json_t *o, const char *key, const char *text)
{
    if (!text)
        return;
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    json_object_set_new(o, key, json_string(valid));
}

static char *as_json(const AuditRecord *r)
{
    json_t *o = json_object();
    g_autoptr(GDateTime) seconds = g_date_time_new_from_unix_utc(r->time_us / G_USEC_PER_SEC);
    g_autofree char *day = g_date_time_format(seconds, "%Y-%m-%dT%H:%M:%S");
    g_autofree char *time = g_strdup_printf("%s.%06dZ", day, (int)(r->time_us % G_USEC_PER_SEC));
    set_text(o, "time", time);
    if (r->lost) {
        json_object_set_new(o, "lost", json_integer(r->lost));
    } else {
        json_object_set_new(o, "client", json_integer((json_int_t)r->client));
        set_text(o, "who", r->who);
        set_text(o, "from", r->from);
        set_text(o, "procedure", r->proc);
        set_text(o, "object", r->kind);
        set_text(o, "name", r->name);
        set_text(o, "uuid", r->uuid[0] ? r->uuid : NULL);
        json_object_set_new(o, "result", r->unknown ? json_null() : json_integer(r->code));
    }
    char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(o);
    return text;
}

static char *as_text(const AuditRecord *r)
{
    if (r->lost)
        return g_strdup_printf("%u audit records were lost", r->lost);
    g_autofree char *end = r->unknown ? g_strdup("the daemon was killed before it ended") : g_strdup_printf("%s (%d)", r->code ? "failed" : "done", r->code);
    return g_strdup_printf("client %" PRIu64 " (%s, %s): %s%s%s%s%s: %s", r->client, r->who, r->from, r->proc, r->name ? " on " : "",
                           r->name ? r->kind : "", r->name ? " " : "", r->name ? r->name : "", end);
}

static int to_journal(int journal, const AuditRecord *r, const char *text)
{
    char client[24], lost[16], result[16];
    g_snprintf(client, sizeof(client), "%" PRIu64, r->client);
    g_snprintf(lost, sizeof(lost), "%u", r->lost);
    g_snprintf(result, sizeof(result), "%d", r->code);
    const LogEntryField all[] = {
        {"", "MESSAGE", text},
        {"", "MESSAGE_ID", MESSAGE_ID},
        {"", "PRIORITY", "5"},
        {"", "SYSLOG_IDENTIFIER", "berthd"},
        {"BERTH_", "AREA", "audit"},
        {"BERTH_", "LOST", r->lost ? lost : NULL},
        {"BERTH_", "CLIENT", r->lost ? NULL : client},
        {"BERTH_", "WHO", r->who},
        {"BERTH_", "FROM", r->from},
        {"BERTH_", "PROCEDURE", r->proc},
        {"BERTH_", "RESULT", r->lost ? NULL : r->unknown ? "unknown" : result},
        {"BERTH_", "OBJECT", r->name},
        {"BERTH_", "UUID", r->uuid[0] ? r->uuid : NULL},
    };
    LogEntryField fields[N_ELEMENTS(all)];
    size_t n = 0;
    for (size_t i = 0; i < N_ELEMENTS(all); i++)
        if (all[i].value)
            fields[n++] = all[i];
    int e = log_journal_send_on(journal, fields, n);
    return e == -ENOENT ? 0 : e; /* a host without a journal; audit_level 2 asks for one */
}

/* A line is there whole or not at all: what a full file system took of it would spoil the next one as well. */
static int write_line(int fd, const char *line)
{
    off_t end = lseek(fd, 0, SEEK_END); /* -1: it is no file but a pipe, say */
    int e = fd_write_all(fd, line, strlen(line));
    if (e < 0 && end >= 0 && ftruncate(fd, end) < 0)
        log_error("half an audit record stays in the file: %s", g_strerror(errno));
    return e;
}

static int write_record(int fd, int journal, bool logged, const AuditRecord *r)
{
    int e;
    g_autofree char *text = as_text(r);
    if (fd >= 0) {
        char *json = as_json(r); /* jansson's */
        g_autofree char *line = g_strdup_printf("%s\n", json);
        free(json);
        e = write_line(fd, line);
    } else {
        e = to_journal(journal, r, text);
    }
    if (logged)
        log_info("%s", text);
    return e;
}

/* Everything that waits, taken at once. */
static AuditRecord *take_all(Audit *a, unsigned *ret_lost, int *ret_old_fd, bool *ret_logged)
{
    AuditRecord *r = a->head;
    a->head = NULL;
    a->tail = &a->head;
    a->queued = 0;
    *ret_lost = a->lost;
    a->lost = 0;
    *ret_old_fd = a->moved ? take_fd(&a->fd) : -1;
    if (a->moved)
        a->fd = take_fd(&a->next_fd);
    a->moved = false;
    *ret_logged = a->spec.logged;
    return r;
}

/* Returns how many are lost and could not be told: whoever writes next says it. */
static unsigned write_all(Audit *a, AuditRecord *r, unsigned lost, bool logged)
{
    int fd = a->fd, journal = a->journal;
    int failed = 0;
    unsigned n = 0;
    bool hangs = false;
    while (r) {
        AuditRecord *next = r->next;
        int e = hangs ? -EAGAIN : write_record(fd, journal, logged, r);
        if (e == -EAGAIN) {
            hangs = true;
            lost++;
        } else if (e < 0) {
            failed = e;
            n++;
        }
        record_done(a, r);
        r = next;
    }
    if (failed < 0)
        log_error("%u audit records could not be written: %s", n, g_strerror(-failed));
    if (lost == 0)
        return 0;
    AuditRecord said = {.time_us = g_get_real_time(), .slot = -1, .lost = lost};
    if (write_record(fd, journal, logged, &said) == -EAGAIN)
        return lost;
    log_warning("%u audit records were not taken in time and are lost", lost);
    return 0;
}

static void *thread_main(void *arg)
{
    Audit *a = arg;
    bool stop = false;
    while (!stop) {
        unsigned lost;
        int old_fd;
        bool logged;
        mutex_lock(&a->lock);
        while (!a->head && !a->lost && !a->moved && !a->stop)
            cond_wait_until(&a->wake, &a->lock, deadline_in_ms(3600000));
        for (Deadline end = deadline_in_ms(GATHER_MS); !a->stop && a->queued < GATHER_MAX;)
            if (!cond_wait_until(&a->wake, &a->lock, end))
                break;
        stop = a->stop;
        AuditRecord *r = take_all(a, &lost, &old_fd, &logged);
        mutex_unlock(&a->lock);
        fd_close(&old_fd);
        lost = write_all(a, r, lost, logged);
        if (lost) {
            LOCK_SCOPE(&a->lock);
            a->lost += lost;
        }
    }
    return NULL;
}

/* ---- settings -------------------------------------------------------------------------------------------------------------- */

static int open_file(const AuditSpec *spec, int *ret, Err *err)
{
    *ret = -1;
    if (spec->level == 0)
        return 0;
    if (spec->file) {
        *ret = open(spec->file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
        return *ret < 0 ? err_set_errno(err, errno, "opening audit_file %s", spec->file) : 0;
    }
    if (spec->level > 1 && access(LOG_JOURNAL_SOCKET, W_OK) < 0) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "audit_level is 2, and there is no journal at %s", LOG_JOURNAL_SOCKET);
        return err_hint(err, "name a file with audit_file in berthd.conf");
    }
    return 0;
}

/* What a daemon that was killed was at; returns how many calls.  Lock held. */
static unsigned recover(Audit *a, AuditSlots *slots)
{
    const AuditSlot *left;
    unsigned at = 0, n = 0;
    int slot;
    for (; (left = audit_slots_left(slots, &at, &slot)); n++) {
        AuditRecord *r = g_new0(AuditRecord, 1);
        *r = (AuditRecord){.time_us = left->time_us, .client = left->client, .who = g_strdup(left->who), .from = g_strdup(left->from),
                      .name = left->name[0] ? g_strdup(left->name) : NULL, .code = left->code, .unknown = left->state != AUDIT_SLOT_ENDED,
                      .texts = {g_strdup(left->proc), g_strdup(left->kind)}, .slot = slot};
        r->proc = r->texts[0];
        r->kind = r->texts[1];
        g_strlcpy(r->uuid, left->uuid, sizeof(r->uuid));
        *a->tail = r;
        a->tail = &r->next;
        a->queued++;
    }
    return n;
}

/* With the first level that has records, at the start or by a reload. */
static void open_slots(Audit *a)
{
    AuditSlots *slots = a->slots ? NULL : audit_slots_open(a->slots_path);
    if (!slots)
        return;
    mutex_lock(&a->lock);
    unsigned n = recover(a, slots);
    __atomic_store_n(&a->slots, slots, __ATOMIC_RELEASE);
    cond_broadcast(&a->wake);
    mutex_unlock(&a->lock);
    if (n)
        log_warning("the daemon before this one was killed with %u calls under way: they are in the audit records", n);
}

Audit *audit_new(const AuditSpec *spec, const char *slots_path, Err *err)
{
    int fd;
    if (open_file(spec, &fd, err) < 0)
        return NULL;
    const struct timeval wait = {.tv_sec = JOURNAL_WAIT_S};
    int journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (journal < 0 || setsockopt(journal, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0) {
        err_set_errno(err, errno, "a socket for audit records");
        fd_close(&journal);
        fd_close(&fd);
        return NULL;
    }
    Audit *a = g_new0(Audit, 1);
    a->journal = journal;
    a->fd = fd;
    a->next_fd = -1;
    a->spec = *spec;
    a->spec.file = NULL;
    a->level = spec->level;
    a->tail = &a->head;
    mutex_init(&a->lock, LOCK_QUEUE, "audit");
    cond_init(&a->wake);
    a->slots_path = g_strdup(slots_path);
    if (spec->level > 0)
        open_slots(a);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&a->thread, NULL, thread_main, a) != 0)
        g_error("no thread for audit records");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return a;
}

int audit_reload(Audit *a, const AuditSpec *spec, Err *err)
{
    int fd;
    if (open_file(spec, &fd, err) < 0)
        return -1;
    mutex_lock(&a->lock);
    int unused = take_fd(&a->next_fd); /* of a reload just before */
    a->next_fd = fd;
    a->moved = true;
    a->spec.level = spec->level;
    a->spec.logged = spec->logged;
    cond_broadcast(&a->wake);
    mutex_unlock(&a->lock);
    fd_close(&unused);
    if (spec->level > 0)
        open_slots(a); /* what it finds goes to the new file */
    g_atomic_int_set(&a->level, spec->level);
    return 0;
}

void audit_stop(Audit *a)
{
    mutex_lock(&a->lock);
    bool running = !a->stop;
    a->stop = true;
    cond_broadcast(&a->wake);
    mutex_unlock(&a->lock);
    if (running)
        pthread_join(a->thread, NULL);
}

Audit *audit_free(Audit *a)
{
    if (!a)
        return NULL;
    audit_stop(a);
    for (AuditRecord *r = a->head, *next; r; r = next) {
        next = r->next;
        record_done(a, r);
    }
    audit_slots_close(a->slots);
    g_free(a->slots_path);
    fd_close(&a->next_fd);
    fd_close(&a->fd);
    fd_close(&a->journal);
    cond_done(&a->wake);
    mutex_done(&a->lock);
    g_free(a);
    return NULL;
}

/* ---- recording ------------------------------------------------------------------------------------------------------------- */

static bool is_about_who(int code)
{
    static const int codes[] = {VIR_ERR_ACCESS_DENIED, VIR_ERR_OPERATION_DENIED, VIR_ERR_AUTH_FAILED, VIR_ERR_AUTH_CANCELLED,
                                VIR_ERR_AUTH_UNAVAILABLE};
    for (unsigned i = 0; i < N_ELEMENTS(codes); i++)
        if (codes[i] == code)
            return true;
    return false;
}

/* What a read-only connection may not do changes something. */
static bool changes_something(const Call *call)
{
    const ProcInfo *p = call->proc;
    if (p->preopen || p->preauth)
        return false;
    return p->args.size && !call->args ? p->ro == READONLY_REFUSED : proc_readonly_refused(p, call->args);
}

static bool is_wanted(const Call *call)
{
    return is_about_who(call->err.code) || call->login || strcmp(call->proc->name, "connect_open") == 0 || changes_something(call);
}

/* Takes the record. */
static void enqueue(Audit *a, AuditRecord *r)
{
    mutex_lock(&a->lock);
    bool full = a->queued >= (r->change ? QUEUE_MAX : OTHERS_MAX), wake = a->queued == 0;
    if (full) {
        a->lost++;
    } else {
        *a->tail = r;
        a->tail = &r->next;
        wake = ++a->queued == GATHER_MAX || wake;
    }
    mutex_unlock(&a->lock);
    if (wake)
        cond_broadcast(&a->wake);
    if (full)
        record_done(a, r);
}

/* For the calling thread's call alone, which may be any that has `conn`. */
static AuditRecord *record_new(const RpcConn *conn, const char *proc, const char *kind)
{
    const RpcPeer *peer = rpc_conn_peer(conn);
    AuditRecord *r = g_new0(AuditRecord, 1);
    *r = (AuditRecord){.time_us = g_get_real_time(),
                       .client = rpc_conn_id(conn),
                       .who = rpc_peer_text_with_start(peer),
                       .from = g_strdup(peer->address ? peer->address : "local"),
                       .proc = proc,
                       .kind = kind,
                       .slot = -1};
    return r;
}

static bool is_on(Audit *a)
{
    return a && g_atomic_int_get(&a->level) > 0;
}

static void set_name(AuditRecord *r, const char *name, const uint8_t *uuid)
{
    g_free(r->name);
    r->name = g_strdup(name);
    if (uuid)
        uuid_format(uuid, r->uuid);
}

/* What a call that found no machine, or was refused before it looked for one, called it. */
static void client_names(const Call *call, AuditRecord *r)
{
    const ProcInfo *p = call->proc;
    if (p->object != OBJ_DOMAIN || !call->args)
        return;
    const char *at = (const char *)call->args + p->key_at;
    if (p->key == KEY_REF) {
        const remote_nonnull_domain *ref = (const void *)at;
        set_name(r, ref->name, (const uint8_t *)ref->uuid);
    } else if (p->key == KEY_NAME) {
        set_name(r, *(char *const *)(const void *)at, NULL);
    } else if (p->key == KEY_UUID) {
        uuid_format((const uint8_t *)at, r->uuid);
    }
}

/* What the call is about, as far as it is known by now. */
static void name_object(const Call *call, AuditRecord *r)
{
    if (call->login) {
        r->kind = "login";
        set_name(r, call->login, NULL);
    } else if (call->dom) {
        g_autoptr(DomainView) v = domain_view(call->dom);
        set_name(r, v->name, v->uuid);
    } else if (call->late_name) {
        set_name(r, call->late_name, call->late_uuid);
    } else {
        client_names(call, r);
    }
}

/* From here on it leaves a record, whatever becomes of the daemon; where no slot is to be had, only if the daemon lives. */
static void take_slot(Audit *a, AuditRecord *r)
{
    AuditSlot *slot;
    AuditSlots *slots = __atomic_load_n(&a->slots, __ATOMIC_ACQUIRE);
    r->slot = slots ? audit_slots_take(slots, &slot) : -1;
    if (r->slot < 0)
        return;
    slot->time_us = r->time_us;
    slot->client = r->client;
    slot->code = 0;
    g_strlcpy(slot->proc, r->proc, sizeof(slot->proc));
    g_strlcpy(slot->kind, r->kind, sizeof(slot->kind));
    g_strlcpy(slot->uuid, r->uuid, sizeof(slot->uuid));
    g_strlcpy(slot->from, r->from, sizeof(slot->from));
    g_strlcpy(slot->who, r->who, sizeof(slot->who));
    g_strlcpy(slot->name, r->name ? r->name : "", sizeof(slot->name));
    audit_slot_begin(slot);
}

/* Its call has ended. */
static void conclude(Audit *a, AuditRecord *r, int code)
{
    r->code = code;
    r->time_us = g_get_real_time();
    if (r->slot >= 0)
        audit_slots_end(a->slots, r->slot, code);
    enqueue(a, r);
}

void audit_begin(Audit *a, Call *call)
{
    if (!is_on(a) || !changes_something(call))
        return;
    rpc_conn_find_start(call->conn);
    call->audit = record_new(call->conn, call->proc->name, proc_object_name(call->proc->object));
    call->audit->change = true;
    name_object(call, call->audit);
    take_slot(a, call->audit);
}

void audit_named(Audit *a, const Call *call)
{
    if (!call->audit || call->audit->slot < 0)
        return;
    AuditSlot *slot = audit_slots_get(a->slots, call->audit->slot);
    g_strlcpy(slot->name, call->late_name, sizeof(slot->name));
    uuid_format(call->late_uuid, slot->uuid);
}

/* Of a call that did not get so far as to be carried out, or changes nothing.  Connecting has to be cheap: who has done no more than that is
 * in the records without the start time of his process, unless it was asked for already. */
static AuditRecord *record_of(const Call *call)
{
    if (err_is_set(&call->err) && event_on_thread(rpc_conn_loop(call->conn)))
        rpc_conn_find_start(call->conn);
    return record_new(call->conn, call->proc->name, proc_object_name(call->proc->object));
}

void audit_call(Audit *a, Call *call)
{
    AuditRecord *r = g_steal_pointer(&call->audit);
    if (!is_on(a) || !is_wanted(call)) {
        if (r)
            record_done(a, r);
        return;
    }
    bool named = r && r->name;
    if (!r)
        r = record_of(call);
    if (!named || call->late_name)
        name_object(call, r);
    conclude(a, r, call->err.code);
}

AuditRecord *audit_admin_begin(Audit *a, RpcConn *conn, const char *proc, const char *server)
{
    if (!is_on(a))
        return NULL;
    rpc_conn_find_start(conn);
    AuditRecord *r = record_new(conn, proc, "server");
    r->change = true;
    set_name(r, server, NULL);
    take_slot(a, r);
    return r;
}

void audit_admin_end(Audit *a, AuditRecord *r, int code)
{
    if (r && is_on(a))
        conclude(a, r, code);
    else if (r)
        record_done(a, r);
}
