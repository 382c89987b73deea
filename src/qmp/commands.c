/* qmp/commands.c - typed calls of the everyday QMP commands
 *
 * Owns:    the shape of arguments and answers; no state
 * Threads: workers (all sleep)
 * Errors:  those of qmp_call; an answer that lacks what it must have: VIR_ERR_INTERNAL_ERROR, QMP_GENERIC_ERROR
 */
#include "config.h"

#include <string.h>

#include "qmp/commands.h"

QmpStatus qmp_do(QmpClient *c, const QmpCommand *cmd, json_t *args, json_t **ret, Err *err)
{
    return qmp_call(c, cmd, args, qmp_deadline(cmd), ret, err);
}

static QmpStatus bad_answer(const QmpCommand *cmd, const char *lacks, Err *err)
{
    err_set(err, VIR_ERR_INTERNAL_ERROR, "QEMU's answer to '%s' lacks '%s'", cmd->name, lacks);
    return QMP_GENERIC_ERROR;
}

/* {"key": text} */
static json_t *one(const char *key, const char *text)
{
    json_t *args = json_object();
    json_object_set_new(args, key, json_string(text));
    return args;
}

/* ---- machine */

QmpStatus qmp_query_status(QmpClient *c, QmpRunState *ret, Err *err)
{
    json_t *answer = NULL;
    QmpStatus s = qmp_do(c, QMP(QUERY_STATUS), NULL, &answer, err);
    if (s == QMP_OK) {
        const char *status = json_string_value(json_object_get(answer, "status"));
        if (status) {
            ret->running = json_is_true(json_object_get(answer, "running"));
            g_strlcpy(ret->status, status, sizeof(ret->status));
        } else {
            s = bad_answer(QMP(QUERY_STATUS), "status", err);
        }
    }
    json_decref(answer);
    return s;
}

QmpStatus qmp_cont(QmpClient *c, Err *err)
{
    return qmp_do(c, QMP(CONT), NULL, NULL, err);
}

QmpStatus qmp_stop(QmpClient *c, Err *err)
{
    return qmp_do(c, QMP(STOP), NULL, NULL, err);
}

QmpStatus qmp_system_powerdown(QmpClient *c, Err *err)
{
    return qmp_do(c, QMP(SYSTEM_POWERDOWN), NULL, NULL, err);
}

QmpStatus qmp_system_reset(QmpClient *c, Err *err)
{
    return qmp_do(c, QMP(SYSTEM_RESET), NULL, NULL, err);
}

QmpStatus qmp_system_wakeup(QmpClient *c, Err *err)
{
    return qmp_do(c, QMP(SYSTEM_WAKEUP), NULL, NULL, err);
}

QmpStatus qmp_quit(QmpClient *c, Err *err)
{
    return qmp_do(c, QMP(QUIT), NULL, NULL, err);
}

QmpStatus qmp_inject_nmi(QmpClient *c, Err *err)
{
    return qmp_do(c, QMP(INJECT_NMI), NULL, NULL, err);
}

QmpStatus qmp_send_key(QmpClient *c, const unsigned *codes, unsigned n, unsigned hold_ms, Err *err)
{
    json_t *keys = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(keys, json_pack("{s:s,s:i}", "type", "number", "data", (int)codes[i]));
    json_t *args = json_object();
    json_object_set_new(args, "keys", keys);
    if (hold_ms)
        json_object_set_new(args, "hold-time", json_integer(hold_ms));
    return qmp_do(c, QMP(SEND_KEY), args, NULL, err);
}

QmpStatus qmp_query_cpus(QmpClient *c, json_t **ret, Err *err)
{
    return qmp_do(c, QMP(QUERY_CPUS_FAST), NULL, ret, err);
}

/* ---- QOM, objects, devices */

QmpStatus qmp_qom_get(QmpClient *c, const char *path, const char *property, json_t **ret, Err *err)
{
    return qmp_do(c, QMP(QOM_GET), json_pack("{s:s,s:s}", "path", path, "property", property), ret, err);
}

