/* qmp/commands.h - typed calls of the everyday QMP commands
 *
 * Thin: arguments in, JSON or plain values out, the command's usual deadline.  What has no wrapper is called by qmp_call(QMP(...)).
 * All sleep: workers only.  Returned json_t carry a reference for the caller.
 */
#pragma once

#include "qmp/client.h"

/* qmp_call with the command's usual deadline. */
QmpStatus qmp_do(QmpClient *c, const QmpCommand *cmd, json_t *args, json_t **ret, Err *err);

/* ---- machine */

typedef struct QmpRunState {
    bool running;
    char status[32]; /* QEMU's RunState: "running", "paused", "io-error", … */
} QmpRunState;

QmpStatus qmp_query_status(QmpClient *c, QmpRunState *ret, Err *err);
QmpStatus qmp_cont(QmpClient *c, Err *err);
QmpStatus qmp_stop(QmpClient *c, Err *err);
QmpStatus qmp_system_powerdown(QmpClient *c, Err *err);
QmpStatus qmp_system_reset(QmpClient *c, Err *err);
QmpStatus qmp_system_wakeup(QmpClient *c, Err *err);
QmpStatus qmp_quit(QmpClient *c, Err *err);
QmpStatus qmp_inject_nmi(QmpClient *c, Err *err);
/* Keys are QEMU key codes as numbers (the "number" branch); pressed together for hold_ms (0: QEMU's 100). */
QmpStatus qmp_send_key(QmpClient *c, const unsigned *codes, unsigned n, unsigned hold_ms, Err *err);
QmpStatus qmp_query_cpus(QmpClient *c, json_t **ret, Err *err);

/* ---- QOM, objects, devices */

QmpStatus qmp_qom_get(QmpClient *c, const char *path, const char *property, json_t **ret, Err *err);
/* `value` is stolen. */
QmpStatus qmp_qom_set(QmpClient *c, const char *path, const char *property, json_t *value, Err *err);
QmpStatus qmp_qom_list(QmpClient *c, const char *path, json_t **ret, Err *err);
/* `props` (stolen): the whole argument object, "driver"/"qom-type" and "id" included. */
QmpStatus qmp_device_add(QmpClient *c, json_t *props, Err *err);
/* The device is gone when DEVICE_DELETED comes, not when this returns. */
QmpStatus qmp_device_del(QmpClient *c, const char *id, Err *err);
QmpStatus qmp_object_add(QmpClient *c, json_t *props, Err *err);
QmpStatus qmp_object_del(QmpClient *c, const char *id, Err *err);

/* ---- memory */

QmpStatus qmp_query_balloon(QmpClient *c, uint64_t *ret_bytes, Err *err);
QmpStatus qmp_balloon(QmpClient *c, uint64_t bytes, Err *err);
QmpStatus qmp_balloon_stats(QmpClient *c, const char *qom_path, json_t **ret, Err *err);
QmpStatus qmp_balloon_set_period(QmpClient *c, const char *qom_path, unsigned seconds, Err *err);

/* ---- block */

QmpStatus qmp_blockdev_add(QmpClient *c, json_t *props, Err *err);
QmpStatus qmp_blockdev_del(QmpClient *c, const char *node, Err *err);
/* `by_node`: statistics of nodes too ("query-nodes"). */
QmpStatus qmp_query_blockstats(QmpClient *c, bool by_node, json_t **ret, Err *err);
QmpStatus qmp_query_block(QmpClient *c, json_t **ret, Err *err);
/* `flat`: without the backing chain repeated under each node. */
QmpStatus qmp_query_block_nodes(QmpClient *c, bool flat, json_t **ret, Err *err);
QmpStatus qmp_query_jobs(QmpClient *c, json_t **ret, Err *err);
QmpStatus qmp_query_block_jobs(QmpClient *c, json_t **ret, Err *err);
QmpStatus qmp_job_dismiss(QmpClient *c, const char *id, Err *err);
QmpStatus qmp_job_cancel(QmpClient *c, const char *id, Err *err);
QmpStatus qmp_job_complete(QmpClient *c, const char *id, Err *err);
QmpStatus qmp_job_finalize(QmpClient *c, const char *id, Err *err);
QmpStatus qmp_block_io_throttle(QmpClient *c, json_t *args, Err *err);
QmpStatus qmp_block_resize(QmpClient *c, const char *node, uint64_t bytes, Err *err);
QmpStatus qmp_blockdev_open_tray(QmpClient *c, const char *id, bool force, Err *err);
QmpStatus qmp_blockdev_close_tray(QmpClient *c, const char *id, Err *err);
QmpStatus qmp_blockdev_remove_medium(QmpClient *c, const char *id, Err *err);
QmpStatus qmp_blockdev_insert_medium(QmpClient *c, const char *id, const char *node, Err *err);

/* ---- network, character devices, displays */

QmpStatus qmp_netdev_add(QmpClient *c, json_t *props, Err *err);
QmpStatus qmp_netdev_del(QmpClient *c, const char *id, Err *err);
QmpStatus qmp_set_link(QmpClient *c, const char *name, bool up, Err *err);
/* NULL name: of all interfaces. */
QmpStatus qmp_query_rx_filter(QmpClient *c, const char *name, json_t **ret, Err *err);
QmpStatus qmp_query_chardev(QmpClient *c, json_t **ret, Err *err);
/* `backend` stolen. */
QmpStatus qmp_chardev_add(QmpClient *c, const char *id, json_t *backend, json_t **ret, Err *err);
QmpStatus qmp_chardev_remove(QmpClient *c, const char *id, Err *err);
/* protocol "vnc" or "spice"; connected: NULL, "keep", "fail", "disconnect". */
QmpStatus qmp_set_password(QmpClient *c, const char *protocol, const char *password, const char *connected, Err *err);
/* time: "now", "never", "+secs", or seconds since 1970. */
QmpStatus qmp_expire_password(QmpClient *c, const char *protocol, const char *time, Err *err);
QmpStatus qmp_query_vnc(QmpClient *c, json_t **ret, Err *err);
/* Writes the picture into a descriptor given to QEMU as fdset: `filename` is "/dev/fdset/N" or a path QEMU may write.  device NULL:
 * the first; format NULL: ppm. */
QmpStatus qmp_screendump(QmpClient *c, const char *filename, const char *device, unsigned head, const char *format, Err *err);

/* ---- descriptors; fd stays the caller's */

/* set < 0: a new one; the number used goes to *ret_set. */
QmpStatus qmp_add_fd(QmpClient *c, int fd, int set, const char *opaque, int *ret_set, Err *err);
QmpStatus qmp_remove_fd(QmpClient *c, int set, Err *err);
QmpStatus qmp_getfd(QmpClient *c, int fd, const char *name, Err *err);
QmpStatus qmp_closefd(QmpClient *c, const char *name, Err *err);
/* Hands a connected client of a display to QEMU: getfd and add_client.  protocol "vnc" or "spice". */
QmpStatus qmp_add_client(QmpClient *c, const char *protocol, int fd, bool skip_auth, Err *err);

/* ---- text for people: the one place where HMP is used, for commands a user asks for by name.  *ret_text is g_free'd by the caller. */
QmpStatus qmp_human_monitor(QmpClient *c, const char *command_line, char **ret_text, Err *err);
