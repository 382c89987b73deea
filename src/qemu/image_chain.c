/* qemu/image_chain.c - what was found by opening images becomes part of a definition
 *
 * Owns:    nothing
 * Threads: any; pure
 * Errors:  none
 */
#include "config.h"

#include <string.h>

#include "qemu/image_chain.h"


ImageFmt qemu_image_fmt(StorageFormat f)
{
    if (f == STORAGE_FORMAT_ABSENT || f == STORAGE_FORMAT_ISO)
        return IMAGE_FMT_RAW;
    return image_fmt_find(f == STORAGE_FORMAT_VHD ? "vpc" : storage_format_names[f]);
}

StorageFormat qemu_storage_format(ImageFmt f)
{
    const char *name = f == IMAGE_FMT_NONE ? NULL : image_fmt_names[f];
    int i = name ? enum_find(storage_format_names, STORAGE_FORMAT_MAX, name) : -1;
    return i < 0 ? STORAGE_FORMAT_RAW : (StorageFormat)i;
}

char *qemu_backing_name(const StorageSource *s)
{
    if (s->type != STORAGE_NETWORK)
        return g_strdup(s->path);
    g_autofree char *export = g_uri_escape_string(s->path, "/", FALSE);
    if (s->nbd_socket) {
        g_autofree char *socket = g_uri_escape_string(s->nbd_socket, "/", FALSE);
        return g_strdup_printf("nbd+unix:///%s?socket=%s", export, socket);
    }
    const char *open = strchr(s->nbd_host, ':') ? "[" : "", *close = *open ? "]" : "";
    return g_strdup_printf("nbd://%s%s%s:%u/%s", open, s->nbd_host, close, s->nbd_port, export);
}

void qemu_network_settle(StorageSource *s)
{
    if (s->format == STORAGE_FORMAT_ABSENT)
        s->format = STORAGE_FORMAT_RAW;
    s->nbd_tls = TRI_NO;
}

bool qemu_chain_leads_on(const StorageSource *s)
{
    bool may = s->format == STORAGE_FORMAT_QCOW2 || s->format == STORAGE_FORMAT_QCOW || s->format == STORAGE_FORMAT_QED ||
               s->format == STORAGE_FORMAT_VMDK;
    return may && s->backing == NULL && !s->backing_ends;
}

void qemu_chain_adopt(ImageSet *images, unsigned want, StorageSource *last)
{
    const ImageNode *n = image_set_node(images, want, 0), *above = n;
    for (unsigned depth = 1; (n = image_set_node(images, want, depth)) != NULL; depth++) {
        StorageSource *s = storage_source_new();
        s->type = n->is_block ? STORAGE_BLOCK : STORAGE_FILE;
        s->path = g_strdup(n->path);
        s->format = qemu_storage_format(n->header.fmt);
        s->detected = true;
        last->backing = s;
        last = s;
        above = n;
    }
    if (above && above->nbd) {
        StorageSource *s = storage_source_new();
        s->type = STORAGE_NETWORK;
        s->path = g_strdup(above->nbd->name);
        s->nbd_host = g_strdup(above->nbd->host);
        s->nbd_socket = g_strdup(above->nbd->socket);
        s->nbd_port = above->nbd->host ? above->nbd->port : 0;
        s->format = qemu_storage_format(above->nbd_fmt);
        qemu_network_settle(s);
        s->detected = true;
        last->backing = s;
        return; /* its own header QEMU alone reads */
    }
    last->backing_ends = true;
}
