/* qemu/domcaps.c - the <domainCapabilities> document
 *
 * Owns:    its layout, and the table that ties each value of an enumeration to what QEMU must have for it
 * Threads: workers (probing sleeps)
 * Errors:  VIR_ERR_INVALID_ARG, VIR_ERR_CONFIG_UNSUPPORTED for what a client asked of an emulator that it does not have
 */
#include "config.h"

#include <string.h>

#include "util/xml.h"
#include "qemu/caps_private.h"
#include "qemu/caps_xml.h"
#include "qemu/cpu.h"
#include "qemu/firmware.h"

/* What one document is about. */
typedef struct Ctx {
    const QemuCaps *caps;
    QemuAccel accel;
    const char *arch;
    const char *machine; /* canonical */
    XmlWriter *w;
} Ctx;

static bool is_x86(const Ctx *c)
{
    return strcmp(c->arch, "x86_64") == 0 || strcmp(c->arch, "i686") == 0;
}

/* What Berth itself can do with a QEMU that can: clients choose devices by this document, so it must not promise what a definition
 * would be refused for.  Whoever brings a device turns its line. */
enum {
    DOES_FIRMWARE = 0,  /* <loader>, <nvram>, firmware= */
    DOES_SPICE = 0,
    DOES_LOCAL_DISPLAY = 0, /* sdl, egl-headless, dbus */
    DOES_HOSTDEV = 0,
    DOES_FILESYSTEM = 0,
    DOES_TPM = 0,
    DOES_REDIRDEV = 0,
    DOES_VDAGENT = 0,
    DOES_HYPERV = 0,
    DOES_VMCOREINFO = 0,
    DOES_GENID = 0,
    DOES_BACKUP = 0,
    DOES_IOTHREADS = 0,
    DOES_MEMORY_BACKING = 0,
    DOES_RNG_EGD = 0,
};

/* ---- pieces */

static void begin_supported(const Ctx *c, const char *name, bool yes)
{
    xml_begin(c->w, name);
    xml_attr(c->w, "supported", yes ? "yes" : "no");
}

static void leaf_supported(const Ctx *c, const char *name, bool yes)
{
    begin_supported(c, name, yes);
    xml_end(c->w);
}

static void begin_enum(const Ctx *c, const char *name)
{
    xml_begin(c->w, "enum");
    xml_attr(c->w, "name", name);
}

static void value(const Ctx *c, const char *v)
{
    xml_leaf(c->w, "value", v);
}

/* A value of an enumeration and what makes QEMU have it: a capability, or CAP_ALWAYS. */
typedef struct Value {
    const char *word;
    int cap;
} Value;

#define CAP_ALWAYS (-1)
#define CAP_NEVER (-2)
#define IF(does, cap) ((does) ? (int)(cap) : CAP_NEVER)

static bool has(const Ctx *c, int cap)
{
    if (cap == CAP_NEVER)
        return false;
    return cap == CAP_ALWAYS || qemu_caps_has(c->caps, (QemuCap)cap);
}

static void write_enum(const Ctx *c, const char *name, const Value *values, unsigned n)
{
    begin_enum(c, name);
    for (unsigned i = 0; i < n; i++) {
        if (has(c, values[i].cap))
            value(c, values[i].word);
    }
    xml_end(c->w);
}

#define ENUM(c, name, ...) \
    do { \
        static const Value values_[] = {__VA_ARGS__}; \
        write_enum((c), (name), values_, N_ELEMENTS(values_)); \
    } while (0)

/* ---- os */

static void write_loader(const Ctx *c, const GPtrArray *images, bool secure)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < images->len; i++) {
        const Firmware *f = images->pdata[i];
        if (g_hash_table_add(seen, f->code))
            value(c, f->code);
    }
    ENUM(c, "type", {"rom", CAP_ALWAYS}, {"pflash", CAP_ALWAYS});
    ENUM(c, "readonly", {"yes", CAP_ALWAYS}, {"no", CAP_ALWAYS});
    begin_enum(c, "secure");
    if (secure)
        value(c, "yes");
    value(c, "no");
    xml_end(c->w);
}

