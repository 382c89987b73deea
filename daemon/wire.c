/* daemon/wire.c - inner values to wire values
 *
 * Owns:    nothing; encodings shared by the api_*.c files
 */
#include "config.h"

#include <arpa/inet.h>
#include <string.h>

#include "daemon/wire.h"
#include "api_enums.h"

void wire_domain(Arena *a, remote_nonnull_domain *out, const DomainView *v)
{
    out->name = arena_strdup(a, v->name);
    memcpy(out->uuid, v->uuid, UUID_LEN);
    out->id = v->id;
}

void wire_domain_of(Arena *a, remote_nonnull_domain *out, Domain *d)
{
    g_autoptr(DomainView) v = domain_view(d);
    wire_domain(a, out, v);
}

void wire_put_u32(GByteArray *b, uint32_t value)
{
    uint32_t be = htonl(value);
    g_byte_array_append(b, (const guint8 *)&be, sizeof(be));
}

void wire_put_domain(GByteArray *b, const DomainView *v)
{
    static const guint8 zeros[3];
    guint len = (guint)strlen(v->name);
    wire_put_u32(b, len);
    g_byte_array_append(b, (const guint8 *)v->name, len);
    g_byte_array_append(b, zeros, -len & 3u);
    g_byte_array_append(b, v->uuid, UUID_LEN);
    wire_put_u32(b, (uint32_t)v->id);
}

void params_init(Params *p, Arena *a)
{
    *p = (Params){.arena = a};
}

static remote_typed_param *params_add(Params *p, int type, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));

static remote_typed_param *params_add(Params *p, int type, const char *fmt, va_list ap)
{
    if (p->n == p->size) {
        unsigned size = p->size ? p->size * 2 : 16;
        remote_typed_param *v = arena_array(p->arena, remote_typed_param, size);
        if (p->n)
            memcpy(v, p->v, p->n * sizeof(*v));
        p->v = v;
        p->size = size;
    }
    remote_typed_param *t = &p->v[p->n++];
    t->field = arena_vprintf(p->arena, fmt, ap);
    t->value.type = type;
    return t;
}

#define PARAMS_ADD(name, ctype, wire_type, member, conv) \
    void params_##name(Params *p, ctype value, const char *field_fmt, ...) \
    { \
        va_list ap; \
        va_start(ap, field_fmt); \
        params_add(p, wire_type, field_fmt, ap)->value.remote_typed_param_value_u.member = conv; \
        va_end(ap); \
    }

PARAMS_ADD(int, int32_t, VIR_TYPED_PARAM_INT, i, value)
PARAMS_ADD(uint, uint32_t, VIR_TYPED_PARAM_UINT, ui, value)
PARAMS_ADD(llong, int64_t, VIR_TYPED_PARAM_LLONG, l, value)
PARAMS_ADD(ullong, uint64_t, VIR_TYPED_PARAM_ULLONG, ul, value)
PARAMS_ADD(double, double, VIR_TYPED_PARAM_DOUBLE, d, value)
PARAMS_ADD(bool, bool, VIR_TYPED_PARAM_BOOLEAN, b, value)

void params_string(Params *p, const char *value, const char *field_fmt, ...)
{
    if (!value)
        return;
    va_list ap;
    va_start(ap, field_fmt);
    params_add(p, VIR_TYPED_PARAM_STRING, field_fmt, ap)->value.remote_typed_param_value_u.s = arena_strdup(p->arena, value);
    va_end(ap);
}

void params_drop_strings(Params *p)
{
    unsigned n = 0;
    for (unsigned i = 0; i < p->n; i++) {
        if (p->v[i].value.type != VIR_TYPED_PARAM_STRING)
            p->v[n++] = p->v[i];
    }
    p->n = n;
}
