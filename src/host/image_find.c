/* host/image_find.c - what stands at a path, without taking it for an image
 *
 * Owns:    nothing
 * Threads: workers (a child is waited for)
 * Errors:  VIR_ERR_OPERATION_TIMEOUT
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>

#include "host/image.h"
#include "host/image_find.h"

int image_find(const char *path, Deadline d, ImageFound *ret, Err *err)
{
    ImageWant want = {.path = path, .open_flags = O_RDONLY | O_NONBLOCK, .fmt = IMAGE_FMT_RAW, .flags = IMAGE_WANT_OPTIONAL};
    g_auto(Err) own = ERR_INIT;
    g_autoptr(ImageSet) set = image_open(&want, 1, d, &own);
    *ret = (ImageFound){0};
    if (!set) {
        if (own.code == VIR_ERR_OPERATION_TIMEOUT || !own.os_errno) {
            err_move(err, &own);
            return -1;
        }
        ret->exists = own.os_errno != ENOENT && own.os_errno != ENOTDIR;
        ret->error = own.os_errno == ENOENT ? 0 : own.os_errno;
        return 0;
    }
    const ImageNode *n = image_set_node(set, 0, 0);
    if (n && n->error != ENOENT)
        *ret = (ImageFound){.exists = true, .is_block = n->is_block, .is_empty = n->file_size == 0, .error = n->error};
    return 0;
}
