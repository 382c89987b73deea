/* domain/passthrough.c - QEMU's own commands, as the qemu program lets clients send them
 *
 * Owns:    nothing
 */
#include "config.h"

#define LOG_AREA "domain.passthrough"
#include <string.h>

#include "domain/passthrough.h"
#include "qmp/client.h"
#include "qmp/codec.h"
#include "util/log.h"

#define PASSTHROUGH_MS 30000u

/* QEMU takes no more than 2^21 tokens and 1024 levels. */
#define COMMAND_MAX (1u << 20)

/* What QEMU cannot take whole it answers more than once, and the later answers would be taken for those of other commands. */
static bool is_takeable(const char *cmd)
{
    size_t len = strnlen(cmd, COMMAND_MAX + 1);
    json_t *again = len <= COMMAND_MAX ? qmp_json_parse(cmd, len, QMP_MAX_DEPTH, NULL) : NULL;
    json_decref(again);
    return again != NULL;
}

/* The command itself is in no message: it may hold a password, and messages are logged. */
static json_t *parse_command(const char *cmd, Err *err)
{
    json_error_t je;
    json_t *c = json_loads(cmd, JSON_REJECT_DUPLICATES, &je);
    if (json_is_object(c) && !is_takeable(cmd)) {
        json_decref(c);
        err_set(err, VIR_ERR_INVALID_ARG, "a command of more than %u bytes or %u levels is not sent to QEMU", COMMAND_MAX, QMP_MAX_DEPTH);
        return NULL;
    }
    if (json_is_object(c))
        return c;
    if (c)
        err_set(err, VIR_ERR_INTERNAL_ERROR, "cannot parse JSON: not an object");
    else
        err_set(err, VIR_ERR_INTERNAL_ERROR, "cannot parse JSON: the mistake is in line %d before column %d", je.line, je.column);
    json_decref(c);
    err_hint(err, "a command looks like {\"execute\": \"query-status\"}; virsh's --hmp takes human monitor commands");
    return NULL;
}

static void log_command(const Domain *d, const char *cmd, bool hmp, const json_t *command)
{
    const char *name = hmp ? cmd : json_string_value(json_object_get(command, "execute"));
    int len = name ? (int)strcspn(name, " \t\n") : 0;
    log_warning("%s: a client sends QEMU a command of its own: %.*s", d->name, MIN(len, 64), name ? name : "");
}

int domain_monitor_command(Domain *d, const char *cmd, bool hmp, const int *fds, unsigned n_fds, char **ret, Err *err)
{
    json_t *command = hmp ? json_pack("{s:s, s:{s:s}}", "execute", "human-monitor-command", "arguments", "command-line", cmd)
                          : parse_command(cmd, err);
    if (!command) /* not UTF-8, or the error is set */
        return err_is_set(err) ? -1 : err_set(err, VIR_ERR_INVALID_ARG, "the command is not valid UTF-8");
    log_command(d, cmd, hmp, command);
    json_t *reply = NULL;
    if (domain_qmp_raw(d, command, fds, n_fds, deadline_in_ms(PASSTHROUGH_MS), &reply, err) < 0)
        return -1;
    json_t *value = json_object_get(reply, "return");
    if (hmp && value)
        *ret = g_strdup(json_string_value(value));
    else if (hmp)
        err_set(err, VIR_ERR_INTERNAL_ERROR, "%s", json_string_value(json_object_get(json_object_get(reply, "error"), "desc")));
    else
        *ret = json_dumps(reply, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(reply);
    return *ret ? 0 : err_is_set(err) ? -1 : err_set(err, VIR_ERR_INTERNAL_ERROR, "QEMU answered with something unreadable");
}
