/* qemu/cpu.h - names of CPU features, and models described by them
 *
 * What a guest gets from a named model comes from QEMU itself (its expansion, kept in the capabilities).  What the name promises in a
 * definition differs from it for some models: cpu_models.def.
 */
#pragma once

#include "host/hostcpu.h"
#include "qemu/caps.h"

/* The table's own copy of libvirt's name of a feature, and QEMU's property for it; both live for ever.  NULL: not in the table. */
const char *cpu_feature_find(const char *name);
const char *cpu_feature_to_qemu(const char *name);
/* Name of the i-th of the table, in the order of CPUID; NULL: there are no more. */
const char *cpu_feature_at(unsigned i);

/* A CPU as a named model and the difference to it; names are libvirt's. */
typedef struct CpuChoice {
    char *model;
    const char *vendor;  /* "Intel", "AMD", "Hygon"; NULL: unknown */
    GPtrArray *require;  /* beyond the model; strings not owned */
    GPtrArray *disable;  /* in the model, not in the CPU */
} CpuChoice;

void cpu_choice_done(CpuChoice *ch);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CpuChoice, cpu_choice_done)

/* What mode='host-model' means with this binary and accelerator: the named model nearest to the best CPU they offer.  0, or -1 when
 * QEMU cannot describe models (other architectures than x86); *ret is then untouched. */
int qemu_caps_host_model(const QemuCaps *caps, QemuAccel accel, CpuChoice *ret);
/* The machine's own processor; the model is one it has all features of, so `disable` is empty. */
int qemu_caps_host_cpu(const QemuCaps *caps, const HostCpu *host, CpuChoice *ret);
/* The named model nearest to a set of features (keys: libvirt's names); another vendor's models do not count (NULL: any may, "": only those
 * of none), with `subset` neither do models that have more.  0, or -1 when there is none. */
int qemu_caps_cpu_choose(const QemuCaps *caps, GHashTable *features, const char *vendor, bool subset, CpuChoice *ret);
/* Vendor of a named model ("Intel", …), NULL when it stands for none. */
const char *qemu_caps_cpu_vendor(const QemuCaps *caps, const char *model);
/* A feature QEMU gives the model and its name never stood for, which a guest gets only on demand; NULL: none.  Static. */
const char *cpu_model_off_feature(const char *model);
/* What a model's name alone tells of its vendor; NULL: nothing.  For leaving out what would be asked in vain. */
const char *cpu_model_likely_vendor(const char *model);
/* "AuthenticAMD" -> "AMD"; NULL for others. */
const char *cpu_vendor_name(const char *cpuid_vendor);
/* Features of a named model, and of the best CPU an accelerator offers, in the order of CPUID and by libvirt's names ("hypervisor"
 * only in the latter).  NULL when QEMU does not describe it.  The array is the caller's, the strings are static. */
GPtrArray *qemu_caps_cpu_model_features(const QemuCaps *caps, const char *model);
/* The same as QEMU makes it, without regard to what the name promises. */
GPtrArray *qemu_caps_cpu_given_features(const QemuCaps *caps, const char *model);
GPtrArray *qemu_caps_cpu_max_features(const QemuCaps *caps, QemuAccel accel);
