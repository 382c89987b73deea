/* domain/iotune.c - limits of a disk set and read while the machine runs or rests
 *
 * Owns:    that both definitions are asked before either is changed; disks of one group have the same limits
 * Threads: workers
 * Locks:   the domain's, released for QMP and the definition's file
 * Errors:  VIR_ERR_INVALID_ARG, VIR_ERR_CONFIG_UNSUPPORTED; QEMU's own
 */
#include "config.h"

#include <string.h>

#include "domain/iotune.h"
#include "domain/private.h"
#include "qemu/launch.h"
#include "qemu/props.h"
#include "api_enums.h"

static DiskDef *disk_of(const DomainDef *def, const char *name, Err *err)
{
    DiskDef *disk = domain_def_find_disk(def, name);
    if (!disk)
        err_set(err, VIR_ERR_INVALID_ARG, "disk '%s' was not found in the domain config", name);
    return disk;
}

/* Another disk of that group; NULL: none. */
static DiskDef *member(const DomainDef *def, const DiskDef *but, const char *group)
{
    for (unsigned i = 0; group && *group && i < def->disks->len; i++) {
        DiskDef *o = def->disks->pdata[i];
        if (o != but && g_strcmp0(o->iotune.group_name, group) == 0)
            return o;
    }
    return NULL;
}

/* The disk of `def`, which is the caller's own, after the change, and all of its group with it.  NULL with Err. */
static DiskDef *edit(DomainDef *def, const char *name, const IoTuneChange *c, Err *err)
{
    DiskDef *disk = disk_of(def, name, err);
    if (!disk)
        return NULL;
    const DiskDef *joined = c->group_given ? member(def, disk, c->values.group_name) : NULL;
    iotune_apply(&disk->iotune, joined ? &joined->iotune : &disk->iotune, c);
    if (disk->iotune.group_name && !iotune_any(&disk->iotune)) {
        if (c->group_given && *c->values.group_name) {
            err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "creating a new group/updating existing with all tune parameters zero is not supported");
            return NULL;
        }
        g_clear_pointer(&disk->iotune.group_name, g_free); /* without limits there is no group to be in */
        return disk;
    }
    for (unsigned i = 0; disk->iotune.group_name && i < def->disks->len; i++) {
        DiskDef *o = def->disks->pdata[i];
        IoTuneChange none = {.given = 0};
        if (o != disk && g_strcmp0(o->iotune.group_name, disk->iotune.group_name) == 0)
            iotune_apply(&o->iotune, &disk->iotune, &none);
    }
    return disk;
}

/* ---- the running guest ----------------------------------------------------------------------------------------------------- */

/* What query-block says of the disk; NULL with Err.  Caller decrefs *ret_all. */
static const json_t *block_of(Domain *d, const DiskDef *disk, json_t **ret_all, Err *err)
{
    g_autofree char *alias = g_strdup(disk->info.alias), *dst = g_strdup(disk->dst); /* the lock is released now */
    if (domain_qmp(d, "query-block", NULL, ret_all, err) < 0)
        return NULL;
    const json_t *b = qemu_block_of_alias(*ret_all, alias);
    if (!b || !json_is_object(json_object_get(b, "inserted"))) {
        err_set(err, VIR_ERR_OPERATION_INVALID, "disk '%s' has no image whose transfers could be limited", dst);
        return NULL;
    }
    return b;
}

/* `disk` is as it shall be. */
static int set_live(Domain *d, const char *name, const IoTuneChange *c, const DiskDef *disk, Err *err)
{
    json_t *all = NULL;
    const json_t *b = block_of(d, disk, &all, err);
    json_t *args = b ? qemu_throttle_args(disk) : NULL;
    if (args) {
        const char *id = json_string_value(json_object_get(b, "qdev"));
        props_str(args, "id", id);
        if (!disk->iotune.group_name) /* else it stayed where it is; this is the group QEMU gives who asks for none */
            props_str(args, "group", id);
    }
    json_decref(all);
    if (!args || domain_qmp(d, "block_set_io_throttle", args, NULL, err) < 0)
        return -1;
    g_autoptr(DomainDef) now = domain_def_copy(d->live); /* as it is by now: events may have changed it meanwhile */
    if (!edit(now, name, c, err))
        return -1;
    domain_set_live(d, g_steal_pointer(&now));
    return 0;
}

