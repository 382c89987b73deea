/* qmp/command.c - the table of QMP commands
 *
 * Owns:    rows of commands.def and the deadline each pace stands for
 * Errors:  none
 */
#include "config.h"

#include <string.h>

#include "qmp/command.h"

const QmpCommand qmp_commands[QMP_COMMAND_MAX] = {
#define CMD(id, qemu_name, how_fast, twice) [QMP_##id] = {.name = qemu_name, .pace = QMP_PACE_##how_fast, .repeatable = twice},
#include "qmp/commands.def"
#undef CMD
};

/* Generous beside QEMU's own times (microseconds to some milliseconds): a deadline that passes means a sick guest or sick storage,
 * not a busy host. */
static const uint64_t pace_ms[QMP_PACE_MAX] = {
    [QMP_PACE_QUICK] = 15 * 1000,
    [QMP_PACE_NORMAL] = 45 * 1000,
    [QMP_PACE_SLOW] = 180 * 1000,
};

Deadline qmp_deadline(const QmpCommand *cmd)
{
    return deadline_in_ms(pace_ms[cmd->pace]);
}

const QmpCommand *qmp_command_find(const char *name)
{
    for (unsigned i = 0; i < QMP_COMMAND_MAX; i++) {
        if (strcmp(qmp_commands[i].name, name) == 0)
            return &qmp_commands[i];
    }
    return NULL;
}
