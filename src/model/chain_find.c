/* model/chain_find.c - images of a disk found by what people and QEMU call them
 *
 * Owns:    the form "vda[2]"
 * Threads: any; pure
 * Errors:  VIR_ERR_INVALID_ARG, of VIR_FROM_STORAGE where an image is looked for in a chain
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "errors.h"
#include "model/chain_find.h"

/* ---- walking ----------------------------------------------------------------------------------------------------------------- */

StorageSource *chain_by_index(StorageSource *top, uint64_t index)
{
    for (StorageSource *s = top; s; s = s->backing) {
        if (s->index.set && s->index.v == index)
            return s;
    }
    return NULL;
}

StorageSource *chain_above(StorageSource *top, const StorageSource *s)
{
    for (StorageSource *a = top; a; a = a->backing) {
        if (a->backing == s)
            return s ? a : NULL;
    }
    return NULL;
}

StorageSource *chain_base(StorageSource *top)
{
    while (top->backing)
        top = top->backing;
    return top;
}

unsigned chain_length(const StorageSource *top)
{
    unsigned n = 0;
    for (const StorageSource *s = top; s && s->path; s = s->backing)
        n++;
    return n;
}

DiskDef *chain_by_node(const DomainDef *def, const char *node, StorageSource **ret_src)
{
    char *end;
    if (!node || !g_str_has_prefix(node, "libvirt-"))
        return NULL;
    uint64_t index = g_ascii_strtoull(node + strlen("libvirt-"), &end, 10);
    if (*end != '-')
        return NULL;
    for (unsigned i = 0; i < def->disks->len; i++) {
        DiskDef *disk = def->disks->pdata[i];
        StorageSource *s = chain_by_index(disk->src, index);
        if (s) {
            *ret_src = s;
            return disk;
        }
    }
    return NULL;
}

/* ---- names of calls ---------------------------------------------------------------------------------------------------------- */

/* "vda[2]": the part before the bracket (caller frees) and the number.  False when the name is not of this form. */
static bool split_indexed(const char *name, char **ret_target, uint64_t *ret_index)
{
    const char *open = strrchr(name, '[');
    if (!open || !g_ascii_isdigit(open[1]))
        return false;
    char *end;
    uint64_t n = g_ascii_strtoull(open + 1, &end, 10);
    if (strcmp(end, "]") != 0)
        return false;
    *ret_target = g_strndup(name, (gsize)(open - name));
    *ret_index = n;
    return true;
}

DiskDef *chain_disk(const DomainDef *def, const char *name, Err *err)
{
    DiskDef *disk = *name ? domain_def_find_disk(def, name) : NULL;
    if (!disk)
        err_set(err, VIR_ERR_INVALID_ARG, "disk '%s' not found in domain", name);
    return disk;
}

int chain_address(const DomainDef *def, const char *name, DiskDef **ret_disk, StorageSource **ret_src, Err *err)
{
    g_autofree char *target = NULL;
    uint64_t index = 0;
    bool indexed = split_indexed(name, &target, &index);
    DiskDef *disk = indexed ? domain_def_find_disk(def, target) : NULL;
    if (disk && strcmp(disk->dst, target) != 0)
        disk = NULL; /* a number goes with a target only */
    StorageSource *src;
    if (disk) {
        src = chain_by_index(disk->src, index);
        if (!src)
            return err_set(err, VIR_ERR_INVALID_ARG, "disk '%s' has no image with index %" PRIu64 " in its chain", disk->dst, index);
    } else {
        disk = chain_disk(def, name, err); /* also a file whose name ends like that */
        if (!disk)
            return -1;
        src = disk->src;
    }
    if (ret_disk)
        *ret_disk = disk;
    if (ret_src)
        *ret_src = src;
    return 0;
}

/* Whether `name` means `s`: its path as the chain has it, another spelling of it, or a name relative to the image above. */
static bool is_named(const StorageSource *s, const StorageSource *parent, const char *name)
{
    if (!s->path || s->type == STORAGE_NETWORK)
        return false;
    if (strcmp(s->path, name) == 0)
        return true;
    g_autofree char *dir = parent && parent->path ? g_path_get_dirname(parent->path) : NULL;
    if (*name != '/' && (!dir || *dir != '/'))
        return false;
    g_autofree char *whole = g_canonicalize_filename(name, dir && *dir == '/' ? dir : "/"), *plain = g_canonicalize_filename(s->path, "/");
    return strcmp(whole, plain) == 0;
}

StorageSource *chain_image(const DiskDef *disk, const StorageSource *above, const char *name, StorageSource **ret_parent, Err *err)
{
    g_autofree char *target = NULL;
    uint64_t index = 0;
    bool indexed = split_indexed(name, &target, &index);
    if (indexed && !strchr(target, '/') && strcmp(target, disk->dst) != 0 && *target) {
        err_set_full(err, VIR_FROM_STORAGE, VIR_ERR_INVALID_ARG, 0, "requested target '%s' does not match target '%s'", target, disk->dst);
        return NULL;
    }
    bool by_index = indexed && !strchr(target, '/');
    StorageSource *parent = above ? (StorageSource *)(uintptr_t)above : NULL;
    for (StorageSource *s = above ? above->backing : disk->src; s; parent = s, s = s->backing) {
        bool found = by_index ? s->index.set && s->index.v == index : is_named(s, parent, name);
        if (!found)
            continue;
        if (ret_parent)
            *ret_parent = parent;
        return s;
    }
    if (by_index)
        err_set_full(err, VIR_FROM_STORAGE, VIR_ERR_INVALID_ARG, 0, "could not find backing store index '%" PRIu64 "' in chain for '%s'", index, disk->dst);
    else if (above)
        err_set_full(err, VIR_FROM_STORAGE, VIR_ERR_INVALID_ARG, 0, "could not find image '%s' beneath '%s' in chain for '%s'", name, above->path, disk->dst);
    else
        err_set_full(err, VIR_FROM_STORAGE, VIR_ERR_INVALID_ARG, 0, "could not find image '%s' in chain for '%s'", name, disk->dst);
    return NULL;
}
