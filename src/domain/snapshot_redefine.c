/* domain/snapshot_redefine.c - snapshots told of, not taken: a document becomes one
 *
 * Owns:    what may be changed in a snapshot that is there already
 * Threads: workers (a machine inside may need QEMU's capabilities)
 * Locks:   the domain's, released while the document is made whole
 * Errors:  VIR_ERR_INVALID_ARG, VIR_ERR_XML_ERROR
 */
#include "config.h"

#include <string.h>

#include "util/uuid.h"
#include "domain/complete.h"
#include "domain/snapshot_private.h"
#include "api_enums.h"

/* Machines inside are completed like those of a definition. */
static StoredDef *from_client(void *ud, const char *xml, Err *err)
{
    g_autoptr(DomainDef) def = domain_def_from_client(ud, xml, false, err);
    return def ? stored_def_new(def) : NULL;
}

static bool is_online(const SnapshotDef *s)
{
    return s->state == SNAPSHOT_STATE_RUNNING || s->state == SNAPSHOT_STATE_PAUSED;
}

/* The machine inside is this one, and the disks are its. */
static int complete(SnapshotDef *s, const Domain *d, Err *err)
{
    if (memcmp(s->domain->uuid, d->obj.uuid, UUID_LEN) != 0) {
        char uuid[UUID_STRING_LEN];
        uuid_format(d->obj.uuid, uuid);
        return err_set(err, VIR_ERR_INVALID_ARG, "definition for snapshot %s must use uuid %s", s->name, uuid);
    }
    g_autoptr(DomainDef) def = stored_def_parse(s->domain, err);
    if (!def)
        return -1;
    bool outside = s->state == SNAPSHOT_STATE_DISK || snapshot_def_is_external(s);
    if (snapshot_disks_align(s, def, outside ? SNAPSHOT_EXTERNAL : SNAPSHOT_INTERNAL, err) < 0)
        return -1;
    return snapshot_disks_name(s, def, err);
}

/* What is known of it already stays where the document is silent. */
static int compare(SnapshotDef *s, const SnapshotDef *old, Err *err)
{
    if (is_online(s) != is_online(old))
        return err_set(err, VIR_ERR_INVALID_ARG, "cannot change between online and offline snapshot state in snapshot %s", s->name);
    if ((s->state == SNAPSHOT_STATE_DISK) != (old->state == SNAPSHOT_STATE_DISK))
        return err_set(err, VIR_ERR_INVALID_ARG, "cannot change between disk only and full system in snapshot %s", s->name);
    if (!s->domain && old->domain)
        s->domain = stored_def_ref(old->domain);
    if (!s->inactive && old->inactive)
        s->inactive = stored_def_ref(old->inactive);
    if (!s->cookie)
        s->cookie = g_strdup(old->cookie);
    return 0;
}

int snapshot_redefine(Domain *d, const char *xml, unsigned flags, char **ret_name, Err *err)
{
    domain_assert_locked(d);
    uint64_t life = domain_leave(d);
    SnapshotParseFlags how = SNAPSHOT_PARSE_REDEFINE | (flags & VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE ? SNAPSHOT_PARSE_VALIDATE : 0);
    g_autoptr(SnapshotDef) s = snapshot_def_parse(xml, strlen(xml), how, from_client, d->drv, err);
    g_auto(Err) gone = ERR_INIT; /* that the machine ended meanwhile is no matter here */
    if (domain_enter(d, life, &gone) < 0 && d->removing)
        return s ? err_set(err, VIR_ERR_NO_DOMAIN, "domain '%s' is being removed", d->name) : -1;
    if (!s)
        return -1;
    g_autoptr(SnapshotList) l = snapshot_list_ref(d->priv->snapshots);
    const SnapshotDef *old = snapshot_list_find(l, s->name);
    if (s->parent) {
        if (strcmp(s->parent, s->name) == 0)
            return err_set(err, VIR_ERR_INVALID_ARG, "cannot set moment %s as its own parent", s->name);
        if (!snapshot_list_find(l, s->parent))
            return err_set(err, VIR_ERR_INVALID_ARG, "parent %s for moment %s not found", s->parent, s->name);
        if (snapshot_list_would_loop(l, s->name, s->parent))
            return err_set(err, VIR_ERR_INVALID_ARG, "parent %s would create cycle to %s", s->parent, s->name);
    }
    if ((flags & VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY) && s->state != SNAPSHOT_STATE_DISK)
        return err_set(err, VIR_ERR_INVALID_ARG, "disk-only flag for snapshot %s requires disk-snapshot state", s->name);
    if (old && compare(s, old, err) < 0)
        return -1;
    if (!s->domain)
        return err_set(err, VIR_ERR_XML_ERROR, "missing domain in snapshot");
    if (complete(s, d, err) < 0 || (!old && snapshot_check_file(d, s->name, err) < 0))
        return -1;
    if (snapshot_store(d, s, flags & VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT, err) < 0)
        return -1;
    *ret_name = g_strdup(s->name);
    return 0;
}
