/* host/proc.h - what a process uses, from /proc
 *
 * A pid is looked at as it is now: a caller that must be sure it is still the same process holds a pidfd or compares the start time.
 */
#pragma once

#include "util/err.h"

typedef struct HostCpuTime {
    unsigned long long user_ns, system_ns;  /* of all threads, ended ones too; in clock ticks' resolution */
    unsigned long long total_ns;            /* user and system */
} HostCpuTime;

/* These return 0 or a negative errno (-ESRCH: no such process or thread; -EBADMSG: the kernel's text is not understood) and leave
 * *ret_… untouched on failure.  Two small reads each: fit for any lane. */
int host_process_cpu(pid_t pid, HostCpuTime *ret);
/* CPU time and resident memory of a process, in one read. */
int host_process_usage(pid_t pid, HostCpuTime *ret_cpu, unsigned long long *ret_rss_kib);
/* False: its main thread is stopped, dead, or asleep in the kernel where no signal reaches it, so it answers nobody just now.  True also when
 * that cannot be told. */
bool host_process_can_answer(pid_t pid);
/* CPU time of one thread and the processor it ran on last. */
int host_thread_stat(pid_t pid, pid_t tid, unsigned long long *ret_ns, int *ret_cpu);
/* What a thread ran and how long it waited for a processor, by the scheduler's count (nanosecond resolution); -ENOTSUP where the kernel
 * keeps none. */
int host_thread_sched(pid_t pid, pid_t tid, unsigned long long *ret_run_ns, unsigned long long *ret_delay_ns);
/* Resident memory. */
int host_process_rss_kib(pid_t pid, unsigned long long *ret);
/* Which boot of the host this is: the kernel's random id of it, read once.  NULL when it cannot be found out. */
const char *host_boot_id(void);
/* Clock ticks since boot when the process was started: tells two processes of one pid apart. */
int host_process_start_time(pid_t pid, unsigned long long *ret);
