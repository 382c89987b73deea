/* model/dom_os.c - <os> and <features>
 *
 * Owns:    how the machine boots and which platform features it has
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/parts.h"

/* ---- <os> ------------------------------------------------------------------------------------------------------------------ */

static const Field type_table_fields[] = {
    A_STR("arch", OsDef, arch, ABI),
    A_STR("machine", OsDef, machine, ABI),
    TXT_STR(OsDef, type, ABI),
};
GROUP_TABLE(type_table, "type");

static const Field loader_table_fields[] = {
    A_YESNO("readonly", OsDef, loader_readonly, ABI),
    A_YESNO("secure", OsDef, loader_secure, ABI),
    A_STR("type", OsDef, loader_type, ABI),
    REFUSE("@stateless"),
    TXT_STR(OsDef, loader, ABI),
};
GROUP_TABLE(loader_table, "loader");

static const Field nvram_table_fields[] = {
    REFUSE("@template"),
    REFUSE("@type"),
    REFUSE("source"),
    TXT_STR(OsDef, nvram, 0),
};
GROUP_TABLE(nvram_table, "nvram");

static int boot_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    OsDef *os = base;
    int dev = 0;
    if (attr_enum(c, node, "dev", boot_device_names, BOOT_MAX, &dev) < 0)
        return -1;
    if (!dev)
        return missing_attr(c, node, "dev");
    for (unsigned i = 0; i < os->n_boot; i++) {
        if (os->boot[i] == dev) /* once is enough, as libvirt sees it */
            return 0;
    }
    if (os->n_boot < N_ELEMENTS(os->boot))
        os->boot[os->n_boot++] = dev;
    return 0;
}

static void boot_format(FormatCtx *c, const void *base, const Field *f)
{
    const OsDef *os = base;
    for (unsigned i = 0; i < os->n_boot; i++) {
        xml_begin(&c->w, "boot");
        xml_attr(&c->w, "dev", boot_device_names[os->boot[i]]);
        xml_end(&c->w);
    }
}
static const FieldHooks boot_hooks = {boot_parse, boot_format};
static const Field boot_doc_table_fields[] = {IGNORE("@dev")};
static const Table boot_doc_table = {.element = "boot", .fields = boot_doc_table_fields, .n = 1};

static const Field bootmenu_table_fields[] = {
    A_YESNO("enable", OsDef, bootmenu, ABI),
    A_OPT("timeout", OsDef, bootmenu_timeout, ABI, 65535),
};
GROUP_TABLE(bootmenu_table, "bootmenu");

static const Field bios_table_fields[] = {
    A_YESNO("useserial", OsDef, bios_serial, ABI),
    A_OPT_INT("rebootTimeout", OsDef, reboot_timeout, ABI),
};
static int bios_finish(ParseCtx *c, xmlNode *node, void *base)
{
    const OsDef *os = base;
    if (os->reboot_timeout.set && (os->reboot_timeout.v < -1 || os->reboot_timeout.v > 65535)) {
        g_autofree char *text = node_attr(node, "rebootTimeout");
        return bad_value(c, node, "rebootTimeout", text, "-1 to 65535");
    }
    return 0;
}
static const Table bios_table = {
    .element = "bios", .fields = bios_table_fields, .n = N_ELEMENTS(bios_table_fields), .finish = bios_finish};

static const Field smbios_table_fields[] = {A_STR("mode", OsDef, smbios_mode, REQUIRED | ABI)};
static int smbios_finish(ParseCtx *c, xmlNode *node, void *base)
{
    OsDef *os = base;
    if (strcmp(os->smbios_mode, "emulate") == 0)
        return 0;
    if (strcmp(os->smbios_mode, "host") == 0 || strcmp(os->smbios_mode, "sysinfo") == 0)
        return refuse_word(c, node, "mode");
    return bad_value(c, node, "mode", os->smbios_mode, "emulate, host, sysinfo");
}
static const Table smbios_table = {.element = "smbios", .fields = smbios_table_fields, .n = 1, .finish = smbios_finish};

static const Field os_table_fields[] = {
    REFUSE("@firmware"),
    GROUP("type", type_table, ABI),
    REFUSE("init"),
    REFUSE("initarg"),
    REFUSE("initenv"),
    REFUSE("initdir"),
    REFUSE("inituser"),
    REFUSE("initgroup"),
    REFUSE("firmware"),
    GROUP("loader", loader_table, ABI),
    GROUP("nvram", nvram_table, 0),
    L_STR("kernel", OsDef, kernel, ABI),
    L_STR("initrd", OsDef, initrd, ABI),
    L_STR("cmdline", OsDef, cmdline, ABI),
    L_STR("dtb", OsDef, dtb, ABI),
    REFUSE("root"),
    REFUSE("acpi"),
    CUSTOM("boot", boot_hooks, &boot_doc_table, ALWAYS | ABI | CHECKED),
    GROUP("bootmenu", bootmenu_table, ABI),
    GROUP("bios", bios_table, ABI),
    GROUP("smbios", smbios_table, ABI),
    M_BYTES("boot", OsDef, boot, ABI),
};

