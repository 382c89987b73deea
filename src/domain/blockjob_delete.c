/* domain/blockjob_delete.c - images a commit has emptied, deleted when the call said so
 *
 * Owns:    the look at everything that may still need a file
 * Threads: workers
 * Locks:   the domain's, released meanwhile; of other machines only the views are read
 * Errors:  logged: a file that stays harms nobody
 *
 * The intent is in the status file with the job (its flags), until the job is forgotten, which is after this: a daemon that dies in between
 * comes here again, and a file that is gone already is no error.  A file stays when any disk of any machine, running or defined, is on it or
 * has it below, as their headers say; and when one of these cannot be read.
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "domain.blockjob"
#include "util/log.h"
#include "domain/blockjob_disk.h"
#include "domain/private.h"
#include "qemu/image_chain.h"

#define LOOK_MS   20000u
#define REMOVE_MS 5000u

/* One file that is to go. */
typedef struct Victim {
    char *path;
    uint64_t dev, ino; /* 0: not known */
    char *needed_by;   /* why it stays */
} Victim;

static void victim_free(gpointer p)
{
    Victim *v = p;
    g_free(v->path);
    g_free(v->needed_by);
    g_free(v);
}

static void keep(Victim *v, const char *who)
{
    if (!v->needed_by)
        v->needed_by = g_strdup(who);
}

static void keep_all(const GPtrArray *victims, const char *who)
{
    for (unsigned i = 0; i < victims->len; i++)
        keep(victims->pdata[i], who);
}

static void note_path(const GPtrArray *victims, const char *path, const char *who)
{
    g_autofree char *plain = g_canonicalize_filename(path, "/");
    for (unsigned i = 0; i < victims->len; i++) {
        Victim *v = victims->pdata[i];
        if (strcmp(v->path, plain) == 0)
            keep(v, who);
    }
}

static void note_file(const GPtrArray *victims, const ImageNode *n, const char *who)
{
    note_path(victims, n->path, who);
    for (unsigned i = 0; i < victims->len; i++) {
        Victim *v = victims->pdata[i];
        if (v->ino && v->ino == n->ino && v->dev == n->dev)
            keep(v, who);
    }
}

/* ---- who needs them ---------------------------------------------------------------------------------------------- */

/* Disks whose images have to be read. */
typedef struct Search {
    const GPtrArray *victims;
    GArray *wants;
    GPtrArray *names; /* of the machine of each want */
    GPtrArray *defs;  /* keep the paths alive */
} Search;

static void note_def(Search *s, const DomainDef *def)
{
    for (unsigned i = 0; i < def->disks->len; i++) {
        const DiskDef *disk = def->disks->pdata[i];
        for (const StorageSource *src = disk->src; src; src = src->backing) {
            if (src->path && src->type != STORAGE_NETWORK)
                note_path(s->victims, src->path, def->name);
        }
        if (disk->mirror && disk->mirror->path && disk->mirror->type != STORAGE_NETWORK)
            note_path(s->victims, disk->mirror->path, def->name);
    }
}

/* A definition at rest names the top, as a rule: the rest is in the images. */
static void want_def(Search *s, DomainDef *def)
{
    for (unsigned i = 0; i < def->disks->len; i++) {
        const DiskDef *disk = def->disks->pdata[i];
        const StorageSource *last = chain_base(disk->src);
        if (!last->path || last->fdgroup || (last->type != STORAGE_FILE && last->type != STORAGE_BLOCK))
            continue;
        ImageWant w = {.path = last->path, .fmt = qemu_image_fmt(last->format), .flags = IMAGE_WANT_PROBE | IMAGE_WANT_OPTIONAL};
        if (qemu_chain_leads_on(last))
            w.flags |= IMAGE_WANT_CHAIN;
        g_array_append_val(s->wants, w);
        g_ptr_array_add(s->names, def->name);
    }
    g_ptr_array_add(s->defs, domain_def_ref(def));
}

/* The disk of the job is on its new images, though the live definition does not say so yet. */
static void note_own(Search *s, const DomainDef *def, const char *alias)
{
    g_autoptr(DomainDef) rest = domain_def_copy(def);
    domain_def_remove_alias(rest, alias);
    note_def(s, rest);
}

static void add_machine(Search *s, Domain *d, const Domain *own, const char *alias)
{
    g_autoptr(DomainView) v = domain_view(d);
    g_auto(Err) err = ERR_INIT;
    if (v->live && d == own)
        note_own(s, v->live, alias);
    else if (v->live)
        note_def(s, v->live);
    if (!v->config)
        return;
    g_autoptr(DomainDef) def = stored_def_parse(v->config, &err);
    if (!def) {
        keep_all(s->victims, v->name);
        return;
    }
    note_def(s, def);
    if (d != own) /* its own chain is known from its QEMU */
        want_def(s, def);
}

