/* model/dom_cpu.c - <cpu> and <clock>
 *
 * Owns:    the guest's processor and its clocks
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR
 */
#include "config.h"

#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_CPU
#include "model/parts.h"

/* ---- <cpu> ----------------------------------------------------------------------------------------------------------------- */

static const Field feature_table_fields[] = {
    A_ENUM("policy", CpuFeature, policy, cpu_feature_policy_names, CPU_FEATURE_MAX, ABI | UNSUPPORTED),
    A_STR("name", CpuFeature, name, REQUIRED | ABI),
};
static int feature_finish(ParseCtx *c, xmlNode *node, void *base)
{
    CpuFeature *f = base;
    /* QEMU takes its list apart at ',' and '=', and has no way to quote them. */
    if (f->name[strspn(f->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")])
        return bad_value(c, node, "name", f->name, "letters, digits, '-', '_' and '.'");
    if (!f->policy)
        f->policy = CPU_FEATURE_REQUIRE;
    return 0;
}
static TABLE(feature_table, "feature", CpuFeature, .finish = feature_finish);

static const Field model_table_fields[] = {
    A_ENUM("fallback", CpuDef, fallback, cpu_fallback_names, CPU_FALLBACK_MAX, ABI),
    A_STR("vendor_id", CpuDef, vendor_id, ABI),
    TXT_STR(CpuDef, model, ABI),
};
static int model_finish(ParseCtx *c, xmlNode *node, void *base)
{
    CpuDef *cpu = base;
    if (cpu->vendor_id && strlen(cpu->vendor_id) != 12)
        return err_set(c->err, VIR_ERR_XML_ERROR, "vendor_id must be exactly 12 characters long, not '%s' (line %ld)",
                       cpu->vendor_id, xmlGetLineNo(node));
    if (cpu->vendor_id && strchr(cpu->vendor_id, ','))
        return bad_value(c, node, "vendor_id", cpu->vendor_id, "12 characters without ','");
    return 0;
}
static const Table model_table = {
    .element = "model", .fields = model_table_fields, .n = N_ELEMENTS(model_table_fields), .finish = model_finish};

static const Field topology_table_fields[] = {
    A_OPT("sockets", CpuDef, sockets, REQUIRED | NONZERO | ABI, UINT32_MAX),
    A_OPT("dies", CpuDef, dies, NONZERO | ABI, UINT32_MAX),
    A_OPT("clusters", CpuDef, clusters, NONZERO | ABI, UINT32_MAX),
    A_OPT("cores", CpuDef, cores, REQUIRED | NONZERO | ABI, UINT32_MAX),
    A_OPT("threads", CpuDef, threads, REQUIRED | NONZERO | ABI, UINT32_MAX),
};
static int topology_finish(ParseCtx *c, xmlNode *node, void *base)
{
    CpuDef *cpu = base;
    if (!cpu->dies.set)
        cpu->dies = (OptU64){true, 1};
    return 0;
}
static const Table topology_table = {.element = "topology",
                                     .fields = topology_table_fields,
                                     .n = N_ELEMENTS(topology_table_fields),
                                     .finish = topology_finish};

static const Field cache_table_fields[] = {
    A_OPT("level", CpuDef, cache_level, ABI, 3),
    A_ENUM("mode", CpuDef, cache_mode, cpu_cache_mode_names, CPU_CACHE_MAX, REQUIRED | ABI),
};
GROUP_TABLE(cache_table, "cache");

static void maxphysaddr_mode(FormatCtx *c, const void *base, const Field *f)
{
    if (((const CpuDef *)base)->maxphysaddr_bits.set)
        xml_attr(&c->w, "mode", "emulate");
}
static const FieldHooks maxphysaddr_hooks = {NULL, maxphysaddr_mode};
static const Field maxphysaddr_table_fields[] = {
    WRITTEN("mode", maxphysaddr_hooks),
    IGNORE("@mode"),
    A_OPT("bits", CpuDef, maxphysaddr_bits, ABI, 64),
    REFUSE("@limit"),
};
static int maxphysaddr_finish(ParseCtx *c, xmlNode *node, void *base)
{
    g_autofree char *mode = node_attr(node, "mode");
    if (!mode)
        return missing_attr(c, node, "mode");
    if (strcmp(mode, "passthrough") == 0)
        return refuse_word(c, node, "mode");
    if (strcmp(mode, "emulate") != 0)
        return bad_value(c, node, "mode", mode, "emulate, passthrough");
    return ((const CpuDef *)base)->maxphysaddr_bits.set ? 0 : missing_attr(c, node, "bits");
}
static const Table maxphysaddr_table = {.element = "maxphysaddr",
                                        .fields = maxphysaddr_table_fields,
                                        .n = N_ELEMENTS(maxphysaddr_table_fields),
                                        .finish = maxphysaddr_finish};

static const Field cpu_table_fields[] = {
    A_ENUM("mode", CpuDef, mode, cpu_mode_names, CPU_MODE_MAX, ABI | UNSUPPORTED),
    A_ENUM("match", CpuDef, match, cpu_match_names, CPU_MATCH_MAX, ABI),
    A_ENUM("check", CpuDef, check, cpu_check_names, CPU_CHECK_MAX, NOT_DEFAULT),
    A_ONOFF("migratable", CpuDef, migratable, ABI),
    GROUP("model", model_table, ABI),
    L_STR("vendor", CpuDef, vendor, ABI),
    GROUP("topology", topology_table, ABI),
    GROUP("cache", cache_table, ABI),
    GROUP("maxphysaddr", maxphysaddr_table, ABI),
    LIST("feature", CpuDef, features, feature_table, ABI),
    REFUSE("numa"),
};

static int cpu_finish(ParseCtx *c, xmlNode *node, void *base)
{
    CpuDef *cpu = base;
    cpu->given = true;
    if (!cpu->mode)
        cpu->mode = cpu->model || cpu->match ? CPU_MODE_CUSTOM : CPU_MODE_ABSENT;
    if (cpu->mode == CPU_MODE_HOST_PASSTHROUGH || cpu->mode == CPU_MODE_MAXIMUM) {
        if (cpu->model)
            g_clear_pointer(&cpu->model, g_free);
        cpu->fallback = CPU_FALLBACK_ABSENT;
    }
    if (cpu->migratable && cpu->mode != CPU_MODE_HOST_PASSTHROUGH && cpu->mode != CPU_MODE_MAXIMUM)
        return err_set(c->err, VIR_ERR_CONFIG_UNSUPPORTED, "Attribute migratable is only allowed for 'host-passthrough' / 'maximum' CPU mode (line %ld)",
                       xmlGetLineNo(node));
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; cpu->features && i < cpu->features->len; i++) {
        const CpuFeature *f = cpu->features->pdata[i];
        if (!g_hash_table_add(seen, f->name))
            return err_set(c->err, VIR_ERR_XML_ERROR, "CPU feature '%s' specified more than once (line %ld)", f->name,
                           xmlGetLineNo(node));
    }
    return 0;
}
TABLE(cpu_table, "cpu", CpuDef, .finish = cpu_finish);

/* ---- <clock> --------------------------------------------------------------------------------------------------------------- */

#define CATCHUP(n, m) ROW(AT_ATTR, T_U64, n, TimerDef, m, ABI)
static const Field catchup_table_fields[] = {
    CATCHUP("threshold", catchup_threshold),
    CATCHUP("slew", catchup_slew),
    CATCHUP("limit", catchup_limit),
};
GROUP_TABLE(catchup_table, "catchup");

static const Field timer_table_fields[] = {
    A_ENUM("name", TimerDef, name, timer_name_names, TIMER_MAX, REQUIRED | ABI),
    A_ENUM("tickpolicy", TimerDef, tickpolicy, timer_tick_policy_names, TIMER_TICK_MAX, ABI),
    A_ENUM("track", TimerDef, track, timer_track_names, TIMER_TRACK_MAX, ABI),
    A_OPT("frequency", TimerDef, frequency, ABI, 0),
    A_ENUM("mode", TimerDef, mode, timer_mode_names, TIMER_MODE_MAX, ABI),
    A_YESNO("present", TimerDef, present, ABI),
    GROUP("catchup", catchup_table, 0),
};
static int timer_finish(ParseCtx *c, xmlNode *node, void *base)
{
    TimerDef *t = base;
    t->frequency.set = t->frequency.v > 0; /* 0 is none */
    return 0;
}
static TABLE(timer_table, "timer", TimerDef, .finish = timer_finish);

static void adjustment_format(FormatCtx *c, const void *base, const Field *f)
{
    const ClockDef *clock = base;
    XmlWriter *w = &c->w;
    switch (clock->offset) {
    case CLOCK_UTC:
    case CLOCK_LOCALTIME:
        if (clock->adjustment_reset)
            xml_attr(w, "adjustment", "reset");
        else if (clock->adjustment.set)
            xml_attrf(w, "adjustment", "%" G_GINT64_FORMAT, clock->adjustment.v);
        break;
    case CLOCK_VARIABLE:
        xml_attrf(w, "adjustment", "%" G_GINT64_FORMAT, clock->adjustment.v);
        xml_attr(w, "basis", clock_basis_names[clock->basis]);
        break;
    default:
        break;
    }
}
static const FieldHooks adjustment_hooks = {NULL, adjustment_format};

static const Field clock_table_fields[] = {
    A_ENUM("offset", ClockDef, offset, clock_offset_names, CLOCK_MAX, ABI | UNSUPPORTED),
    IGNORE("@adjustment"),
    WRITTEN("adjustment", adjustment_hooks),
    IGNORE("@basis"),
    A_STR("timezone", ClockDef, timezone, ABI),
    A_OPT("start", ClockDef, start, ABI, 0),
    LIST("timer", ClockDef, timers, timer_table, ABI),
    M_OPT("@adjustment", ClockDef, adjustment, 0),
    {.name = "@basis", .at = AT_MEMORY, .type = T_ENUM, .off = offsetof(ClockDef, basis), .flags = ABI},
    {.name = "@adjustment", .at = AT_MEMORY, .type = T_BOOL, .off = offsetof(ClockDef, adjustment_reset), .flags = 0},
};

static int adjustment_read(ParseCtx *c, xmlNode *node, ClockDef *clock, const char *text)
{
    bool minus = *text == '-';
    uint64_t v = 0;
    if (!parse_u64(text + minus, 10, INT64_MAX, &v))
        return bad_value(c, node, "adjustment", text, clock->offset == CLOCK_VARIABLE ? "seconds" : "reset, or seconds");
    clock->adjustment = (OptI64){true, minus ? -(int64_t)v : (int64_t)v};
    return 0;
}

#define LAST_DATE UINT64_C(253402300799) /* 9999-12-31T23:59:59 */

static int clock_finish(ParseCtx *c, xmlNode *node, void *base)
{
    ClockDef *clock = base;
    g_autofree char *adjustment = node_attr(node, "adjustment");
    if (!clock->offset)
        clock->offset = CLOCK_UTC;
    switch (clock->offset) {
    case CLOCK_UTC:
    case CLOCK_LOCALTIME:
        if (adjustment && strcmp(adjustment, "reset") == 0) {
            clock->adjustment_reset = true;
        } else if (adjustment) {
            if (adjustment_read(c, node, clock, adjustment) < 0)
                return -1;
            /* A fixed distance is what "variable" means; libvirt rewrites it so. */
            clock->basis = clock->offset == CLOCK_LOCALTIME ? CLOCK_BASIS_LOCALTIME : CLOCK_BASIS_UTC;
            clock->offset = CLOCK_VARIABLE;
        }
        break;
    case CLOCK_VARIABLE:
        if (adjustment && adjustment_read(c, node, clock, adjustment) < 0)
            return -1;
        if (attr_enum(c, node, "basis", clock_basis_names, CLOCK_BASIS_MAX, &clock->basis) < 0)
            return -1;
        if (!clock->basis)
            clock->basis = CLOCK_BASIS_UTC;
        break;
    case CLOCK_TIMEZONE:
        if (!clock->timezone)
            return missing_attr(c, node, "timezone");
        break;
    case CLOCK_ABSOLUTE:
        if (!clock->start.set)
            return missing_attr(c, node, "start");
        if (clock->start.v > LAST_DATE) {
            g_autofree char *start = node_attr(node, "start");
            return unsupported_value(c, node, "start", start, "seconds since 1970 of a date before the year 10000");
        }
        break;
    default:
        break;
    }
    return 0;
}
TABLE(clock_table, "clock", ClockDef, .finish = clock_finish);