static void write_os(const Ctx *c)
{
    g_autoptr(GPtrArray) images = DOES_FIRMWARE ? firmware_list(c->arch, c->machine) : g_ptr_array_new();
    bool uefi = false, bios = false, secure = false;
    for (unsigned i = 0; i < images->len; i++) {
        const Firmware *f = images->pdata[i];
        uefi |= f->uefi;
        bios |= f->bios;
        secure |= f->secure_boot && f->requires_smm;
    }
    begin_supported(c, "os", true);
    begin_enum(c, "firmware");
    if (bios)
        value(c, "bios");
    if (uefi)
        value(c, "efi");
    xml_end(c->w);
    begin_supported(c, "loader", DOES_FIRMWARE);
    if (DOES_FIRMWARE)
        write_loader(c, images, secure);
    xml_end(c->w);
    xml_end(c->w);
}

/* ---- cpu */

static void begin_mode(const Ctx *c, const char *name, bool yes)
{
    xml_begin(c->w, "mode");
    xml_attr(c->w, "name", name);
    xml_attr(c->w, "supported", yes ? "yes" : "no");
}

static void write_features(const Ctx *c, const char *policy, const GPtrArray *names)
{
    for (unsigned i = 0; i < names->len; i++) {
        xml_begin(c->w, "feature");
        xml_attr(c->w, "policy", policy);
        xml_attr(c->w, "name", names->pdata[i]);
        xml_end(c->w);
    }
}

static void write_host_model(const Ctx *c)
{
    g_auto(CpuChoice) ch = {0};
    bool yes = qemu_caps_host_model(c->caps, c->accel, &ch) == 0;
    begin_mode(c, "host-model", yes);
    if (yes) {
        xml_begin(c->w, "model");
        xml_attr(c->w, "fallback", "forbid");
        xml_text(c->w, ch.model);
        xml_end(c->w);
        if (ch.vendor)
            xml_leaf(c->w, "vendor", ch.vendor);
        write_features(c, "require", ch.require);
        write_features(c, "disable", ch.disable);
    }
    xml_end(c->w);
}

static void write_custom_models(const Ctx *c, const QemuCpuModel *models, unsigned n)
{
    bool any = false;
    for (unsigned i = 0; i < n; i++)
        any |= qemu_cpu_model_is_plain(&models[i]);
    begin_mode(c, "custom", any);
    for (unsigned i = 0; i < n; i++) {
        const QemuCpuModel *m = &models[i];
        if (!qemu_cpu_model_is_plain(m))
            continue;
        const char *vendor = qemu_caps_cpu_vendor(c->caps, m->name);
        xml_begin(c->w, "model");
        xml_attr(c->w, "usable", m->usable ? "yes" : is_x86(c) ? "no" : "unknown");
        if (m->deprecated)
            xml_attr(c->w, "deprecated", "yes");
        if (is_x86(c))
            xml_attr(c->w, "vendor", vendor ? vendor : "unknown");
        xml_text(c->w, m->name);
        xml_end(c->w);
    }
    xml_end(c->w);
}

static void write_cpu(const Ctx *c)
{
    unsigned n;
    const QemuCpuModel *models = qemu_caps_cpu_models(c->caps, c->accel, &n);
    bool max = false;
    for (unsigned i = 0; i < n; i++)
        max |= strcmp(models[i].name, "max") == 0;
    bool passthrough = c->accel == QEMU_ACCEL_KVM;
    xml_begin(c->w, "cpu");
    begin_mode(c, "host-passthrough", passthrough);
    if (passthrough)
        ENUM(c, "hostPassthroughMigratable", {"on", CAP_ALWAYS}, {"off", CAP_ALWAYS});
    xml_end(c->w);
    begin_mode(c, "maximum", max);
    if (max)
        ENUM(c, "maximumMigratable", {"on", CAP_ALWAYS}, {"off", CAP_ALWAYS});
    xml_end(c->w);
    write_host_model(c);
    write_custom_models(c, models, n);
    xml_end(c->w);
}

/* ---- devices */

static void write_disk(const Ctx *c)
{
    bool q35 = g_str_has_prefix(c->machine, "pc-q35-"), isa_pc = strcmp(c->machine, "isapc") == 0;
    bool i440fx = g_str_has_prefix(c->machine, "pc-i440fx-");
    begin_supported(c, "disk", true);
    ENUM(c, "diskDevice", {"disk", CAP_ALWAYS}, {"cdrom", CAP_ALWAYS}, {"floppy", CAP_ALWAYS}, {"lun", CAP_ALWAYS});
    begin_enum(c, "bus");
    if (i440fx || isa_pc)
        value(c, "ide");
    if (q35 || i440fx || isa_pc)
        value(c, "fdc");
    if (has(c, QEMU_CAP_VIRTIO_SCSI))
        value(c, "scsi");
    value(c, "virtio");
    if (has(c, QEMU_CAP_USB_STORAGE))
        value(c, "usb");
    if (has(c, QEMU_CAP_AHCI))
        value(c, "sata");
    xml_end(c->w);
    ENUM(c, "model", {"virtio", CAP_ALWAYS}, {"virtio-transitional", CAP_ALWAYS}, {"virtio-non-transitional", CAP_ALWAYS});
    xml_end(c->w);
}