/* All that was found for one want; who has it could not be read to the end if its last image leads on. */
static void note_want(Search *s, ImageSet *set, unsigned want, const char *who)
{
    const ImageNode *n = image_set_node(set, want, 0), *last = NULL;
    for (unsigned depth = 0; n; n = image_set_node(set, want, ++depth)) {
        if (!n->error)
            note_file(s->victims, n, who);
        last = n;
    }
    bool missing = last && last->error;
    if (!last || (!missing && last->header.backing && !last->nbd))
        keep_all(s->victims, who);
}

static void search(Search *s, Deadline end)
{
    for (unsigned at = 0; at < s->wants->len; at += IMAGE_MAX_WANTS) {
        unsigned n = MIN(s->wants->len - at, IMAGE_MAX_WANTS);
        g_autoptr(ImageSet) set = image_look(&g_array_index(s->wants, ImageWant, at), n, end);
        for (unsigned i = 0; i < n; i++)
            note_want(s, set, i, s->names->pdata[at + i]);
    }
}

static void unref_def(gpointer def)
{
    domain_def_unref(def);
}

/* No lock held.  No alias: the machine's images are looked at as those of any other. */
static void find_users(Domain *own, const char *alias, const GPtrArray *victims)
{
    Search s = {.victims = victims,
                .wants = g_array_new(FALSE, TRUE, sizeof(ImageWant)),
                .names = g_ptr_array_new(),
                .defs = g_ptr_array_new_with_free_func(unref_def)};
    g_autoptr(GPtrArray) all = registry_list(domain_driver_registry(own->drv));
    for (unsigned i = 0; i < all->len; i++)
        add_machine(&s, all->pdata[i], alias ? own : NULL, alias);
    search(&s, deadline_in_ms(LOOK_MS));
    g_array_unref(s.wants);
    g_ptr_array_unref(s.names);
    g_ptr_array_unref(s.defs);
}

/* ---- gone -------------------------------------------------------------------------------------------------------- */

static void identify(const GPtrArray *victims)
{
    for (unsigned i = 0; i < victims->len; i++) {
        Victim *v = victims->pdata[i];
        ImageWant w = {.path = v->path, .fmt = IMAGE_FMT_RAW, .flags = IMAGE_WANT_PROBE};
        g_autoptr(ImageSet) set = image_look(&w, 1, deadline_in_ms(REMOVE_MS));
        const ImageNode *n = image_set_node(set, 0, 0);
        if (n) {
            v->dev = n->dev;
            v->ino = n->ino;
        }
    }
}

static void remove_one(const char *machine, const Victim *v)
{
    g_auto(Err) err = ERR_INIT;
    if (v->needed_by)
        log_warning("%s: '%s' was to be deleted, but stays: '%s' needs it, or could not be read", machine, v->path, v->needed_by);
    else if (image_remove(v->path, deadline_in_ms(REMOVE_MS), &err) < 0)
        log_warning("%s: '%s' was to be deleted: %s", machine, v->path, err.detail);
    else
        log_info("%s: '%s' is deleted", machine, v->path);
}

static void add_victim(GPtrArray *victims, const char *path)
{
    Victim *v = g_new0(Victim, 1);
    v->path = g_canonicalize_filename(path, "/");
    g_ptr_array_add(victims, v);
}

/* Lock held; released meanwhile. */
static void delete_all(Domain *d, const char *alias, const GPtrArray *victims)
{
    g_autofree char *name = g_strdup(d->name);
    g_auto(Err) err = ERR_INIT;
    uint64_t life = domain_leave(d);
    identify(victims);
    find_users(d, alias, victims);
    for (unsigned i = 0; i < victims->len; i++)
        remove_one(name, victims->pdata[i]);
    domain_enter(d, life, &err); /* the caller looks whether the machine lives */
}

void blockjob_delete_file(Domain *d, const char *path)
{
    g_autoptr(GPtrArray) victims = g_ptr_array_new_with_free_func(victim_free);
    add_victim(victims, path);
    delete_all(d, NULL, victims);
}

void blockjob_delete_removed(Domain *d, BlockJob *job)
{
    const BlockJobParams *p = blockjob_data(job);
    StorageSource *stop = p->removed && p->stop ? chain_by_index(p->removed, p->stop) : NULL;
    g_autoptr(GPtrArray) victims = g_ptr_array_new_with_free_func(victim_free);
    for (const StorageSource *s = p->removed; s && s != stop; s = s->backing) {
        if (s->type != STORAGE_FILE || !s->path || s->fdgroup)
            continue; /* devices are not ours to remove */
        add_victim(victims, s->path);
    }
    g_autofree char *alias = g_strdup(blockjob_disk(job));
    delete_all(d, alias, victims);
}
