/* qemu/launch_settle.c - questions and settings between QMP's first answer and the guest's first instruction
 *
 * Owns:    what the live definition learns from QEMU: names of ptys
 * Threads: workers; sleeps
 * Errors:  those of QMP, wrapped
 *
 * Passwords, link states, the balloon and the states of channels are the domain layer's, which sets them again at other times too.
 */
#include "config.h"

#include <string.h>

#include "model/iotune.h"
#include "qemu/launch_private.h"
#include "qmp/client.h"
#include "qmp/commands.h"

/* ---- ptys -------------------------------------------------------------------------------------------------------------------- */

static void set_pty(GPtrArray *list, const char *alias, const char *path)
{
    for (unsigned i = 0; i < list->len; i++) {
        ChrDef *c = list->pdata[i];
        if (c->source.type == CHR_PTY && g_strcmp0(c->info.alias, alias) == 0) {
            g_free(c->source.path);
            c->source.path = g_strdup(path);
        }
    }
}

static bool has_pty(const GPtrArray *list)
{
    for (unsigned i = 0; i < list->len; i++) {
        const ChrDef *c = list->pdata[i];
        if (c->source.type == CHR_PTY)
            return true;
    }
    return false;
}

static int read_ptys(Launch *l, Err *err)
{
    GPtrArray *lists[] = {l->def->serials, l->def->parallels, l->def->channels, l->def->consoles};
    bool any = false;
    for (unsigned i = 0; i < N_ELEMENTS(lists); i++)
        any = any || has_pty(lists[i]);
    if (!any)
        return 0;
    json_t *ret = NULL;
    if (qmp_do(l->qmp, QMP(QUERY_CHARDEV), NULL, &ret, err) != QMP_OK)
        return err_wrap(err, "reading the names of ptys");
    size_t i;
    json_t *chr;
    json_array_foreach(ret, i, chr) {
        const char *label = json_string_value(json_object_get(chr, "label"));
        const char *file = json_string_value(json_object_get(chr, "filename"));
        if (label == NULL || file == NULL || strncmp(label, "char", 4) != 0 || strncmp(file, "pty:", 4) != 0)
            continue;
        for (unsigned k = 0; k < N_ELEMENTS(lists); k++)
            set_pty(lists[k], label + 4, file + 4);
    }
    json_decref(ret);
    return 0;
}

/* The first console is the first serial port under another name. */
static void console_follows_serial(DomainDef *def)
{
    if (def->consoles->len == 0 || def->serials->len == 0)
        return;
    ChrDef *c = def->consoles->pdata[0];
    const ChrDef *s = def->serials->pdata[0];
    if ((c->target_type != CHR_TARGET_SERIAL && c->target_type != CHR_TARGET_ABSENT) || c->source.type != s->source.type)
        return;
    if (c->source.path != s->source.path) {
        g_free(c->source.path);
        c->source.path = g_strdup(s->source.path);
    }
}

/* ---- throttling -------------------------------------------------------------------------------------------------------------- */

static int set_throttles(Launch *l, Err *err)
{
    json_t *blocks = NULL;
    int r = 0;
    for (unsigned i = 0; i < l->def->disks->len && r == 0; i++) {
        const DiskDef *disk = l->def->disks->pdata[i];
        if (!iotune_any(&disk->iotune) || !disk->src->path) /* an empty drive has nothing to be limited */
            continue;
        if (blocks == NULL && qmp_do(l->qmp, QMP(QUERY_BLOCK), NULL, &blocks, err) != QMP_OK)
            return err_wrap(err, "setting I/O limits of '%s'", disk->dst);
        const json_t *b = qemu_block_of_alias(blocks, disk->info.alias); /* QEMU's own path to the part that holds the drive */
        json_t *args = qemu_throttle_args(disk);
        props_str(args, "id", b ? json_string_value(json_object_get(b, "qdev")) : disk->info.alias);
        if (qmp_do(l->qmp, QMP(BLOCK_IO_THROTTLE), args, NULL, err) != QMP_OK)
            r = err_wrap(err, "setting I/O limits of '%s'", disk->dst);
    }
    json_decref(blocks);
    return r;
}

/* ---- all --------------------------------------------------------------------------------------------------------------------- */

/* A guest that may not reboot: QEMU ends the machine where it would reset it. */
static int set_reboot_action(Launch *l, Err *err)
{
    if (l->def->on_reboot != ON_DESTROY)
        return 0;
    json_t *args = json_object();
    props_str(args, "reboot", "shutdown");
    if (qmp_do(l->qmp, QMP(SET_ACTION), args, NULL, err) != QMP_OK)
        return err_wrap(err, "setting what a reboot does");
    return 0;
}

int launch_settle(Launch *l, Err *err)
{
    if (read_ptys(l, err) < 0 || set_throttles(l, err) < 0 || set_reboot_action(l, err) < 0)
        return -1;
    console_follows_serial(l->def);
    return 0;
}
