/* daemon/wire.h - inner values to wire values
 *
 * Everything built here is in the call's arena.
 */
#pragma once

#include "daemon/call.h"
#include "protocol/remote_protocol.h"

/* Name, uuid and id as of the view. */
void wire_domain(Arena *a, remote_nonnull_domain *out, const DomainView *v);
void wire_domain_of(Arena *a, remote_nonnull_domain *out, Domain *d);

/* The same written straight into a body. */
void wire_put_u32(GByteArray *b, uint32_t value);
void wire_put_domain(GByteArray *b, const DomainView *v);

/* Typed parameters, collected in order. */
typedef struct Params {
    Arena *arena;
    remote_typed_param *v;
    unsigned n, size;
} Params;

void params_init(Params *p, Arena *a);
void params_int(Params *p, int32_t value, const char *field_fmt, ...) PRINTF_LIKE(3, 4);
void params_uint(Params *p, uint32_t value, const char *field_fmt, ...) PRINTF_LIKE(3, 4);
void params_llong(Params *p, int64_t value, const char *field_fmt, ...) PRINTF_LIKE(3, 4);
void params_ullong(Params *p, uint64_t value, const char *field_fmt, ...) PRINTF_LIKE(3, 4);
void params_double(Params *p, double value, const char *field_fmt, ...) PRINTF_LIKE(3, 4);
void params_bool(Params *p, bool value, const char *field_fmt, ...) PRINTF_LIKE(3, 4);
/* NULL value: nothing is added. */
void params_string(Params *p, const char *value, const char *field_fmt, ...) PRINTF_LIKE(3, 4);
/* Old getters leave strings out unless the caller's flags have VIR_TYPED_PARAM_STRING_OKAY. */
void params_drop_strings(Params *p);

/* The nparams protocol of old getters: 0 asks for the number only. */
#define PARAMS_REPLY(p, ret, asked) \
    do { \
        if ((asked) == 0) { \
            (ret)->nparams = (int)(p)->n; \
        } else { \
            (ret)->params.params_len = MIN((p)->n, (unsigned)(asked)); \
            (ret)->params.params_val = (p)->v; \
        } \
    } while (0)
