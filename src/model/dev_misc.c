/* model/dev_misc.c - watchdog, memballoon, rng, panic, sound, audio
 *
 * Owns:    the rows of the small devices
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR
 */
#include "config.h"

#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_XML
#include "model/chr_xml.h"

/* ---- watchdog -------------------------------------------------------------------------------------------------------------- */

static const Field watchdog_table_fields[] = {
    A_ENUM("model", WatchdogDef, model, watchdog_model_names, WATCHDOG_MODEL_MAX, REQUIRED | ABI | UNSUPPORTED),
    A_ENUM("action", WatchdogDef, action, watchdog_action_names, WATCHDOG_MAX, LIVE | UNSUPPORTED),
    INFO_ROWS,
};
static void watchdog_init(void *base)
{
    ((WatchdogDef *)base)->action = WATCHDOG_RESET;
}
TABLE(watchdog_table, "watchdog", WatchdogDef, .init = watchdog_init);

/* ---- memballoon ------------------------------------------------------------------------------------------------------------ */

static const Field stats_table_fields[] = {A_OPT("period", MemballoonDef, period, LIVE, UINT32_MAX)};
GROUP_TABLE(stats_table, "stats");
static const Field balloon_driver_table_fields[] = {REFUSE("@iommu"), REFUSE("@ats"), REFUSE("@packed"),
                                                    REFUSE("@page_per_vq")};
GROUP_TABLE(balloon_driver_table, "driver");

static const Field memballoon_table_fields[] = {
    A_ENUM("model", MemballoonDef, model, memballoon_model_names, MEMBALLOON_MAX, REQUIRED | ABI),
    A_ONOFF("autodeflate", MemballoonDef, autodeflate, ABI),
    A_ONOFF("freePageReporting", MemballoonDef, free_page_reporting, ABI),
    GROUP("stats", stats_table, LIVE),
    INFO_ROWS,
    GROUP("driver", balloon_driver_table, 0),
};

static int memballoon_finish(ParseCtx *c, xmlNode *node, void *base)
{
    MemballoonDef *m = base;
    if (m->period.set && !m->period.v)
        m->period.set = false;
    for (xmlNode *n = node->next; n; n = n->next) {
        if (node_is(n, "memballoon"))
            return err_set_full(c->err, VIR_FROM_DOMAIN, VIR_ERR_INTERNAL_ERROR, 0, "only a single memory balloon device is supported");
    }
    return 0;
}
TABLE(memballoon_table, "memballoon", MemballoonDef, .finish = memballoon_finish);

/* ---- rng ------------------------------------------------------------------------------------------------------------------- */

static int backend_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    RngDef *rng = base;
    if (attr_enum_u(c, node, "model", rng_backend_names, RNG_MAX, &rng->backend) < 0)
        return -1;
    switch (rng->backend) {
    case RNG_RANDOM: {
        g_autofree char *device = node_text(node);
        if (*device)
            rng->device = g_steal_pointer(&device);
        return 0;
    }
    case RNG_EGD:
        return refuse_word(c, node, "model");
    case RNG_BUILTIN:
        return 0;
    default:
        return missing_attr(c, node, "model");
    }
}

static void backend_format(FormatCtx *c, const void *base, const Field *f)
{
    const RngDef *rng = base;
    xml_begin(&c->w, "backend");
    xml_attr(&c->w, "model", rng_backend_names[rng->backend]);
    if (rng->device)
        xml_text(&c->w, rng->device);
    xml_end(&c->w);
}
static const FieldHooks backend_hooks = {backend_parse, backend_format};
static const Field backend_doc_table_fields[] = {IGNORE("@model"), REFUSE("@type"), REFUSE("source")};
static const Table backend_doc_table = {
    .element = "backend", .fields = backend_doc_table_fields, .n = N_ELEMENTS(backend_doc_table_fields)};