static int os_finish(ParseCtx *c, xmlNode *node, void *base)
{
    OsDef *os = base;
    if (!os->type) {
        if (node_child(node, "type") || !node_child(node, "init"))
            return err_set(c->err, VIR_ERR_XML_ERROR, "an os <type> must be specified: <os><type>hvm</type></os>");
    }
    return 0;
}
const Table os_table = {.element = "os",
                        .size = sizeof(OsDef),
                        .fields = os_table_fields,
                        .n = N_ELEMENTS(os_table_fields),
                        .finish = os_finish};

/* ---- <features> ------------------------------------------------------------------------------------------------------------ */

static int state_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    TriState *slot = (void *)((char *)base + f->off);
    *slot = TRI_YES;
    return attr_enum(c, node, "state", tri_onoff_names, TRI_NO + 1, slot);
}

static void state_format(FormatCtx *c, const void *base, const Field *f)
{
    TriState v = *(const TriState *)(const void *)((const char *)base + f->off);
    if (!v)
        return;
    xml_begin(&c->w, f->name);
    xml_attr(&c->w, "state", tri_onoff_names[v]);
    xml_end(&c->w);
}
static const FieldHooks state_hooks = {state_parse, state_format};
static const Field state_doc_table_fields[] = {IGNORE("@state")};
static const Table state_doc_table = {.element = "feature", .fields = state_doc_table_fields, .n = 1};

static int apic_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    FeaturesDef *ft = base;
    ft->apic = true;
    return attr_enum(c, node, "eoi", tri_onoff_names, TRI_NO + 1, &ft->apic_eoi);
}

static void apic_format(FormatCtx *c, const void *base, const Field *f)
{
    const FeaturesDef *ft = base;
    if (!ft->apic)
        return;
    xml_begin(&c->w, "apic");
    xml_attr(&c->w, "eoi", enum_word(tri_onoff_names, TRI_NO + 1, (int)ft->apic_eoi));
    xml_end(&c->w);
}
static const FieldHooks apic_hooks = {apic_parse, apic_format};

static int smm_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    FeaturesDef *ft = base;
    if (state_parse(c, node, base, f) < 0)
        return -1;
    xmlNode *tseg = node_child(node, "tseg");
    uint64_t kib = 0;
    if (!tseg)
        return 0;
    g_autofree char *unit = node_attr(tseg, "unit");
    if (memory_parse(c, tseg, &kib) < 0)
        return -1;
    if (unit && kib % 1024) {
        g_autofree char *where = node_where(tseg);
        return err_set(c->err, VIR_ERR_CONFIG_UNSUPPORTED, "SMM TSEG size must be divisible by 1 MiB (%s)", where);
    }
    ft->smm_tseg_mib = (OptU64){true, unit ? kib / 1024 : kib};
    return 0;
}

static void smm_format(FormatCtx *c, const void *base, const Field *f)
{
    const FeaturesDef *ft = base;
    if (!ft->smm)
        return;
    xml_begin(&c->w, "smm");
    xml_attr(&c->w, "state", tri_onoff_names[ft->smm]);
    if (ft->smm == TRI_YES && ft->smm_tseg_mib.set) {
        g_autofree char *text = g_strdup_printf("%" PRIu64, ft->smm_tseg_mib.v);
        xml_begin(&c->w, "tseg");
        xml_attr(&c->w, "unit", "MiB");
        xml_text(&c->w, text);
        xml_end(&c->w);
    }
    xml_end(&c->w);
}
static const FieldHooks smm_hooks = {smm_parse, smm_format};

static int kvm_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    FeaturesDef *ft = base;
    for (xmlNode *n = node->children; n; n = n->next) {
        if (n->type != XML_ELEMENT_NODE)
            continue;
        if (!node_is(n, "hidden"))
            return refuse_element(c, n, NULL);
        TriState state = TRI_ABSENT;
        if (attr_enum(c, n, "state", tri_onoff_names, TRI_NO + 1, &state) < 0)
            return -1;
        ft->kvm_hidden = state == TRI_YES;
    }
    return 0;
}

