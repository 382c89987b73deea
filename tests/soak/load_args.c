/* tests/soak/load_args.c - arguments of any procedure
 *
 * Owns:    names and documents of machines; an object of any wire type, made by a decoder that reads invented input
 * Threads: any
 *
 * Theory of operation.  All that a filter reads is a word or bytes.  Words are small numbers, now and then a wild one; strings come out
 * with few bytes, and some lengths have a word that means something to the daemon.  Over the object so made go the machine the call
 * is for and flags the row allows: what is left to chance is whether the rest makes sense.
 */
#include "config.h"

#include <string.h>

#include "protocol/remote_protocol.h"
#include "tests/soak/load.h"
#include "util/uuid.h"

/* ---- machines ---- */

void name_pick(Client *c, Whose whose, LoadName *ret)
{
    *ret = (LoadName){.guest = NULL};
    if (whose == WHOSE_GUEST && c->load->guests->len > 0) {
        ret->guest = &g_array_index(c->load->guests, LoadGuest, load_rnd(c, c->load->guests->len));
        g_strlcpy(ret->name, ret->guest->name, sizeof(ret->name));
        memcpy(ret->uuid, ret->guest->uuid, sizeof(ret->uuid));
        return;
    }
    if (whose == WHOSE_OWN)
        g_snprintf(ret->name, sizeof(ret->name), "own-%u-%u", c->number, load_rnd(c, 3));
    else if (whose == WHOSE_NOBODY)
        g_snprintf(ret->name, sizeof(ret->name), "nobody-%u", load_rnd(c, 1000));
    else if (whose == WHOSE_FRESH)
        g_snprintf(ret->name, sizeof(ret->name), "fresh-%u-%08x%08x", c->number, load_rnd(c, UINT32_MAX), load_rnd(c, UINT32_MAX));
    else
        g_snprintf(ret->name, sizeof(ret->name), "any-%u", load_rnd(c, 8));
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    guint8 digest[20];
    gsize len = sizeof(digest);
    g_checksum_update(sum, (const guchar *)ret->name, -1);
    g_checksum_get_digest(sum, digest, &len);
    memcpy(ret->uuid, digest, sizeof(ret->uuid));
}

static char *put(const char *text, const char *mark, const char *value)
{
    g_auto(GStrv) parts = g_strsplit(text, mark, -1);
    return g_strjoinv(value, parts);
}

char *args_xml(Client *c, const LoadName *name)
{
    if (name->guest)
        return g_strdup(name->guest->xml);
    char uuid[UUID_STRING_LEN];
    uuid_format(name->uuid, uuid);
    g_autofree char *named = put(c->load->domain_xml, "@NAME@", name->name);
    char *whole = put(named, "@UUID@", uuid);
    /* what a client has that was never taught XML */
    if (load_rnd(c, 20) == 0)
        whole[load_rnd(c, (uint32_t)strlen(whole))] = (char)load_rnd(c, 256);
    return whole;
}

/* ---- invented input ---- */

static bool_t any_getlong(XDR *x, long *v)
{
    Client *c = (Client *)(void *)x->x_private;
    uint32_t manner = load_rnd(c, 100);
    *v = manner < 97 ? (long)load_rnd(c, 4) : manner < 99 ? (long)load_rnd(c, 64) : -1L;
    return TRUE;
}

static bool_t any_getbytes(XDR *x, char *to, u_int len)
{
    static const char *const words[] = {[3] = "vda"};
    Client *c = (Client *)(void *)x->x_private;
    if (len < G_N_ELEMENTS(words) && words[len] && load_rnd(c, 2)) {
        memcpy(to, words[len], len);
        return TRUE;
    }
    for (u_int i = 0; i < len; i++)
        to[i] = (char)('a' + load_rnd(c, 26));
    return TRUE;
}

static int32_t *any_inline(XDR *x, u_int len)
{
    return NULL;
}

/* Strings of the object are malloc's, as wire_free wants them. */
static void put_string(char **at, const char *text)
{
    free(*at);
    *at = strdup(text);
}

static void put_key(Client *c, const ProcInfo *p, const LoadName *name, char *args)
{
    char *at = args + p->key_at;
    switch (p->key) {
    case KEY_REF: {
        remote_nonnull_domain *ref = (void *)at;
        put_string(&ref->name, name->name);
        memcpy(ref->uuid, name->uuid, sizeof(ref->uuid));
        break;
    }
    case KEY_UUID:
        memcpy(at, name->uuid, sizeof(name->uuid));
        break;
    case KEY_NAME:
        put_string((char **)(void *)at, name->name);
        break;
    case KEY_ID:
        *(int *)(void *)at = 1 + (int)load_rnd(c, 64);
        break;
    default:
        break;
    }
}

static void put_flags(Client *c, const ProcInfo *p, char *args)
{
    uint64_t flags = load_rnd(c, 2) ? 0 : p->flags_mask & ((uint64_t)load_rnd(c, UINT32_MAX) & load_rnd(c, UINT32_MAX));
    if (load_rnd(c, 30) == 0)
        flags |= 1u << load_rnd(c, 32);
    if (p->flags_width == 4)
        *(uint32_t *)(void *)(args + p->flags_at) = (uint32_t)flags;
    else if (p->flags_width == 8)
        *(uint64_t *)(void *)(args + p->flags_at) = flags;
}

ssize_t args_any(Client *c, const ProcInfo *p, const LoadName *name, uint8_t *buf, size_t size)
{
    static const struct xdr_ops ops = {.x_getlong = any_getlong, .x_getbytes = any_getbytes, .x_inline = any_inline};
    if (p->args.size == 0)
        return 0;
    XDR x = {.x_op = XDR_DECODE, .x_ops = &ops, .x_private = (void *)c};
    char *args = g_malloc0(p->args.size);
    ssize_t n = -1;
    if (p->args.filter(&x, args)) {
        if (p->object == OBJ_DOMAIN)
            put_key(c, p, name, args);
        put_flags(c, p, args);
        n = wire_encode(&p->args, args, buf, size);
    }
    wire_free(&p->args, args);
    g_free(args);
    return n < 0 ? -1 : n;
}

ssize_t args_garbage(Client *c, uint8_t *buf, size_t size)
{
    size_t n = load_rnd(c, load_rnd(c, 10) ? 64 : (uint32_t)size);
    for (size_t i = 0; i < n; i++)
        buf[i] = load_rnd(c, 3) ? 0 : (uint8_t)load_rnd(c, 256);
    return (ssize_t)n;
}
