/* model/domain_def.c - life and look-ups of a definition
 *
 * Owns:    the reference count
 * Threads: any; a published definition is immutable, references are atomic
 * Errors:  none
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "model/parts.h"

DomainDef *domain_def_new(void)
{
    return table_new(&domain_table);
}

DomainDef *domain_def_ref(const DomainDef *d)
{
    union {
        const DomainDef *in;
        DomainDef *out;
    } p = {.in = d};
    g_atomic_int_inc(&p.out->refs);
    return p.out;
}

void domain_def_unref(DomainDef *d)
{
    if (d && g_atomic_int_dec_and_test(&d->refs))
        table_free(&domain_table, d);
}

DomainDef *domain_def_copy(const DomainDef *d)
{
    DomainDef *copy = table_copy(&domain_table, d);
    if (copy)
        copy->refs = 1;
    return copy;
}

void domain_def_keep_asked_cpu(DomainDef *d)
{
    g_autoptr(DomainDef) copy = domain_def_copy(d);
    CpuDef old = d->cpu_asked;
    d->cpu_asked = copy->cpu;
    copy->cpu = old;
}

void domain_def_take_asked_cpu(DomainDef *d)
{
    if (!d->cpu_asked.given)
        return;
    CpuDef now = d->cpu;
    d->cpu = d->cpu_asked;
    d->cpu_asked = now; /* freed with the rest; without `given` it says nothing */
    d->cpu_asked.given = false;
}

unsigned domain_def_diff(const DomainDef *a, const DomainDef *b, DefChangedFn changed, void *ud)
{
    return table_diff(&domain_table, a, b, "", changed, ud);
}

DiskDef *domain_def_find_disk(const DomainDef *d, const char *target_or_path)
{
    for (guint i = 0; i < d->disks->len; i++) {
        DiskDef *disk = d->disks->pdata[i];
        if (strcmp(disk->dst, target_or_path) == 0)
            return disk;
    }
    for (guint i = 0; i < d->disks->len; i++) {
        DiskDef *disk = d->disks->pdata[i];
        if (disk->src->path && disk->src->type != STORAGE_NETWORK && strcmp(disk->src->path, target_or_path) == 0)
            return disk;
    }
    return NULL;
}

NetDef *domain_def_find_net(const DomainDef *d, const char *ifname_or_mac)
{
    for (guint i = 0; i < d->nets->len; i++) {
        NetDef *net = d->nets->pdata[i];
        char mac[18];
        g_snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", net->mac[0], net->mac[1], net->mac[2], net->mac[3],
                   net->mac[4], net->mac[5]);
        if ((net->ifname && strcmp(net->ifname, ifname_or_mac) == 0) || g_ascii_strcasecmp(mac, ifname_or_mac) == 0)
            return net;
    }
    return NULL;
}

DeviceInfo *domain_def_find_alias(const DomainDef *d, const char *alias, DeviceKind *ret_kind)
{
    for (int kind = 1; kind < DEVICE_MAX; kind++) {
        GPtrArray *list = domain_def_devices(d, (DeviceKind)kind);
        for (guint i = 0; list && i < list->len; i++) {
            DeviceInfo *info = list->pdata[i];
            if (info->alias && strcmp(info->alias, alias) == 0) {
                if (ret_kind)
                    *ret_kind = (DeviceKind)kind;
                return info;
            }
        }
    }
    if (d->memballoon && d->memballoon->info.alias && strcmp(d->memballoon->info.alias, alias) == 0) {
        if (ret_kind)
            *ret_kind = DEVICE_MEMBALLOON;
        return &d->memballoon->info;
    }
    return NULL;
}
