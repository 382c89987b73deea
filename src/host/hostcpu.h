/* host/hostcpu.h - the processor of this machine, as the kernel tells it
 */
#pragma once

#include "base.h"

typedef struct HostCpu {
    char vendor[16];       /* "GenuineIntel", "AuthenticAMD"; "" when unknown (other architectures) */
    unsigned family, model, stepping;
    uint64_t microcode;    /* 0: unknown */
    unsigned phys_bits;    /* 0: unknown */
    GHashTable *flags;     /* set of the kernel's names ("sse4_1") */
} HostCpu;

/* Reads the first processor of /proc/cpuinfo.  Never NULL: what is not there stays empty. */
HostCpu *host_cpu_new(void);
/* The same from text, for tests. */
HostCpu *host_cpu_parse(const char *cpuinfo);
void *host_cpu_free(HostCpu *h); /* NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HostCpu, host_cpu_free)
