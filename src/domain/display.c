/* domain/display.c - screens: pictures of them, and connections to them
 *
 * Owns:    the temporary file of a picture, in the machine's own directory, gone before the function returns
 */
#include "config.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "domain/display.h"
#include "qmp/client.h"
#include "util/fd.h"

static const VideoDef *primary_video(const DomainDef *def)
{
    for (unsigned i = 0; i < def->videos->len; i++) {
        const VideoDef *v = def->videos->pdata[i];
        if (v->type != VIDEO_NONE)
            return v;
    }
    return NULL;
}

int domain_screenshot(Domain *d, unsigned screen, int *ret_fd, const char **ret_mime, Err *err)
{
    const VideoDef *video = primary_video(d->live);
    if (!video)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "there is no video device in domain '%s', so there is no picture", d->name);
    unsigned heads = video->heads.set ? (unsigned)video->heads.v : 1;
    if (screen >= heads)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "no such screen ID %u: the video device has %u, counted from 0", screen, heads);

    g_autoptr(DomainView) v = domain_view(d);
    g_autofree char *path = g_strdup_printf("%s/screenshot.png", v->dir);
    /* QEMU truncates and writes it under its own account; the directory is its own, nobody else can put a link there */
    unlink(path);
    json_t *args = json_pack("{s:s, s:s}", "filename", path, "format", "png");
    if (screen > 0) {
        json_object_set_new(args, "device", json_string(video->info.alias));
        json_object_set_new(args, "head", json_integer(screen));
    }
    if (domain_qmp(d, "screendump", args, NULL, err) < 0)
        return -1;
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int e = errno;
    unlink(path);
    struct stat st;
    if (fd < 0)
        return err_set_errno(err, e, "opening the picture %s", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(err, VIR_ERR_OPERATION_FAILED, "the picture %s is no regular file", path);
    *ret_fd = take_fd(&fd);
    *ret_mime = "image/png";
    return 0;
}

int domain_open_graphics(Domain *d, unsigned idx, int fd, bool skip_auth, Err *err)
{
    if (idx >= d->live->graphics->len)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "No graphics backend with index %u", idx);
    const GraphicsDef *g = d->live->graphics->pdata[idx];
    if (g->type != GRAPHICS_VNC)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "Can only open VNC graphics backends, not that of index %u", idx);
    if (domain_qmp_fd(d, "getfd", json_pack("{s:s}", "fdname", "graphicsfd"), fd, NULL, err) < 0)
        return -1;
    json_t *args = json_pack("{s:s, s:s, s:b}", "protocol", "vnc", "fdname", "graphicsfd", "skipauth", skip_auth);
    if (domain_qmp(d, "add_client", args, NULL, err) < 0) {
        g_auto(Err) ignored = ERR_INIT; /* the first error is the one to tell */
        domain_qmp(d, "closefd", json_pack("{s:s}", "fdname", "graphicsfd"), NULL, &ignored);
        return -1;
    }
    return 0;
}
