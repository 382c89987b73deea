/* qemu/caps.h - what a QEMU binary can do
 *
 * Probed by QMP with one exec per accelerator step, cached in memory and on disk by the binary's identity.  QemuCaps is immutable and
 * shared by reference; nothing in it is ever parsed from text meant for people.
 */
#pragma once

#include <jansson.h>

#include "util/deadline.h"
#include "util/err.h"

typedef struct QemuCaps QemuCaps;
typedef struct QemuCapsCache QemuCapsCache;

typedef enum QemuAccel {
    QEMU_ACCEL_TCG,
    QEMU_ACCEL_KVM,
    QEMU_ACCEL_MAX,
} QemuAccel;

/* Yes/no facts: one row each in caps_flags.def (id, kind of evidence, QEMU's name). */
typedef enum QemuCap {
#define CAP(id, kind, what, detail) QEMU_CAP_##id,
#include "qemu/caps_flags.def"
#undef CAP
    QEMU_CAP_MAX,
} QemuCap;

typedef struct QemuMachine {
    char *name;
    char *alias;       /* "q35" for the newest of its family, else NULL */
    unsigned max_cpus;
    char *default_cpu; /* CPU type name of "-cpu" not given, without the "-x86_64-cpu" tail; NULL if unknown */
    char *default_ram_id;
    bool hotpluggable_cpus;
    bool numa_mem_supported;
    bool deprecated;
    bool is_default;
} QemuMachine;

typedef struct QemuCpuModel {
    char *name;
    char *type;        /* QOM type */
    char **blockers;   /* unavailable features, NULL-ended; NULL: usable */
    bool usable;
    bool deprecated;
    bool is_versioned; /* "Skylake-Client-v1": aliases of the plain names */
    bool is_static;
} QemuCpuModel;

/* ---- cache (daemon-wide) */

typedef struct QemuCapsConfig {
    const char *cache_dir;  /* "/var/cache/libvirt/qemu/capabilities"; NULL: memory only */
    uid_t uid;              /* account of the probe; (uid_t)-1: our own */
    gid_t gid;
} QemuCapsConfig;

QemuCapsCache *qemu_caps_cache_new(const QemuCapsConfig *cfg);
/* No caller may be inside. */
void qemu_caps_cache_free(QemuCapsCache *cc);
/* Capabilities of a binary, probed if neither memory nor disk has them for its present identity.  May sleep (worker): requests at the
 * same time share one probe.  NULL with Err: no such file (VIR_ERR_INVALID_ARG), or the probe failed.  One reference for the caller. */
QemuCaps *qemu_caps_get(QemuCapsCache *cc, const char *binary, Deadline d, Err *err);
/* The same for those who ask for version, architecture, machine types and accelerators only, and of the host's own architecture for named
 * CPU models: what is not known yet is found out in a third of the time.  No flags and no lists of CPUs are in it. */
QemuCaps *qemu_caps_sketch(QemuCapsCache *cc, const char *binary, Deadline d, Err *err);
/* The same as far as memory or disk has it: no QEMU is run.  NULL: it has to be probed, or there is no such file. */
QemuCaps *qemu_caps_known_sketch(QemuCapsCache *cc, const char *binary);
/* What memory has, or NULL.  Never blocks and does not look at the binary.  One reference for the caller. */
QemuCaps *qemu_caps_peek(QemuCapsCache *cc, const char *binary);
QemuCaps *qemu_caps_ref(QemuCaps *caps);
void *qemu_caps_unref(QemuCaps *caps); /* NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuCaps, qemu_caps_unref)

/* Path of the emulator used for a guest architecture when its XML names none, or NULL when none is installed.  Static string per
 * architecture for the process' life. */
const char *qemu_caps_emulator_for_arch(const char *arch);
/* Names of all architectures QEMU can have an emulator for; static. */
const char *const *qemu_caps_arches(unsigned *ret_n);
bool qemu_caps_arch_known(const char *arch);

/* ---- facts; all lock-free */

const char *qemu_caps_binary(const QemuCaps *caps);
/* major * 1000000 + minor * 1000 + micro: 7002022 */
unsigned qemu_caps_version(const QemuCaps *caps);
const char *qemu_caps_package(const QemuCaps *caps);
/* libvirt's name: "x86_64" */
const char *qemu_caps_arch(const QemuCaps *caps);
bool qemu_caps_has(const QemuCaps *caps, QemuCap cap);
const char *qemu_cap_name(QemuCap cap);
/* True when the accelerator can run guests; KVM needs /dev/kvm, query-kvm and a machine that starts with it. */
bool qemu_caps_accel_usable(const QemuCaps *caps, QemuAccel accel);

const QemuMachine *qemu_caps_machines(const QemuCaps *caps, unsigned *ret_n);
const QemuMachine *qemu_caps_machine(const QemuCaps *caps, const char *name_or_alias);
/* "q35" -> "pc-q35-7.2"; a canonical name gives itself; unknown: NULL. */
const char *qemu_caps_machine_canonical(const QemuCaps *caps, const char *name);
/* Canonical name of the machine used when XML names none. */
const char *qemu_caps_default_machine(const QemuCaps *caps);

/* A model users choose by name: not a version of one, nor "host", "max", "base". */
bool qemu_cpu_model_is_plain(const QemuCpuModel *m);
const QemuCpuModel *qemu_caps_cpu_models(const QemuCaps *caps, QemuAccel accel, unsigned *ret_n);