static void kvm_format(FormatCtx *c, const void *base, const Field *f)
{
    if (!((const FeaturesDef *)base)->kvm_hidden)
        return;
    xml_begin(&c->w, "kvm");
    xml_begin(&c->w, "hidden");
    xml_attr(&c->w, "state", "on");
    xml_end(&c->w);
    xml_end(&c->w);
}
static const FieldHooks kvm_hooks = {kvm_parse, kvm_format};

static const Field apic_doc_table_fields[] = {IGNORE("@eoi")};
GROUP_TABLE(apic_doc_table, "apic");
static const Field kvm_doc_table_fields[] = {
    {.name = "hidden", .at = AT_IGNORE, .flags = CHECKED, .sub = &state_doc_table},
    REFUSE("hint-dedicated"),
    REFUSE("poll-control"),
    REFUSE("pv-ipi"),
    REFUSE("dirty-ring"),
};
GROUP_TABLE(kvm_doc_table, "kvm");
static const Field tseg_doc_table_fields[] = {IGNORE("@unit")};
GROUP_TABLE(tseg_doc_table, "tseg");
static const Field smm_doc_table_fields[] = {
    IGNORE("@state"),
    {.name = "tseg", .at = AT_IGNORE, .flags = CHECKED, .sub = &tseg_doc_table},
};
GROUP_TABLE(smm_doc_table, "smm");

#define STATE(n, m)                                                                                                    \
    {.name = n, .at = AT_CUSTOM, .off = offsetof(FeaturesDef, m), .flags = ABI | CHECKED, .hooks = &state_hooks,                \
     .sub = &state_doc_table},                                                                                         \
    {.name = n, .at = AT_MEMORY, .type = T_ONOFF, .off = offsetof(FeaturesDef, m), .flags = ABI}

static const Field features_table_fields[] = {
    FLAG("acpi", FeaturesDef, acpi, ABI),
    CUSTOM("apic", apic_hooks, &apic_doc_table, ABI | CHECKED),
    FLAG("pae", FeaturesDef, pae, ABI),
    STATE("hap", hap),
    FLAG("viridian", FeaturesDef, viridian, ABI),
    REFUSE("privnet"),
    REFUSE("hyperv"),
    CUSTOM("kvm", kvm_hooks, &kvm_doc_table, ABI | CHECKED),
    REFUSE("xen"),
    REFUSE("pvspinlock"),
    REFUSE("capabilities"),
    STATE("pmu", pmu),
    STATE("vmport", vmport),
    REFUSE("gic"),
    {.name = "smm", .at = AT_CUSTOM, .off = offsetof(FeaturesDef, smm), .flags = ABI | CHECKED, .hooks = &smm_hooks, .sub = &smm_doc_table},
    REFUSE("ioapic"),
    REFUSE("hpt"),
    REFUSE("vmcoreinfo"),
    REFUSE("htm"),
    REFUSE("nested-hv"),
    REFUSE("msrs"),
    REFUSE("ccf-assist"),
    REFUSE("cfpc"),
    REFUSE("sbbc"),
    REFUSE("ibs"),
    REFUSE("tcg"),
    REFUSE("async-teardown"),
    {.name = "apic", .at = AT_MEMORY, .type = T_BOOL, .off = offsetof(FeaturesDef, apic), .flags = ABI},
    {.name = "apic/@eoi", .at = AT_MEMORY, .type = T_ONOFF, .off = offsetof(FeaturesDef, apic_eoi), .flags = ABI},
    {.name = "kvm/hidden", .at = AT_MEMORY, .type = T_BOOL, .off = offsetof(FeaturesDef, kvm_hidden), .flags = ABI},
    {.name = "smm/@state", .at = AT_MEMORY, .type = T_ONOFF, .off = offsetof(FeaturesDef, smm), .flags = ABI},
    M_OPT("smm/tseg", FeaturesDef, smm_tseg_mib, ABI),
};

/* A feature nobody knows is an error, not something to be passed over: the machine would not be what was asked for. */
static int features_finish(ParseCtx *c, xmlNode *node, void *base)
{
    for (xmlNode *n = node->children; n; n = n->next) {
        bool known = n->type != XML_ELEMENT_NODE || n->ns;
        for (size_t i = 0; !known && i < N_ELEMENTS(features_table_fields); i++)
            known = node_is(n, features_table_fields[i].name);
        if (!known)
            return err_set_full(c->err, VIR_FROM_DOMAIN, VIR_ERR_CONFIG_UNSUPPORTED, 0, "unexpected feature '%.64s'",
                                (const char *)n->name);
    }
    return 0;
}
TABLE(features_table, "features", FeaturesDef, .finish = features_finish);
