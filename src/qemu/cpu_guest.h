/* qemu/cpu_guest.h - a guest's <cpu>, made definite
 *
 * Both work on the live definition's copy (never on what is published), need no running QEMU and send no command: what QEMU will make
 * of a CPU is known from its capabilities.
 */
#pragma once

#include "model/domain_def.h"
#include "qemu/caps.h"

/* Before the command line is made: host-model and match='minimum' become an exact named model with features; optional features become
 * required or disabled; what the hypervisor does not have is refused (VIR_ERR_CONFIG_UNSUPPORTED), and so is a feature the guest would
 * lack, with check='full' (VIR_ERR_OPERATION_FAILED) or 'partial' (VIR_ERR_CPU_INCOMPATIBLE).  A feature no guest of that model ever had
 * is switched off unless asked for. */
int qemu_cpu_resolve(const QemuCaps *caps, QemuAccel accel, CpuDef *cpu, Err *err);
/* After the start: what the guest lacks of the model is listed as disabled, what it has beyond it ("hypervisor" at least) as required,
 * check becomes 'full'.  Says whether a feature was listed or changed. */
bool qemu_cpu_make_live(const QemuCaps *caps, QemuAccel accel, CpuDef *cpu);