static void write_displays(const Ctx *c)
{
    begin_supported(c, "graphics", true);
    ENUM(c, "type", {"sdl", IF(DOES_LOCAL_DISPLAY, QEMU_CAP_DISPLAY_SDL)}, {"vnc", QEMU_CAP_VNC}, {"spice", IF(DOES_SPICE, QEMU_CAP_SPICE)},
         {"egl-headless", IF(DOES_LOCAL_DISPLAY, QEMU_CAP_DISPLAY_EGL)}, {"dbus", IF(DOES_LOCAL_DISPLAY, QEMU_CAP_DISPLAY_DBUS)});
    xml_end(c->w);
    begin_supported(c, "video", true);
    ENUM(c, "modelType", {"vga", QEMU_CAP_VGA}, {"cirrus", QEMU_CAP_CIRRUS_VGA}, {"vmvga", QEMU_CAP_VMWARE_SVGA}, {"qxl", QEMU_CAP_QXL},
         {"virtio", QEMU_CAP_VIRTIO_GPU}, {"none", CAP_ALWAYS}, {"bochs", QEMU_CAP_BOCHS_DISPLAY}, {"ramfb", QEMU_CAP_RAMFB});
    xml_end(c->w);
}

static void write_hostdev(const Ctx *c)
{
    begin_supported(c, "hostdev", DOES_HOSTDEV);
    if (!DOES_HOSTDEV) {
        xml_end(c->w);
        return;
    }
    ENUM(c, "mode", {"subsystem", CAP_ALWAYS});
    ENUM(c, "startupPolicy", {"default", CAP_ALWAYS}, {"mandatory", CAP_ALWAYS}, {"requisite", CAP_ALWAYS}, {"optional", CAP_ALWAYS});
    ENUM(c, "subsysType", {"usb", QEMU_CAP_USB_HOST}, {"pci", QEMU_CAP_VFIO_PCI}, {"scsi", QEMU_CAP_SCSI_BLOCK});
    begin_enum(c, "capsType");
    xml_end(c->w);
    begin_enum(c, "pciBackend");
    if (node_iommu() && has(c, QEMU_CAP_VFIO_PCI)) {
        value(c, "default");
        value(c, "vfio");
    }
    xml_end(c->w);
    xml_end(c->w);
}

/* Values QEMU names itself in a list of the document ("tpm-models"), in libvirt's order. */
static void write_listed(const Ctx *c, const char *name, const char *key, const char *const *words, unsigned n)
{
    json_t *list = json_object_get(caps_document(c->caps), key), *el;
    begin_enum(c, name);
    for (unsigned i = 0; i < n; i++) {
        size_t k;
        json_array_foreach (list, k, el) {
            if (g_strcmp0(json_string_value(el), words[i]) == 0)
                value(c, words[i]);
        }
    }
    xml_end(c->w);
}

static void write_tpm(const Ctx *c)
{
    static const char *const models[] = {"tpm-tis", "tpm-crb", "tpm-spapr"}, *const backends[] = {"passthrough"};
    bool any = DOES_TPM && json_array_size(json_object_get(caps_document(c->caps), "tpm-models")) > 0;
    begin_supported(c, "tpm", any);
    if (any) {
        write_listed(c, "model", "tpm-models", models, N_ELEMENTS(models));
        /* "emulator" needs swtpm, which this version does not start. */
        write_listed(c, "backendModel", "tpm-types", backends, N_ELEMENTS(backends));
    }
    xml_end(c->w);
}

