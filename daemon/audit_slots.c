/* daemon/audit_slots.c - calls under way, in memory that outlives the daemon
 *
 * Owns:    the file and its mapping
 * Threads: any; a slot belongs to who took it
 * Locks:   AuditSlots.lock (leaf): which slots are free
 * Errors:  in the log; without slots a killed daemon leaves no records of what was under way
 *
 * The file is made whole before it is mapped, so that a full file system is found out here and not at a store.  Whoever has it open holds a lock
 * on it: a second daemon, which will find out soon that there is a first, must not take its calls for those of a dead one.
 *
 * Its half MiB is mapped where it is used only: a new file is zeros, which are free slots, and of those the first one is taken.
 */
#include "config.h"

#define LOG_AREA "daemon.audit"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib.h>

#include "daemon/audit_slots.h"
#include "util/fd.h"
#include "util/lock.h"
#include "util/log.h"

typedef struct Mapped {
    char magic[16];
    uint32_t n, size; /* of slots, of one */
    AuditSlot slots[AUDIT_SLOTS_MAX];
} Mapped;

static const char magic[16] = "berth-calls-1\n";

struct AuditSlots {
    int fd;
    char *path;
    Mapped *m;
    Mutex lock;
    bool taken[AUDIT_SLOTS_MAX];
    unsigned first; /* none before it is free */
};

static bool is_ours(const Mapped *m)
{
    return memcmp(m->magic, magic, sizeof(magic)) == 0 && m->n == AUDIT_SLOTS_MAX && m->size == sizeof(AuditSlot);
}

/* *ret_new: it is all zeros. */
static int open_whole(const char *path, int *ret_fd, bool *ret_new)
{
    struct stat sb;
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0 || fstat(fd, &sb) < 0)
        return -errno;
    if (!S_ISREG(sb.st_mode) || sb.st_uid != geteuid())
        return -EPERM;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    *ret_new = sb.st_size != sizeof(Mapped); /* none, or of another version: nothing of it can be read */
    if (*ret_new && ftruncate(fd, 0) < 0)
        return -errno;
    int e = posix_fallocate(fd, 0, sizeof(Mapped));
    if (e != 0)
        return -e;
    *ret_fd = take_fd(&fd);
    return 0;
}

/* What the last daemon left. */
static void look_through(AuditSlots *s)
{
    if (!is_ours(s->m))
        memset(s->m, 0, sizeof(*s->m));
    for (unsigned i = 0; i < AUDIT_SLOTS_MAX; i++)
        s->taken[i] = s->m->slots[i].state != AUDIT_SLOT_FREE;
    madvise(s->m, sizeof(*s->m), MADV_DONTNEED); /* it is in the file */
}

AuditSlots *audit_slots_open(const char *path)
{
    AUTO_CLOSE int fd = -1;
    bool is_new = false;
    int r = open_whole(path, &fd, &is_new);
    void *m = r < 0 ? MAP_FAILED : mmap(NULL, sizeof(Mapped), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m == MAP_FAILED) {
        log_warning("%s: %s; were the daemon killed, calls under way would leave no record", path, g_strerror(r < 0 ? -r : errno));
        return NULL;
    }
    AuditSlots *s = g_new0(AuditSlots, 1);
    s->fd = take_fd(&fd);
    s->path = g_strdup(path);
    s->m = m;
    mutex_init(&s->lock, LOCK_LEAF, "audit slots");
    if (!is_new)
        look_through(s);
    s->m->n = AUDIT_SLOTS_MAX;
    s->m->size = sizeof(AuditSlot);
    memcpy(s->m->magic, magic, sizeof(magic));
    return s;
}

AuditSlots *audit_slots_close(AuditSlots *s)
{
    if (!s)
        return NULL;
    bool empty = true;
    for (unsigned i = 0; i < AUDIT_SLOTS_MAX; i++)
        empty = empty && !s->taken[i];
    if (empty)
        unlink(s->path);
    munmap(s->m, sizeof(*s->m));
    fd_close(&s->fd);
    mutex_done(&s->lock);
    g_free(s->path);
    g_free(s);
    return NULL;
}

/* The file is only as good as who wrote it. */
static void end_texts(AuditSlot *slot)
{
    slot->proc[sizeof(slot->proc) - 1] = slot->kind[sizeof(slot->kind) - 1] = slot->uuid[sizeof(slot->uuid) - 1] = '\0';
    slot->from[sizeof(slot->from) - 1] = slot->who[sizeof(slot->who) - 1] = slot->name[sizeof(slot->name) - 1] = '\0';
}

const AuditSlot *audit_slots_left(const AuditSlots *s, unsigned *at, int *ret_number)
{
    while (*at < AUDIT_SLOTS_MAX) {
        unsigned i = (*at)++;
        if (!s->taken[i])
            continue;
        *ret_number = (int)i;
        end_texts(&s->m->slots[i]);
        return &s->m->slots[i];
    }
    return NULL;
}

int audit_slots_take(AuditSlots *s, AuditSlot **ret)
{
    LOCK_SCOPE(&s->lock);
    while (s->first < AUDIT_SLOTS_MAX && s->taken[s->first])
        s->first++;
    if (s->first == AUDIT_SLOTS_MAX)
        return -1;
    s->taken[s->first] = true;
    *ret = &s->m->slots[s->first];
    return (int)s->first;
}

void audit_slot_begin(AuditSlot *slot)
{
    __atomic_store_n(&slot->state, AUDIT_SLOT_BEGUN, __ATOMIC_RELEASE);
}

AuditSlot *audit_slots_get(AuditSlots *s, int number)
{
    return &s->m->slots[number];
}

void audit_slots_end(AuditSlots *s, int number, int code)
{
    AuditSlot *slot = &s->m->slots[number];
    slot->code = code;
    __atomic_store_n(&slot->state, AUDIT_SLOT_ENDED, __ATOMIC_RELEASE);
}

void audit_slots_release(AuditSlots *s, int number)
{
    __atomic_store_n(&s->m->slots[number].state, AUDIT_SLOT_FREE, __ATOMIC_RELEASE);
    LOCK_SCOPE(&s->lock);
    s->taken[number] = false;
    s->first = MIN(s->first, (unsigned)number);
}
