/* qemu/image_writable.c - a backing image of a running guest made writable
 *
 * Owns:    nothing
 * Threads: workers; sleeps for QMP
 * Errors:  QMP's own, VIR_ERR_SYSTEM_ERROR for descriptors of QEMU that cannot be reached
 *
 * remove-fd would drop the old descriptor too, but QEMU closes removed ones only while the guest runs.  Locks belong to the open file
 * description, which a duplicate shares: so we borrow QEMU's descriptor by its pidfd and unlock it from here.
 */
#include "config.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "qemu/image_writable.h"
#include "qemu/props.h"
#include "qmp/client.h"
#include "qmp/commands.h"
#include "util/fd.h"

/* *ret_fd is QEMU's number of it. */
static int add_to_set(QmpClient *qmp, int set, const char *node, int fd, int *ret_fd, Err *err)
{
    json_t *args = json_object(), *ret = NULL;
    props_u64(args, "fdset-id", (uint64_t)set);
    props_str(args, "opaque", node);
    if (qmp_call_fds(qmp, QMP(ADD_FD), args, &fd, 1, qmp_deadline(QMP(ADD_FD)), &ret, err) != QMP_OK)
        return -1;
    *ret_fd = (int)json_integer_value(json_object_get(ret, "fd"));
    json_decref(ret);
    return 0;
}

/* A set with a descriptor to write through is that of a node that writes: chain.c tells by it. */
static void take_from_set(QmpClient *qmp, int set, int number)
{
    json_t *args = json_object();
    props_u64(args, "fdset-id", (uint64_t)set);
    json_object_set_new(args, "fd", json_integer(number));
    qmp_do(qmp, QMP(REMOVE_FD), args, NULL, NULL);
}

static int reopen(QmpClient *qmp, const DiskDef *disk, const StorageSource *src, int set, Err *err)
{
    g_autofree char *filename = g_strdup_printf("/dev/fdset/%d", set);
    json_t *node = qemu_storage_props(disk, src, filename, true, err);
    if (node == NULL)
        return -1;
    props_bool(node, "read-only", false);
    json_t *list = json_array();
    json_array_append_new(list, node);
    json_t *args = json_object();
    json_object_set_new(args, "options", list);
    return qmp_do(qmp, QMP(BLOCKDEV_REOPEN), args, NULL, err) == QMP_OK ? 0 : -1;
}

/* Drops all locks of QEMU's descriptor `number` if it is a read-only one. */
static int unlock_one(int pidfd, int number, Err *err)
{
    AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0u);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot reach descriptor %d of QEMU", number);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) != O_RDONLY)
        return 0;
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &all) < 0)
        return err_set_errno(err, errno, "cannot unlock descriptor %d of QEMU", number);
    return 0;
}

static int unlock_set(QmpClient *qmp, int pidfd, int set, Err *err)
{
    json_t *sets = NULL;
    if (qmp_do(qmp, QMP(QUERY_FDSETS), NULL, &sets, err) != QMP_OK)
        return -1;
    int r = 0;
    size_t i, k;
    json_t *s, *f;
    json_array_foreach(sets, i, s) {
        if (json_integer_value(json_object_get(s, "fdset-id")) != set)
            continue;
        json_array_foreach(json_object_get(s, "fds"), k, f) {
            if (r == 0)
                r = unlock_one(pidfd, (int)json_integer_value(json_object_get(f, "fd")), err);
        }
    }
    json_decref(sets);
    return r;
}

int qemu_image_make_writable(QmpClient *qmp, int pidfd, const DiskDef *disk, const StorageSource *src, int rw_fd, Err *err)
{
    int set = (int)src->index.v, number = -1;
    g_autofree char *node = qemu_node_storage(src);
    if (add_to_set(qmp, set, node, rw_fd, &number, err) < 0)
        return err_wrap(err, "making image '%s' writable", src->path);
    if (reopen(qmp, disk, src, set, err) < 0) {
        take_from_set(qmp, set, number);
        return err_wrap(err, "making image '%s' writable", src->path);
    }
    if (unlock_set(qmp, pidfd, set, err) < 0)
        return err_wrap(err, "making image '%s' writable", src->path);
    return 0;
}