static void write_devices(const Ctx *c)
{
    xml_begin(c->w, "devices");
    write_disk(c);
    write_displays(c);
    write_hostdev(c);
    begin_supported(c, "rng", has(c, QEMU_CAP_VIRTIO_RNG));
    ENUM(c, "model", {"virtio", CAP_ALWAYS}, {"virtio-transitional", CAP_ALWAYS}, {"virtio-non-transitional", CAP_ALWAYS});
    ENUM(c, "backendModel", {"random", QEMU_CAP_OBJECT_RNG_RANDOM}, {"egd", IF(DOES_RNG_EGD, QEMU_CAP_OBJECT_RNG_EGD)}, {"builtin", QEMU_CAP_OBJECT_RNG_BUILTIN});
    xml_end(c->w);
    begin_supported(c, "filesystem", DOES_FILESYSTEM);
    if (DOES_FILESYSTEM)
        ENUM(c, "driverType", {"path", QEMU_CAP_VIRTIO_9P}, {"handle", QEMU_CAP_VIRTIO_9P}, {"virtiofs", QEMU_CAP_VHOST_USER_FS});
    xml_end(c->w);
    write_tpm(c);
    begin_supported(c, "redirdev", has(c, IF(DOES_REDIRDEV, QEMU_CAP_USB_REDIR)));
    if (DOES_REDIRDEV)
        ENUM(c, "bus", {"usb", CAP_ALWAYS});
    xml_end(c->w);
    begin_supported(c, "channel", true);
    ENUM(c, "type", {"pty", CAP_ALWAYS}, {"unix", CAP_ALWAYS}, {"spicevmc", IF(DOES_SPICE, QEMU_CAP_SPICE)},
         {"qemu-vdagent", IF(DOES_VDAGENT, QEMU_CAP_CHARDEV_QEMU_VDAGENT)});
    xml_end(c->w);
    xml_end(c->w);
}

/* ---- features */

static void write_domain_features(const Ctx *c)
{
    xml_begin(c->w, "features");
    leaf_supported(c, "gic", false);
    leaf_supported(c, "vmcoreinfo", has(c, IF(DOES_VMCOREINFO, QEMU_CAP_VMCOREINFO)));
    leaf_supported(c, "genid", has(c, IF(DOES_GENID, QEMU_CAP_VMGENID)));
    leaf_supported(c, "backingStoreInput", true);
    leaf_supported(c, "backup", DOES_BACKUP);
    leaf_supported(c, "sev", false);
    leaf_supported(c, "sgx", false);
    if (is_x86(c)) {
        begin_supported(c, "hyperv", DOES_HYPERV);
        if (!DOES_HYPERV)
            ;
        else if (c->accel == QEMU_ACCEL_KVM)
            ENUM(c, "features", {"relaxed", CAP_ALWAYS}, {"vapic", CAP_ALWAYS}, {"spinlocks", CAP_ALWAYS}, {"vpindex", CAP_ALWAYS},
                 {"runtime", CAP_ALWAYS}, {"synic", CAP_ALWAYS}, {"stimer", CAP_ALWAYS}, {"reset", CAP_ALWAYS}, {"vendor_id", CAP_ALWAYS},
                 {"frequencies", CAP_ALWAYS}, {"reenlightenment", CAP_ALWAYS}, {"tlbflush", CAP_ALWAYS}, {"ipi", CAP_ALWAYS});
        else
            ENUM(c, "features", {"spinlocks", CAP_ALWAYS}, {"vendor_id", CAP_ALWAYS});
        xml_end(c->w);
    }
    xml_end(c->w);
}

/* ---- the document */

unsigned qemu_caps_max_vcpus(const QemuCaps *caps, QemuAccel accel, const char *machine)
{
    const QemuMachine *m = qemu_caps_machine(caps, machine);
    unsigned limit = accel == QEMU_ACCEL_KVM ? node_kvm_max_vcpus() : 0;
    if (!m)
        return 0;
    return limit && limit < m->max_cpus ? limit : m->max_cpus;
}

