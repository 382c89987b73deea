/* domain/events.h - what happened to a machine, as clients are told
 *
 * One struct for all domain event ids; `id` says which member of the union holds.  Encoding is daemon/events.c.
 */
#pragma once

#include "base.h"
#include "domain/forward.h"

typedef enum {
    EVENT_DOMAIN,      /* id is VIR_DOMAIN_EVENT_ID_* */
    EVENT_QEMU_MONITOR, /* raw QMP event for the qemu program */
    EVENT_BLOCK_JOBS    /* progress of block jobs, for our own program; made by daemon/progress.c */
} EventClass;

/* A value with a name; VIR_TYPED_PARAM_ULLONG or _STRING. */
typedef struct EventParam {
    char *name;
    char *text; /* NULL: a number */
    uint64_t number;
} EventParam;

struct DomainEvent {
    EventClass class;
    int id;
    char *name;
    uint8_t uuid[UUID_LEN];
    int dom_id;
    union {
        struct { int event, detail; } lifecycle;
        struct { int64_t offset; } rtc_change;
        struct { int action; } watchdog;
        struct { char *path, *alias; int action; char *reason; } io_error; /* both IO_ERROR and IO_ERROR_REASON */
        struct {
            int phase;
            int local_family, remote_family;
            char *local_node, *local_service, *remote_node, *remote_service, *auth_scheme;
            char *subject_type, *subject_name; /* one identity, or NULL */
        } graphics;
        struct { char *path; int type, status; } block_job; /* BLOCK_JOB and BLOCK_JOB_2 */
        struct { char *old_path, *new_path, *alias; int reason; } disk_change;
        struct { char *alias; int reason; } tray_change;
        struct { int reason; } pm; /* PMWAKEUP, PMSUSPEND, PMSUSPEND_DISK */
        struct { uint64_t actual_kib; } balloon;
        struct { char *alias; } device; /* ADDED, REMOVED, REMOVAL_FAILED, and MEMORY_DEVICE… */
        struct { int state, reason; } agent;
        struct { GPtrArray *params; } params; /* TUNABLE, JOB_COMPLETED: EventParam* */
        struct { int type; char *uri; } metadata;
        struct { char *dev, *path; uint64_t threshold, excess; } block_threshold;
        struct { char *event; int64_t seconds; unsigned micros; char *details; } monitor;
    };
};

DomainEvent *domain_event_new(EventClass class, int id, const Domain *d); /* lock held */
void domain_event_free(DomainEvent *e);
/* Members of params; the strings are copied. */
EventParam *event_param_string(const char *name, const char *text);
EventParam *event_param_ullong(const char *name, uint64_t number);
void event_param_free(void *param);
