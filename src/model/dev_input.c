/* model/dev_input.c - <input>
 *
 * Owns:    the rows of keyboards, mice and tablets
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR; passthrough: VIR_ERR_CONFIG_UNSUPPORTED
 */
#include "config.h"

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/field.h"

static const Field source_table_fields[] = {
    A_STR("dev", InputDef, evdev, 0),
    REFUSE("@evdev"),
    REFUSE("@grab"),
    REFUSE("@grabToggle"),
    REFUSE("@repeat"),
};
GROUP_TABLE(source_table, "source");

static const Field input_table_fields[] = {
    A_ENUM("type", InputDef, type, input_type_names, INPUT_MAX, REQUIRED | ABI | UNSUPPORTED),
    A_ENUM("bus", InputDef, bus, input_bus_names, INPUT_BUS_MAX, ABI | UNSUPPORTED),
    A_ENUM("model", InputDef, model, input_model_names, INPUT_MODEL_MAX, ABI),
    REFUSE("driver"),
    INFO_HEAD,
    INFO_TAIL,
    GROUP("source", source_table, 0),
};

static int input_finish(ParseCtx *c, xmlNode *node, void *base)
{
    InputDef *in = base;
    if (in->type == INPUT_PASSTHROUGH || in->type == INPUT_EVDEV)
        return refuse_word(c, node, "type");
    if (!in->bus && in->type == INPUT_TABLET)
        in->bus = INPUT_BUS_USB;
    return 0;
}

TABLE(input_table, "input", InputDef, .finish = input_finish);
