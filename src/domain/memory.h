/* domain/memory.h - memory and vcpu numbers that change while a machine is defined or runs
 *
 * MODIFY job and lock held.
 */
#pragma once

#include "domain/domain.h"

/* SET_MEMORY(_FLAGS): KiB; flags AFFECT_*, VIR_DOMAIN_MEM_MAXIMUM (config only, or an error on a running machine). */
int domain_set_memory(Domain *d, uint64_t kib, unsigned flags, Err *err);
/* SET_VCPUS_FLAGS: flags AFFECT_*, VIR_DOMAIN_VCPU_MAXIMUM; live changes are refused by name for now. */
int domain_set_vcpus(Domain *d, unsigned n, unsigned flags, Err *err);
/* SET_MEMORY_STATS_PERIOD in seconds; 0 stops collecting. */
int domain_set_memory_stats_period(Domain *d, int seconds, unsigned flags, Err *err);
