/* tests/unit/domain_script.h - the driver's world (domain_world.h) with one machine at a time whose QEMU follows a script
 *
 * The scripted peer stands for the monitor.  Everything from the job queue to the status file is real.
 */
#pragma once

#include "tests/qmp/peer.h"
#include "tests/unit/domain_world.h"

#define UUID_A "11111111-2222-4333-8444-555555555555"
#define UUID_B "11111111-2222-4333-8444-666666666666"

extern Peer *script_peer;
extern pid_t script_child; /* of the last launch or reconnect */

/* cmocka's group and test fixtures. */
int script_begin(void **state);
int script_end(void **state);
int script_setup(void **state);
int script_teardown(void **state);

/* world_driver_end(), and what was seen is forgotten. */
void script_driver_end(void);

/* Fails the test when the call did. */
void script_must(int r, Err *err);
/* Waits until the events since the last call are `want`, and forgets them: "D0 R0 S0 …", the first letter of the lifecycle event (X stopped, H
 * shutdown) with its detail; "e" and the id of another one. */
void script_expect_events(const char *want);
void script_expect_state(Domain *d, int state, int reason);
/* In world_dir. */
bool script_file_there(const char *name);
/* Defines a machine without devices; a reference, NULL with an error. */
Domain *script_define(const char *name, const char *uuid, Err *err);

/* The next launch or reconnect gets a new script. */
void script_qemu(void);
/* The same, with what a plain start asks. */
void script_boot(bool paused);
/* The script is over and was followed. */
void script_done(void);

/* Runs a call as the gate would. */
typedef int (*ScriptCall)(Domain *d, unsigned flags, Err *err);
int script_as_gate(Domain *d, JobKind kind, ScriptCall call, unsigned flags, Err *err);
int script_start(Domain *d, unsigned flags, Err *err);
int script_suspend(Domain *d, unsigned flags, Err *err);
int script_resume(Domain *d, unsigned flags, Err *err);
