/* util/fault.h - points where a test can make things go wrong
 *
 * Only in --enable-faults builds; elsewhere a point is the constant 0 and costs nothing.  A test steers them from outside through the file
 * that the environment's BERTH_FAULTS names (tests/lib/faults.py writes it); without that variable no point ever fires.  System calls need
 * no point of their own: util/fault_wrap.c stands before all of them at link time.  FAULT() stands where memory is asked for by a size that
 * comes from outside (a packet, an answer, a file, a line of QEMU's): there, and only there, running out of it is an error and not the end.
 */
#pragma once

#include <errno.h>

#include "config.h"

#ifdef ENABLE_FAULTS

/* What a fired point does besides failing. */
typedef enum {
    FAULT_ERRNO,       /* nothing */
    FAULT_KILL_DAEMON, /* SIGKILL to ourselves, before the call */
    FAULT_KILL_QEMU,   /* SIGKILL to the QEMU of the test; the call then goes on */
    FAULT_STOP_QEMU,   /* SIGSTOP to it; the call then goes on, with little patience where it waits for QEMU */
    FAULT_CLOSE,       /* the monitor's connection is closed (QMP points only; as FAULT_KILL_QEMU elsewhere) */
} FaultAction;

/* Passes the point `kind`:`detail` (detail may be NULL).  Returns 0, or the errno it is to fail with: the test's, else `usual`.
 * Async-signal-safe: a child of clone() may pass points too. */
int fault_point(const char *kind, const char *detail, int usual);
/* The same, named by what the descriptor is open on. */
int fault_point_fd(const char *kind, int fd, int usual);
/* A QMP command is about to be sent.  0, or the errno it fails with; *ret_close: the connection is to be closed as well; *ret_stopped:
 * QEMU has just been stopped, here or at an earlier point of this thread, and the command will not be answered. */
int fault_qmp(const char *command, int *ret_close, int *ret_stopped);
/* A child was made; FAULT_KILL_QEMU means the newest one unless the test named another. */
void fault_child(int pid);

#define FAULT(name) fault_point("at", name, ENOMEM)

#else

#define FAULT(name) 0

#endif
