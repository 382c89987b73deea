/* daemon/proctable.h - from a procedure's row to its handler */
#pragma once

#include "daemon/api.h"
#include "protocol/procs.h"

/* A handler behind one type.  dom: for rows whose object is a domain found by the gate, else NULL.  args, ret: decoded args, zeroed
 * ret, of the row's sizes; NULL where the row has none.  Returns 0, or -1 with err set. */
typedef int (*ProcHandler)(Call *call, Domain *dom, const void *args, void *ret, Err *err);

/* NULL: this daemon has no handler for the procedure ("not supported"). */
ProcHandler proc_handler(const ProcInfo *info);
