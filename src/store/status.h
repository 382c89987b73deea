/* store/status.h - what the daemon must know of a running machine to find it again: RUN_DIR/NAME.xml
 *
 * Our own format, with its number inside.  The run directory is volatile: replaced as a whole, never synced.
 */
#pragma once

#include "model/domain_def.h"
#include "store/job_history.h"

#define STATUS_FORMAT 1
#define STATUS_ID_MAX (1 << 30) /* the next machine still gets a number */

/* A block job, written before the command that starts it is sent. */
typedef struct StatusBlockJob {
    char *id, *kind, *disk, *target; /* QEMU's name of it, ours of its kind, alias and name of the disk */
    unsigned state;                  /* BlockJobState */
    bool aborted_ready;
    bool done;          /* QEMU has concluded it without an error */
    unsigned top, base; /* numbers of images; 0: none */
    unsigned flags;     /* of the call that began it */
    uint64_t begun_us;
} StatusBlockJob;

#define STATUS_BLOCKJOBS_MAX 4096u

StatusBlockJob *status_blockjob_copy(const StatusBlockJob *j);
void status_blockjob_free(StatusBlockJob *j);

typedef struct StatusRecord StatusRecord;
struct StatusRecord {
    DomainDef *live; /* own reference */
    int id, state, reason;
    uint64_t life;
    pid_t pid;
    uint64_t start_time; /* with the pid the identity of the process, in this boot of the host: */
    char *boot_id;       /* NULL: not known */
    char *monitor_path, *private_dir, *log_path, *cgroup;
    unsigned node_index;
    char **taps; /* NULL-ended, or NULL */
    GPtrArray *blockjobs; /* StatusBlockJob*; NULL: none */
    GPtrArray *verdicts;  /* JobVerdict* on their way to the history; NULL: none */
    bool persistent;
    bool starting;        /* written before QEMU was continued: a half-started machine, to be killed */
    bool autodestroy;     /* its connection died with the daemon that wrote this */
    bool fake_reboot;     /* the next SHUTDOWN of the guest means: start it over */
    bool tainted_monitor; /* a client used the raw monitor */
    int stop_reason;      /* VIR_DOMAIN_SHUTOFF_* somebody asked for, 0: nobody */
    char *job_what;       /* long job and its phase, NULL: none */
    int job_phase;
};

typedef enum {
    STATUS_OK,
    STATUS_MISSING,
    STATUS_FOREIGN, /* another daemon's: libvirtd's, or a newer format of ours; not to be touched */
    STATUS_BAD,     /* unreadable or broken */
} StatusRead;

/* Replaces RUN_DIR/NAME.xml, name from rec->live.  0, or -1 with Err. */
int status_save(const char *run_dir, const StatusRecord *rec, Err *err);
/* Fills *ret on STATUS_OK; else Err says why (not for MISSING).  Clear with status_record_clear. */
StatusRead status_load(const char *run_dir, const char *name, StatusRecord *ret, Err *err);
/* The text of the file of a record, and what it says; `path` names it in errors.  `text` must end in a NUL of its own. */
char *status_format(const StatusRecord *rec);
StatusRead status_parse(const char *text, size_t len, const char *path, StatusRecord *ret, Err *err);
/* RUN_DIR/NAME.pid, for people and scripts; never read by us.  pid 0 removes it. */
int status_pid_file(const char *run_dir, const char *name, pid_t pid);
int status_remove(const char *run_dir, const char *name, Err *err);
void status_record_clear(StatusRecord *rec);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(StatusRecord, status_record_clear)
