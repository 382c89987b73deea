/* host/image_backing.c - which file is behind an image, as its header names it
 *
 * Owns:    QEMU's ways to write the name of a backing file, as far as they mean a file of this host
 * Threads: any; pure
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED, VIR_ERR_OPERATION_INVALID
 *
 * The name comes from whoever can write the image, which may be a guest.
 */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "host/image.h"

/* The file name inside a "json:{…}" description of a plain local file, or NULL. Caller frees. */
static char *json_filename(const char *text, ImageFmt *fmt, char **fmt_name)
{
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const char *driver = json_string_value(json_object_get(o, "driver"));
    json_t *file = json_object_get(o, "file");
    const char *name = json_string_value(json_object_get(o, "file.filename"));
    const char *proto = json_string_value(json_object_get(o, "file.driver"));
    if (json_is_object(file)) {
        name = json_string_value(json_object_get(file, "filename"));
        proto = json_string_value(json_object_get(file, "driver"));
    } else if (driver && (strcmp(driver, "file") == 0 || strcmp(driver, "host_device") == 0)) {
        name = json_string_value(json_object_get(o, "filename"));
        proto = driver;
        driver = NULL;
    }
    char *ret = NULL;
    if (name && (proto == NULL || strcmp(proto, "file") == 0 || strcmp(proto, "host_device") == 0)) {
        ret = g_strdup(name);
        if (driver) {
            *fmt = image_fmt_find(driver);
            g_free(*fmt_name);
            *fmt_name = g_strdup(driver);
        }
    }
    json_decref(o);
    return ret;
}

/* "nbd://…", "http:…": something before the first slash ends in a colon. */
static bool has_protocol(const char *path)
{
    size_t n = strcspn(path, ":/");
    return path[n] == ':';
}

char *image_backing_path(const char *image, ImageHeader *h, Err *err)
{
    g_autofree char *name = NULL;
    if (strncmp(h->backing, "json:", 5) == 0)
        name = json_filename(h->backing + 5, &h->backing_fmt, &h->backing_fmt_name);
    else if (strncmp(h->backing, "file:", 5) == 0 && !has_protocol(h->backing + 5))
        name = g_strdup(h->backing + 5);
    else if (!has_protocol(h->backing))
        name = g_strdup(h->backing);
    if (name == NULL) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "backing file '%s' of image '%s' is no local file", h->backing, image);
        return NULL;
    }
    if (name[0] == '/')
        return g_steal_pointer(&name);
    g_autofree char *dir = g_path_get_dirname(image);
    return g_build_filename(dir, name, NULL);
}

int image_backing_format(const char *image, const ImageHeader *h, const char *path, ImageFmt looks, ImageFmt *ret, Err *err)
{
    if (h->backing_fmt_name == NULL) {
        err_set(err, VIR_ERR_OPERATION_INVALID, "format of backing image '%s' of image '%s' was not specified in the image metadata", path,
                image);
        g_autofree char *quoted = g_shell_quote(image), *backing = g_shell_quote(h->backing);
        const char *fmt = image_fmt_names[looks];
        return err_hint(err, "%s%s%srecord it with: qemu-img rebase -u -f %s -b %s -F %s %s", fmt ? "it looks like " : "", fmt ? fmt : "",
                        fmt ? "; if it is that, " : "", image_fmt_names[h->fmt], backing, fmt ? fmt : "FORMAT", quoted);
    }
    if (h->backing_fmt == IMAGE_FMT_NONE)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "format '%s' of backing image '%s' of image '%s'", h->backing_fmt_name, path,
                       image);
    *ret = h->backing_fmt;
    return 0;
}
