/* daemon/audit_slots.h - calls under way, in memory that outlives the daemon
 *
 * A call that changes something has a slot from before it begins until its record is written.  The slots are a file in the run directory, mapped:
 * what is in them when the daemon is killed, the next one finds and makes records of.  So no such call is without one, and none waits for
 * a disk.  Where all slots are taken, or the file cannot be had, calls go on without.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base.h"

typedef struct AuditSlots AuditSlots;

#define AUDIT_SLOTS_MAX 512u

/* One call; texts that are longer are cut. */
typedef struct AuditSlot {
    uint32_t state; /* AuditSlotState, atomic: written last, read first */
    int32_t code;   /* ENDED: how */
    int64_t time_us;
    uint64_t client;
    char proc[72], kind[24], uuid[40], from[80], who[280], name[512];
} AuditSlot;

typedef enum { AUDIT_SLOT_FREE, AUDIT_SLOT_BEGUN, AUDIT_SLOT_ENDED } AuditSlotState;

/* Opens the file, or makes it.  NULL (with a word in the log): it cannot be had, or another daemon has it. */
AuditSlots *audit_slots_open(const char *path);
/* Removes the file when nothing is in it.  NULL is fine. */
AuditSlots *audit_slots_close(AuditSlots *s);
/* The slots a daemon before this one left, one after another from *at = 0; NULL: no more.  Before any is taken. */
const AuditSlot *audit_slots_left(const AuditSlots *s, unsigned *at, int *ret_number);
/* A free one, to be filled and then begun; its number is at least 0, -1: there is none.  Any thread. */
int audit_slots_take(AuditSlots *s, AuditSlot **ret);
void audit_slot_begin(AuditSlot *slot);
/* Of one that is begun: what became known on the way, how it ended, and that its record is written. */
AuditSlot *audit_slots_get(AuditSlots *s, int number);
void audit_slots_end(AuditSlots *s, int number, int code);
void audit_slots_release(AuditSlots *s, int number);
