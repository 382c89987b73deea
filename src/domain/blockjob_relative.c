/* domain/blockjob_relative.c - the name of a base as seen from an image above it, when all between are named relatively
 *
 * Owns:    nothing
 * Threads: workers; sleeps for a child that reads the headers
 * Locks:   the domain's, released meanwhile
 * Errors:  VIR_ERR_OPERATION_INVALID when a header names what is below it in another way; those of host/image.h
 *
 * What the headers say now is read from the images themselves: a job of earlier may have written another name than the definition was found by.
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>

#include "domain/blockjob_disk.h"
#include "domain/private.h"
#include "qemu/image_chain.h"

#define LOOK_MS 15000u

static int cannot(const StorageSource *s, const char *name, Err *err)
{
    err_set(err, VIR_ERR_OPERATION_INVALID, "can't keep relative backing relationship: image '%s' names '%s' as its backing file", s->path,
            name ? name : "nothing");
    return err_hint(err, "without the flag the path of the base is written");
}

static bool is_relative(const char *name)
{
    size_t n = strcspn(name, ":/");
    return *name && *name != '/' && name[n] != ':';
}

/* "sub/mid" and then "base" there: "sub/base". */
static char *join(const char *so_far, const char *name)
{
    g_autofree char *dir = so_far ? g_path_get_dirname(so_far) : NULL;
    return dir && strcmp(dir, ".") != 0 ? g_build_filename(dir, name, NULL) : g_strdup(name);
}

/* Whether the name in the header of `s` leads to what the chain has below it. */
static bool leads_below(const StorageSource *s, ImageHeader *h)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *path = image_backing_path(s->path, h, &err);
    if (!path || s->backing->type == STORAGE_NETWORK || !s->backing->path)
        return false;
    g_autofree char *named = g_canonicalize_filename(path, "/"), *known = g_canonicalize_filename(s->backing->path, "/");
    return strcmp(named, known) == 0;
}

static ImageSet *read_headers(Domain *d, const StorageSource *above, const StorageSource *base, Err *err)
{
    g_autoptr(GArray) wants = g_array_new(FALSE, TRUE, sizeof(ImageWant));
    for (const StorageSource *s = above; s && s != base; s = s->backing) {
        ImageWant w = {.path = s->path, .open_flags = O_RDONLY, .fmt = qemu_image_fmt(s->format), .flags = IMAGE_WANT_PROBE | IMAGE_WANT_HEADER};
        if (s->type == STORAGE_NETWORK || s->fdgroup) {
            cannot(s, s->backing ? s->backing->path : NULL, err);
            return NULL;
        }
        g_array_append_val(wants, w);
    }
    uint64_t life = domain_leave(d);
    ImageSet *set = image_open((const ImageWant *)(void *)wants->data, wants->len, deadline_in_ms(LOOK_MS), err);
    g_auto(Err) ended = ERR_INIT;
    if (domain_enter(d, life, &ended) == 0)
        return set;
    if (set)
        err_move(err, &ended);
    return image_set_free(set);
}

char *blockjob_relative_name(Domain *d, const StorageSource *above, const StorageSource *base, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    g_autoptr(ImageSet) set = read_headers(d, above, base, err);
    if (!set)
        return NULL;
    g_autofree char *name = NULL;
    unsigned want = 0;
    for (const StorageSource *s = above; s && s != base; s = s->backing) {
        ImageHeader *h = &image_set_node(set, want++, 0)->header;
        if (!h->backing || !is_relative(h->backing) || !leads_below(s, h)) {
            cannot(s, h->backing, err);
            return NULL;
        }
        char *longer = join(name, h->backing);
        g_free(name);
        name = longer;
    }
    return g_steal_pointer(&name);
}