QmpStatus qmp_qom_set(QmpClient *c, const char *path, const char *property, json_t *value, Err *err)
{
    return qmp_do(c, QMP(QOM_SET), json_pack("{s:s,s:s,s:o}", "path", path, "property", property, "value", value), NULL, err);
}

QmpStatus qmp_qom_list(QmpClient *c, const char *path, json_t **ret, Err *err)
{
    return qmp_do(c, QMP(QOM_LIST), one("path", path), ret, err);
}

QmpStatus qmp_device_add(QmpClient *c, json_t *props, Err *err)
{
    return qmp_do(c, QMP(DEVICE_ADD), props, NULL, err);
}

QmpStatus qmp_device_del(QmpClient *c, const char *id, Err *err)
{
    return qmp_do(c, QMP(DEVICE_DEL), one("id", id), NULL, err);
}

QmpStatus qmp_object_add(QmpClient *c, json_t *props, Err *err)
{
    return qmp_do(c, QMP(OBJECT_ADD), props, NULL, err);
}

QmpStatus qmp_object_del(QmpClient *c, const char *id, Err *err)
{
    return qmp_do(c, QMP(OBJECT_DEL), one("id", id), NULL, err);
}

/* ---- memory */

QmpStatus qmp_query_balloon(QmpClient *c, uint64_t *ret_bytes, Err *err)
{
    json_t *answer = NULL;
    QmpStatus s = qmp_do(c, QMP(QUERY_BALLOON), NULL, &answer, err);
    if (s == QMP_OK) {
        json_t *actual = json_object_get(answer, "actual");
        if (json_is_integer(actual))
            *ret_bytes = (uint64_t)json_integer_value(actual);
        else
            s = bad_answer(QMP(QUERY_BALLOON), "actual", err);
    }
    json_decref(answer);
    return s;
}

QmpStatus qmp_balloon(QmpClient *c, uint64_t bytes, Err *err)
{
    return qmp_do(c, QMP(BALLOON), json_pack("{s:I}", "value", (json_int_t)bytes), NULL, err);
}

QmpStatus qmp_balloon_stats(QmpClient *c, const char *qom_path, json_t **ret, Err *err)
{
    return qmp_qom_get(c, qom_path, "guest-stats", ret, err);
}

QmpStatus qmp_balloon_set_period(QmpClient *c, const char *qom_path, unsigned seconds, Err *err)
{
    return qmp_qom_set(c, qom_path, "guest-stats-polling-interval", json_integer(seconds), err);
}

/* ---- block */

QmpStatus qmp_blockdev_add(QmpClient *c, json_t *props, Err *err)
{
    return qmp_do(c, QMP(BLOCKDEV_ADD), props, NULL, err);
}

QmpStatus qmp_blockdev_del(QmpClient *c, const char *node, Err *err)
{
    return qmp_do(c, QMP(BLOCKDEV_DEL), one("node-name", node), NULL, err);
}

QmpStatus qmp_query_blockstats(QmpClient *c, bool by_node, json_t **ret, Err *err)
{
    return qmp_do(c, QMP(QUERY_BLOCKSTATS), by_node ? json_pack("{s:b}", "query-nodes", 1) : NULL, ret, err);
}

QmpStatus qmp_query_block(QmpClient *c, json_t **ret, Err *err)
{
    return qmp_do(c, QMP(QUERY_BLOCK), NULL, ret, err);
}

QmpStatus qmp_query_block_nodes(QmpClient *c, bool flat, json_t **ret, Err *err)
{
    return qmp_do(c, QMP(QUERY_BLOCK_NODES), flat ? json_pack("{s:b}", "flat", 1) : NULL, ret, err);
}

QmpStatus qmp_query_jobs(QmpClient *c, json_t **ret, Err *err)
{
    return qmp_do(c, QMP(QUERY_JOBS), NULL, ret, err);
}

QmpStatus qmp_query_block_jobs(QmpClient *c, json_t **ret, Err *err)
{
    return qmp_do(c, QMP(QUERY_BLOCK_JOBS), NULL, ret, err);
}

