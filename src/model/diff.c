/* model/diff.c - may this become that?
 *
 * Owns:    the two questions asked of differences: the guest ABI, and changes on a running guest
 * Threads: any
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED, VIR_ERR_OPERATION_UNSUPPORTED naming the first offending field
 */
#include "config.h"

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/field.h"

G_STATIC_ASSERT((int)DEF_FIELD_LIVE == (int)LIVE);
G_STATIC_ASSERT((int)DEF_FIELD_ABI == (int)ABI);

typedef struct Found {
    unsigned want, unwanted; /* flags a field must have, and must not have, to be reported */
    char *first;
} Found;

static void note(void *ud, const char *path, unsigned flags)
{
    Found *f = ud;
    if (!f->first && (flags & f->want) == f->want && !(flags & f->unwanted))
        f->first = g_strdup(path);
}

int domain_def_check_abi(const DomainDef *src, const DomainDef *dst, Err *err)
{
    Found found = {.want = ABI};
    (void)domain_def_diff(src, dst, note, &found);
    g_autofree char *first = found.first;
    if (first)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "Target definition differs from the source where the guest sees it: %s", first);
    return 0;
}

int device_def_check_update(DeviceKind kind, const void *from, const void *to, Err *err)
{
    /* What only a running guest shows (its pty, its alias) is no change the user asked for. */
    Found found = {.unwanted = LIVE | RUNTIME};
    (void)device_def_diff(kind, from, to, note, &found);
    g_autofree char *first = found.first;
    if (first)
        return err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "%s cannot be changed on a running guest", first);
    return 0;
}
