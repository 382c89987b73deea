/* model/snapshot_def.h - what <domainsnapshot> says: a point in the life of a machine's disks
 *
 * Built by the parser or by hand, immutable and refcounted once it stands in a list (domain/snapshot_list.h).  The machine as it was is kept
 * as text (model/stored_def.h): thousands of snapshots are thousands of texts.
 */
#pragma once

#include "model/stored_def.h"

/* Values up to PMSUSPENDED are VIR_DOMAIN_*; the last one is of snapshots alone: disks of a running machine without its memory. */
typedef enum {
    SNAPSHOT_STATE_NONE,
    SNAPSHOT_STATE_RUNNING,
    SNAPSHOT_STATE_BLOCKED,
    SNAPSHOT_STATE_PAUSED,
    SNAPSHOT_STATE_SHUTDOWN,
    SNAPSHOT_STATE_SHUTOFF,
    SNAPSHOT_STATE_CRASHED,
    SNAPSHOT_STATE_PMSUSPENDED,
    SNAPSHOT_STATE_DISK,
    SNAPSHOT_STATE_MAX,
} SnapshotState;
extern const char *const snapshot_state_names[SNAPSHOT_STATE_MAX];

typedef struct SnapshotDisk {
    char *name;                /* target: vda */
    SnapshotLocation location; /* ABSENT: as the machine's definition says */
    StorageType type;          /* of the new image; 0: not given */
    char *path;                /* of the new image; NULL: not given */
    StorageFormat format;      /* of the new image; 0: not given */
} SnapshotDisk;

typedef struct SnapshotDef {
    gint refs;
    char *name, *description;
    char *parent; /* name; NULL: a root */
    int64_t creation_time;
    SnapshotState state;
    SnapshotLocation memory;
    char *memory_file;
    GPtrArray *disks;    /* SnapshotDisk*, never NULL */
    StoredDef *domain;   /* NULL: not told */
    StoredDef *inactive; /* of a running persistent machine: its definition for the next boot */
    char *cookie;        /* another daemon's notes on a saved memory, as they stand in its file */
    bool current;        /* of a file: the one that was current when it was written */
} SnapshotDef;

SnapshotDef *snapshot_def_new(void);
/* Writable, one reference; texts of machines are shared. */
SnapshotDef *snapshot_def_copy(const SnapshotDef *s);
SnapshotDef *snapshot_def_ref(const SnapshotDef *s);
void snapshot_def_unref(SnapshotDef *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SnapshotDef, snapshot_def_unref)

SnapshotDisk *snapshot_disk_new(const char *name);
void snapshot_disk_free(SnapshotDisk *d);
/* Borrowed; NULL: none of that name. */
SnapshotDisk *snapshot_def_disk(const SnapshotDef *s, const char *name);
/* Is anything of it outside of the images the machine had: an overlay, a file with memory? */
bool snapshot_def_is_external(const SnapshotDef *s);
/* May a snapshot be called so?  It names a file.  0, or -1 with VIR_ERR_XML_ERROR. */
int snapshot_name_check(const char *name, Err *err);

typedef enum {
    SNAPSHOT_PARSE_REDEFINE = 1 << 0, /* state, time, parent and machine are the document's, and must be there */
    SNAPSHOT_PARSE_FILE = 1 << 1,     /* a file of ours or of libvirtd; implies REDEFINE */
    SNAPSHOT_PARSE_VALIDATE = 1 << 2, /* unknown elements are errors */
} SnapshotParseFlags;

/* Reads the text of a <domain> inside: from a file as it stands, from a client made whole.  NULL with Err. */
typedef StoredDef *(*SnapshotDomainFn)(void *ud, const char *xml, Err *err);

/* Parses <domainsnapshot>; `text` ends in a NUL of its own.  Without REDEFINE only name (NULL when not given), description, memory and disks
 * are read.  VIR_ERR_XML_ERROR and its likes; what libvirt knows and Berth does not is VIR_ERR_CONFIG_UNSUPPORTED. */
SnapshotDef *snapshot_def_parse(const char *text, size_t len, SnapshotParseFlags flags, SnapshotDomainFn read_domain, void *ud, Err *err);

typedef enum {
    SNAPSHOT_FORMAT_SECURE = 1 << 0, /* with passwords */
    SNAPSHOT_FORMAT_FILE = 1 << 1,   /* with what only the file has: whether it is current, the cookie */
} SnapshotFormatFlags;

/* Renders it as libvirt 9.0 shows it.  Caller frees.  NULL with Err when the machine inside cannot be read. */
char *snapshot_def_format(const SnapshotDef *s, SnapshotFormatFlags flags, bool current, Err *err);