QmpStatus qmp_job_dismiss(QmpClient *c, const char *id, Err *err)
{
    return qmp_do(c, QMP(JOB_DISMISS), one("id", id), NULL, err);
}

QmpStatus qmp_job_cancel(QmpClient *c, const char *id, Err *err)
{
    return qmp_do(c, QMP(JOB_CANCEL), one("id", id), NULL, err);
}

QmpStatus qmp_job_complete(QmpClient *c, const char *id, Err *err)
{
    return qmp_do(c, QMP(JOB_COMPLETE), one("id", id), NULL, err);
}

QmpStatus qmp_job_finalize(QmpClient *c, const char *id, Err *err)
{
    return qmp_do(c, QMP(JOB_FINALIZE), one("id", id), NULL, err);
}

QmpStatus qmp_block_io_throttle(QmpClient *c, json_t *args, Err *err)
{
    return qmp_do(c, QMP(BLOCK_IO_THROTTLE), args, NULL, err);
}

QmpStatus qmp_block_resize(QmpClient *c, const char *node, uint64_t bytes, Err *err)
{
    return qmp_do(c, QMP(BLOCK_RESIZE), json_pack("{s:s,s:I}", "node-name", node, "size", (json_int_t)bytes), NULL, err);
}

QmpStatus qmp_blockdev_open_tray(QmpClient *c, const char *id, bool force, Err *err)
{
    return qmp_do(c, QMP(BLOCKDEV_OPEN_TRAY), json_pack("{s:s,s:b}", "id", id, "force", (int)force), NULL, err);
}

QmpStatus qmp_blockdev_close_tray(QmpClient *c, const char *id, Err *err)
{
    return qmp_do(c, QMP(BLOCKDEV_CLOSE_TRAY), one("id", id), NULL, err);
}

QmpStatus qmp_blockdev_remove_medium(QmpClient *c, const char *id, Err *err)
{
    return qmp_do(c, QMP(BLOCKDEV_REMOVE_MEDIUM), one("id", id), NULL, err);
}

QmpStatus qmp_blockdev_insert_medium(QmpClient *c, const char *id, const char *node, Err *err)
{
    return qmp_do(c, QMP(BLOCKDEV_INSERT_MEDIUM), json_pack("{s:s,s:s}", "id", id, "node-name", node), NULL, err);
}

/* ---- network, character devices, displays */

QmpStatus qmp_netdev_add(QmpClient *c, json_t *props, Err *err)
{
    return qmp_do(c, QMP(NETDEV_ADD), props, NULL, err);
}

QmpStatus qmp_netdev_del(QmpClient *c, const char *id, Err *err)
{
    return qmp_do(c, QMP(NETDEV_DEL), one("id", id), NULL, err);
}

QmpStatus qmp_set_link(QmpClient *c, const char *name, bool up, Err *err)
{
    return qmp_do(c, QMP(SET_LINK), json_pack("{s:s,s:b}", "name", name, "up", (int)up), NULL, err);
}

QmpStatus qmp_query_rx_filter(QmpClient *c, const char *name, json_t **ret, Err *err)
{
    return qmp_do(c, QMP(QUERY_RX_FILTER), name ? one("name", name) : NULL, ret, err);
}

QmpStatus qmp_query_chardev(QmpClient *c, json_t **ret, Err *err)
{
    return qmp_do(c, QMP(QUERY_CHARDEV), NULL, ret, err);
}

QmpStatus qmp_chardev_add(QmpClient *c, const char *id, json_t *backend, json_t **ret, Err *err)
{
    return qmp_do(c, QMP(CHARDEV_ADD), json_pack("{s:s,s:o}", "id", id, "backend", backend), ret, err);
}

QmpStatus qmp_chardev_remove(QmpClient *c, const char *id, Err *err)
{
    return qmp_do(c, QMP(CHARDEV_REMOVE), one("id", id), NULL, err);
}

