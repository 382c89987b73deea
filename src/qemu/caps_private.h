/* qemu/caps_private.h - shared by the files of src/qemu/caps*.c only
 *
 * The document: what a probe yields, what the disk cache holds and what QemuCaps is made of is one JSON object:
 *   version, package, arch, flags[], machines[] (as QEMU gives them), kvm (usable), tpm-models[], tpm-types[],
 *   cpus.{tcg,kvm}[] (as QEMU gives them), models.{NAME} (definition of a named model: vendor, family, model, stepping, features[]),
 *   max.{tcg,kvm} (the same for the best CPU the accelerator offers), doubtful (true: KVM was expected and did not come up this time)
 */
#pragma once

#include "qemu/caps.h"

/* Raised when the document's shape or a probe's meaning changes; tables are covered by their own hash. */
#define CAPS_FORMAT 2

/* How much of the document: all, or a sketch: version, package, arch, machines and kvm, and for the emulator of the host's own architecture
 * models too, as the host's CPU is described by them.  QEMU tells a sketch in a third of the time. */
typedef enum CapsDepth { CAPS_WHOLE, CAPS_SKETCH, CAPS_DEPTHS } CapsDepth;

/* Account a probe runs as. */
typedef struct CapsAccount {
    uid_t uid; /* (uid_t)-1: unchanged */
    gid_t gid;
} CapsAccount;

/* Runs the binary and returns the document, or NULL.  Sleeps; children are dead when it returns.  `kvm`: try that accelerator too;
 * its failure is no error of the probe. */
json_t *caps_probe(const char *binary, CapsAccount account, bool kvm, Deadline d, Err *err);
/* The same for a sketch; `models`: with those. */
json_t *caps_probe_sketch(const char *binary, CapsAccount account, bool kvm, bool models, Deadline d, Err *err);
/* Capabilities from a document (borrowed); NULL with Err when it is not one. */
QemuCaps *caps_from_document(const char *binary, json_t *doc, Err *err);
/* For how long a doubtful document counts; it never goes to disk.  Tests change it. */
extern unsigned caps_doubt_ms;
/* The document they were made of (borrowed). */
json_t *caps_document(const QemuCaps *caps);

/* Whether a tiny guest runs under /dev/kvm: tried once per process in a child that is killed after two seconds.  Sleeps. */
bool caps_kvm_works(void);
/* A word for the state of KVM on this host, part of the cache key: "none", "denied", "broken" or "works". */
const char *caps_kvm_state(void);

/* Frequency of the time stamp counter as KVM gives it to guests, and whether it can give another.  False: not known.  Sleeps. */
bool caps_kvm_tsc(uint64_t *ret_hz, bool *ret_scaling);

typedef enum CapKind { CAP_KIND_TYPE, CAP_KIND_PROP, CAP_KIND_COMMAND, CAP_KIND_EVENT, CAP_KIND_SCHEMA, CAP_KIND_OPTION } CapKind;

typedef struct CapRow {
    const char *name; /* in cache files */
    CapKind kind;
    const char *what, *detail;
} CapRow;

extern const CapRow cap_rows[QEMU_CAP_MAX];
