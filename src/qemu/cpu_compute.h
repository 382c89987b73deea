/* qemu/cpu_compute.h - CPUs given as <cpu> documents, compared and reduced to what they share
 */
#pragma once

#include "qemu/cpu.h"

/* A CPU to measure others by: the features it has (keys: libvirt's names) and its vendor (NULL: any). */
typedef struct CpuReference {
    GHashTable *features;
    const char *vendor;
} CpuReference;

/* What guests of an accelerator can have / what the machine's processor has.  -1: not known (VIR_ERR_OPERATION_UNSUPPORTED). */
int cpu_reference_guest(const QemuCaps *caps, QemuAccel accel, CpuReference *ret, Err *err);
int cpu_reference_host(const QemuCaps *caps, CpuReference *ret, Err *err);
void cpu_reference_done(CpuReference *r);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CpuReference, cpu_reference_done)

/* *ret: VIR_CPU_COMPARE_INCOMPATIBLE, _IDENTICAL or _SUPERSET (the reference has more).  VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE makes
 * the first an error that names what is missing (VIR_ERR_CPU_INCOMPATIBLE). */
int cpu_compare_xml(const QemuCaps *caps, const CpuReference *with, const char *xml, unsigned flags, int *ret, Err *err);

/* The <cpu> for a guest that runs on all of these, and (limit not NULL) with what `limit` has.  hosts: the documents are of hosts, as in
 * <capabilities>; otherwise they may be of guests too.  Caller frees; NULL with Err. */
char *cpu_baseline_xml(const QemuCaps *caps, const CpuReference *limit, bool hosts, const char *const *xmls, unsigned n, unsigned flags,
                       Err *err);