QmpStatus qmp_set_password(QmpClient *c, const char *protocol, const char *password, const char *connected, Err *err)
{
    json_t *args = json_pack("{s:s,s:s}", "protocol", protocol, "password", password);
    if (connected)
        json_object_set_new(args, "connected", json_string(connected));
    return qmp_do(c, QMP(SET_PASSWORD), args, NULL, err);
}

QmpStatus qmp_expire_password(QmpClient *c, const char *protocol, const char *when, Err *err)
{
    return qmp_do(c, QMP(EXPIRE_PASSWORD), json_pack("{s:s,s:s}", "protocol", protocol, "time", when), NULL, err);
}

QmpStatus qmp_query_vnc(QmpClient *c, json_t **ret, Err *err)
{
    return qmp_do(c, QMP(QUERY_VNC_SERVERS), NULL, ret, err);
}

QmpStatus qmp_screendump(QmpClient *c, const char *filename, const char *device, unsigned head, const char *format, Err *err)
{
    json_t *args = one("filename", filename);
    if (device) {
        json_object_set_new(args, "device", json_string(device));
        json_object_set_new(args, "head", json_integer(head));
    }
    if (format)
        json_object_set_new(args, "format", json_string(format));
    return qmp_do(c, QMP(SCREENDUMP), args, NULL, err);
}

/* ---- descriptors */

static QmpStatus do_fd(QmpClient *c, const QmpCommand *cmd, json_t *args, int fd, json_t **ret, Err *err)
{
    return qmp_call_fds(c, cmd, args, &fd, 1, qmp_deadline(cmd), ret, err);
}

QmpStatus qmp_add_fd(QmpClient *c, int fd, int set, const char *opaque, int *ret_set, Err *err)
{
    json_t *args = json_object(), *answer = NULL;
    if (set >= 0)
        json_object_set_new(args, "fdset-id", json_integer(set));
    if (opaque)
        json_object_set_new(args, "opaque", json_string(opaque));
    QmpStatus s = do_fd(c, QMP(ADD_FD), args, fd, &answer, err);
    json_t *id = json_object_get(answer, "fdset-id");
    if (s == QMP_OK && !json_is_integer(id))
        s = bad_answer(QMP(ADD_FD), "fdset-id", err);
    else if (s == QMP_OK && ret_set)
        *ret_set = (int)json_integer_value(id);
    json_decref(answer);
    return s;
}

QmpStatus qmp_remove_fd(QmpClient *c, int set, Err *err)
{
    return qmp_do(c, QMP(REMOVE_FD), json_pack("{s:i}", "fdset-id", set), NULL, err);
}

QmpStatus qmp_getfd(QmpClient *c, int fd, const char *name, Err *err)
{
    return do_fd(c, QMP(GETFD), one("fdname", name), fd, NULL, err);
}

QmpStatus qmp_closefd(QmpClient *c, const char *name, Err *err)
{
    return qmp_do(c, QMP(CLOSEFD), one("fdname", name), NULL, err);
}

QmpStatus qmp_add_client(QmpClient *c, const char *protocol, int fd, bool skip_auth, Err *err)
{
    /* A name of its own per call: two clients at once must not take each other's descriptor. */
    static gint counter;
    g_autofree char *name = g_strdup_printf("client%d", g_atomic_int_add(&counter, 1));
    QmpStatus s = qmp_getfd(c, fd, name, err);
    if (s != QMP_OK)
        return s;
    s = qmp_do(c, QMP(ADD_CLIENT), json_pack("{s:s,s:s,s:b}", "protocol", protocol, "fdname", name, "skipauth", (int)skip_auth), NULL,
               err);
    if (qmp_status_is_reply(s))
        qmp_closefd(c, name, NULL); /* it was not taken */
    return s;
}

/* ---- text for people */

QmpStatus qmp_human_monitor(QmpClient *c, const char *command_line, char **ret_text, Err *err)
{
    json_t *answer = NULL;
    QmpStatus s = qmp_do(c, QMP(HUMAN_MONITOR), one("command-line", command_line), &answer, err);
    if (s == QMP_OK)
        *ret_text = g_strdup(json_is_string(answer) ? json_string_value(answer) : "");
    json_decref(answer);
    return s;
}
