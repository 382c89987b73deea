/* qmp/command.h - the table of QMP commands
 *
 * One row per command in commands.def.  A command of a user's own (monitor passthrough) is a QmpCommand made on the spot.
 */
#pragma once

#include "util/deadline.h"

typedef enum QmpPace {
    QMP_PACE_QUICK,  /* QEMU answers from memory */
    QMP_PACE_NORMAL, /* may touch storage or the network for a moment: opening an image, flushing */
    QMP_PACE_SLOW,   /* may flush everything a guest has written */
    QMP_PACE_MAX,
} QmpPace;

typedef struct QmpCommand {
    const char *name;
    QmpPace pace;
    bool repeatable; /* sending it again after a lost reply does no harm */
} QmpCommand;

typedef enum QmpCommandId {
#define CMD(id, name, pace, repeatable) QMP_##id,
#include "qmp/commands.def"
#undef CMD
    QMP_COMMAND_MAX,
} QmpCommandId;

extern const QmpCommand qmp_commands[QMP_COMMAND_MAX];

/* The row of a command: QMP(QUERY_STATUS). */
#define QMP(id) (&qmp_commands[QMP_##id])

/* The usual deadline of a command, counted from now. */
Deadline qmp_deadline(const QmpCommand *cmd);
/* Row by QEMU's name, NULL if unknown. */
const QmpCommand *qmp_command_find(const char *name);