static char *write_document(const Ctx *base)
{
    XmlWriter w;
    xml_writer_init(&w);
    Ctx ctx = *base, *c = &ctx;
    ctx.w = &w;
    xml_begin(&w, "domainCapabilities");
    xml_leaf(&w, "path", qemu_caps_binary(c->caps));
    xml_leaf(&w, "domain", c->accel == QEMU_ACCEL_KVM ? "kvm" : "qemu");
    xml_leaf(&w, "machine", c->machine);
    xml_leaf(&w, "arch", c->arch);
    xml_begin(&w, "vcpu");
    xml_attrf(&w, "max", "%u", qemu_caps_max_vcpus(c->caps, c->accel, c->machine));
    xml_end(&w);
    leaf_supported(c, "iothreads", has(c, IF(DOES_IOTHREADS, QEMU_CAP_OBJECT_IOTHREAD)));
    write_os(c);
    write_cpu(c);
    begin_supported(c, "memoryBacking", DOES_MEMORY_BACKING);
    if (DOES_MEMORY_BACKING)
        ENUM(c, "sourceType", {"file", QEMU_CAP_OBJECT_MEMORY_FILE}, {"anonymous", CAP_ALWAYS}, {"memfd", QEMU_CAP_OBJECT_MEMORY_MEMFD});
    xml_end(&w);
    write_devices(c);
    write_domain_features(c);
    xml_end(&w);
    return xml_writer_steal(&w);
}

/* The accelerator asked for, or -1. */
static int accel_of(const QemuCaps *caps, const char *virttype, Err *err)
{
    bool kvm = qemu_caps_accel_usable(caps, QEMU_ACCEL_KVM);
    if (!virttype)
        return kvm ? QEMU_ACCEL_KVM : QEMU_ACCEL_TCG;
    if (strcmp(virttype, "qemu") == 0)
        return QEMU_ACCEL_TCG;
    if (strcmp(virttype, "kvm") != 0)
        return err_set(err, VIR_ERR_INVALID_ARG, "unknown virttype: %s", virttype);
    if (kvm)
        return QEMU_ACCEL_KVM;
    err_set(err, VIR_ERR_INVALID_ARG, "KVM is not supported by '%s' on this host", qemu_caps_binary(caps));
    if (caps_kvm_works())
        return err_hint(err, "the account QEMU runs as may not use /dev/kvm (group kvm?); the log says what QEMU said");
    return err_hint(err, "state of KVM on this host: %s", caps_kvm_state());
}

QemuCaps *domcaps_emulator(QemuCapsCache *cc, const DomCapsRequest *rq, Deadline d, QemuAccel *ret_accel, Err *err)
{
    const char *arch = rq->arch, *binary = rq->emulator;
    if (arch && !qemu_caps_arch_known(arch)) {
        err_set(err, VIR_ERR_INVALID_ARG, "unknown architecture: %s", arch);
        return NULL;
    }
    if (!binary) {
        arch = arch ? arch : node_arch();
        binary = qemu_caps_emulator_for_arch(arch);
        if (!binary) {
            err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "unable to find any emulator to serve '%s' architecture", arch);
            return NULL;
        }
    } else if (binary[0] != '/') {
        err_set(err, VIR_ERR_INVALID_ARG, "path of an emulator must be absolute: %s", binary);
        return NULL;
    }
    g_autoptr(QemuCaps) caps = qemu_caps_get(cc, binary, d, err);
    if (!caps)
        return NULL;
    bool i686_by_x86_64 = arch && strcmp(arch, "i686") == 0 && strcmp(qemu_caps_arch(caps), "x86_64") == 0;
    if (arch && strcmp(arch, qemu_caps_arch(caps)) != 0 && !i686_by_x86_64) {
        err_set(err, VIR_ERR_INVALID_ARG, "architecture from emulator '%s' doesn't match given architecture '%s'", qemu_caps_arch(caps), arch);
        return NULL;
    }
    int accel = accel_of(caps, rq->virttype, err);
    if (accel < 0)
        return NULL;
    *ret_accel = (QemuAccel)accel;
    return g_steal_pointer(&caps);
}

char *domcapabilities_xml(QemuCapsCache *cc, const DomCapsRequest *rq, Deadline d, Err *err)
{
    QemuAccel accel;
    g_autoptr(QemuCaps) caps = domcaps_emulator(cc, rq, d, &accel, err);
    if (!caps)
        return NULL;
    const char *machine = rq->machine ? qemu_caps_machine_canonical(caps, rq->machine) : qemu_caps_default_machine(caps);
    if (!machine) {
        err_set(err, VIR_ERR_INVALID_ARG, "the machine '%s' is not supported by emulator '%s'", rq->machine ? rq->machine : "",
                qemu_caps_binary(caps));
        return NULL;
    }
    Ctx ctx = {.caps = caps, .accel = accel, .arch = rq->arch ? rq->arch : rq->emulator ? qemu_caps_arch(caps) : node_arch(), .machine = machine};
    return write_document(&ctx);
}