static const Field rate_table_fields[] = {
    A_OPT("bytes", RngDef, rate_bytes, REQUIRED | NONZERO | LIVE, UINT32_MAX),
    A_OPT("period", RngDef, rate_period, LIVE, UINT32_MAX),
};
GROUP_TABLE(rate_table, "rate");
static const Field rng_driver_table_fields[] = {REFUSE("@iommu"), REFUSE("@ats"), REFUSE("@packed"),
                                                REFUSE("@page_per_vq")};
GROUP_TABLE(rng_driver_table, "driver");

static const Field rng_table_fields[] = {
    A_ENUM("model", RngDef, model, rng_model_names, RNG_MODEL_MAX, REQUIRED | ABI | UNSUPPORTED),
    GROUP("rate", rate_table, 0),
    CUSTOM("backend", backend_hooks, &backend_doc_table, CHECKED),
    GROUP("driver", rng_driver_table, 0),
    INFO_ROWS,
    M_STR("backend", RngDef, device, 0),
    {.name = "backend/@model", .at = AT_MEMORY, .type = T_ENUM, .off = offsetof(RngDef, backend), .flags = 0},
    M_PTR("backend/source", RngDef, egd, chr_source_table, 0),
};

static int rng_finish(ParseCtx *c, xmlNode *node, void *base)
{
    RngDef *rng = base;
    if (!rng->backend)
        return missing_attr(c, node, "backend");
    if (rng->rate_period.set && !rng->rate_period.v)
        rng->rate_period.set = false;
    return 0;
}
TABLE(rng_table, "rng", RngDef, .finish = rng_finish);

/* ---- panic ----------------------------------------------------------------------------------------------------------------- */

static const Field panic_table_fields[] = {
    A_ENUM("model", PanicDef, model, panic_model_names, PANIC_MAX, ABI | NOT_DEFAULT | UNSUPPORTED),
    INFO_ROWS,
};
TABLE(panic_table, "panic", PanicDef, );

/* ---- hub ------------------------------------------------------------------------------------------------------------------- */

static void hub_type_format(FormatCtx *c, const void *base, const Field *f)
{
    xml_attr(&c->w, "type", "usb");
}
static const FieldHooks hub_type_hooks = {NULL, hub_type_format};
static const Field hub_table_fields[] = {
    IGNORE("@type"),
    WRITTEN("type", hub_type_hooks),
    INFO_ROWS,
};
static int hub_finish(ParseCtx *c, xmlNode *node, void *base)
{
    g_autofree char *type = node_attr(node, "type");
    if (!type)
        return missing_attr(c, node, "type");
    return strcmp(type, "usb") == 0 ? 0 : bad_value(c, node, "type", type, "usb");
}
TABLE(hub_table, "hub", HubDef, .finish = hub_finish);

/* ---- sound and audio ------------------------------------------------------------------------------------------------------- */

static const Field sound_table_fields[] = {
    A_ENUM("model", SoundDef, model, sound_model_names, SOUND_MAX, REQUIRED | ABI),
    REFUSE("@multichannel"),
    REFUSE("codec"),
    REFUSE("audio"),
    INFO_ROWS,
};
TABLE(sound_table, "sound", SoundDef, );

static const Field audio_table_fields[] = {
    A_OPT("id", AudioDef, id, REQUIRED | NONZERO, UINT32_MAX),
    A_ENUM("type", AudioDef, type, audio_type_names, AUDIO_MAX, REQUIRED),
    REFUSE("@timerPeriod"),
    REFUSE("@file"),
    REFUSE("@driver"),
    REFUSE("@serverName"),
    REFUSE("@tryMMap"),
    REFUSE("@exclusive"),
    REFUSE("@dspPolicy"),
    REFUSE("input"),
    REFUSE("output"),
};

static int audio_finish(ParseCtx *c, xmlNode *node, void *base)
{
    const AudioDef *a = base;
    return a->type == AUDIO_NONE ? 0 : refuse_word(c, node, "type");
}
TABLE(audio_table, "audio", AudioDef, .finish = audio_finish);