static void publish(Domain *d, const char *disk, const IoTuneChange *c)
{
    DomainEvent *e = domain_event_new(EVENT_DOMAIN, VIR_DOMAIN_EVENT_ID_TUNABLE, d);
    e->params.params = g_ptr_array_new_with_free_func(event_param_free);
    g_ptr_array_add(e->params.params, event_param_string("blkdeviotune.disk", disk));
    for (unsigned i = 0; i < IOTUNE_FIELDS; i++) {
        if (!(c->given & (1u << i)))
            continue;
        g_autofree char *name = g_strdup_printf("blkdeviotune.%s", iotune_fields[i].name);
        g_ptr_array_add(e->params.params, event_param_ullong(name, iotune_get(&c->values, i)));
    }
    if (c->group_given)
        g_ptr_array_add(e->params.params, event_param_string("blkdeviotune.group_name", c->values.group_name));
    domain_publish_event(d, e);
}

/* ---- both ------------------------------------------------------------------------------------------------------------------ */

int domain_set_io_tune(Domain *d, const char *name, const IoTuneChange *c, unsigned flags, Err *err)
{
    domain_assert_locked(d);
    DomainAffect a;
    if (iotune_change_check(c, err) < 0 || domain_affect(d, flags, &a, err) < 0)
        return -1;
    if (a.config && domain_config_begin(d, err) < 0)
        return -1;
    g_autoptr(DomainDef) config = a.config ? domain_parse_config(d, err) : NULL;
    g_autoptr(DomainDef) live = a.live && d->live ? domain_def_copy(d->live) : NULL;
    const DiskDef *disk = NULL;
    int r = (a.config && !config) || (config && !edit(config, name, c, err)) ? -1 : 0;
    if (r == 0 && a.live && !live)
        r = domain_err_inactive(err);
    if (r == 0 && live && (!(disk = edit(live, name, c, err)) || iotune_check_live(&disk->iotune, err) < 0))
        r = -1;
    if (r == 0 && live)
        r = set_live(d, name, c, disk, err);
    if (r == 0 && live)
        publish(d, name, c);
    if (r == 0 && config)
        r = domain_config_commit(d, stored_def_new(config), err);
    if (a.config)
        domain_config_end(d);
    return r;
}

int domain_get_io_tune(Domain *d, const char *name, unsigned flags, DiskIoTune *ret, Err *err)
{
    domain_assert_locked(d);
    DomainAffect a;
    if ((flags & VIR_DOMAIN_AFFECT_LIVE) && (flags & VIR_DOMAIN_AFFECT_CONFIG))
        return err_set_bare(err, VIR_FROM_QEMU, VIR_ERR_INVALID_ARG,
                            "Flags 'VIR_DOMAIN_AFFECT_LIVE' and 'VIR_DOMAIN_AFFECT_CONFIG' are mutually exclusive");
    if (domain_affect(d, flags, &a, err) < 0)
        return -1;
    g_autoptr(DomainDef) def = a.live ? domain_def_ref(d->live) : domain_parse_config(d, err);
    const DiskDef *disk = def ? domain_def_find_disk(def, name) : NULL;
    if (def && !disk) /* in libvirt's words, which differ from those of a change */
        err_set(err, VIR_ERR_INVALID_ARG, a.live ? "disk '%s' not found in domain" : "disk '%s' was not found in the domain config", name);
    if (!disk)
        return -1;
    DiskIoTune t = {0};
    if (!a.live) {
        t = disk->iotune;
        t.group_name = g_strdup(t.group_name);
        *ret = t;
        return 0;
    }
    json_t *all = NULL;
    const json_t *b = block_of(d, disk, &all, err);
    const json_t *inserted = json_object_get(b, "inserted");
    for (unsigned i = 0; b && i < IOTUNE_FIELDS; i++) {
        json_int_t v = json_integer_value(json_object_get(inserted, iotune_fields[i].qmp));
        iotune_set(&t, i, v > 0 ? (uint64_t)v : 0);
    }
    if (b)
        t.group_name = g_strdup(json_string_value(json_object_get(inserted, "group")));
    json_decref(all);
    if (!b)
        return -1;
    *ret = t;
    return 0;
}
