/* host/hostcpu.h - the processor of this machine, as the kernel tells it
 */
#pragma once

#include "base.h"

typedef struct HostCpu {
    char vendor[16];       /* "GenuineIntel", "AuthenticAMD"; "" when unknown (other architectures) */
    unsigned family, model, stepping;
    uint64_t microcode;    /* 0: unknown */
    unsigned phys_bits;    /* 0: unknown */
    GHashTable *flags;     /* set of the kernel's names ("sse4_1"), and of those of hostcpu.c for what it hides */
} HostCpu;

/* Reads the first processor of /proc/cpuinfo.  Never NULL: what is not there stays empty. */
HostCpu *host_cpu_new(void);
/* The same from text, for tests. */
HostCpu *host_cpu_parse(const char *cpuinfo);
/* Registers of CPUID that say what the kernel hides: leaf 7 EDX, leaf 0xd (1) EAX, leaf 0x80000008 EBX, leaf 0x8000000a EDX. */
typedef struct HostCpuid {
    uint32_t r7_edx, rd_eax, r8_ebx, ra_edx;
} HostCpuid;
/* Adds flags for these, as far as the kernel agrees; host_cpu_new() does it with the processor's own. */
void host_cpu_add_hidden(HostCpu *h, const HostCpuid *id);
void *host_cpu_free(HostCpu *h); /* NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HostCpu, host_cpu_free)
