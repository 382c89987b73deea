/* model/complete.c - the defaults of a definition, filled in once
 *
 * Owns:    what a user may leave out: emulator, machine, cpu, clock, consoles, inputs, video, balloon, addresses …
 * Threads: any; the definition is the caller's own
 * Errors:  VIR_ERR_XML_ERROR, VIR_ERR_CONFIG_UNSUPPORTED, VIR_ERR_INVALID_ARG
 *
 * Everything chosen here is stored, so nothing moves later: completing a completed definition changes nothing.
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/complete.h"
#include "util/uuid.h"

/* ---- machine --------------------------------------------------------------------------------------------------------------- */

static int complete_machine(DomainDef *d, const CompleteEnv *env, Err *err)
{
    OsDef *os = &d->os;
    if (!os->type)
        return err_set(err, VIR_ERR_XML_ERROR, "an os <type> must be specified");
    if (strcmp(os->type, "hvm") != 0)
        return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_CONFIG_UNSUPPORTED, 0, "os type '%s' is not supported, allowed: hvm", os->type);
    if (!os->arch)
        os->arch = g_strdup(env->host_arch);
    if (!d->emulator) {
        const char *emulator = env->emulator_for(env->ud, os->arch, d->virt);
        const char *other = emulator ? NULL : env->emulator_for(env->ud, os->arch, VIRT_QEMU);
        if (other)
            return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_CONFIG_UNSUPPORTED, 0, "Emulator '%s' does not support virt type '%s'", other,
                                virt_type_names[d->virt]);
        if (!emulator)
            return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_CONFIG_UNSUPPORTED, 0, "No emulator found for arch '%s'", os->arch);
        d->emulator = g_strdup(emulator);
    }
    const char *machine = os->machine ? env->machine_canonical(env->ud, d->emulator, os->machine)
                                      : env->machine_default(env->ud, d->emulator);
    if (!machine)
        return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_CONFIG_UNSUPPORTED, 0, "Emulator '%s' does not support machine type '%s'", d->emulator,
                            os->machine ? os->machine : "(default)");
    if (!os->machine || strcmp(os->machine, machine) != 0) {
        g_free(os->machine);
        os->machine = g_strdup(machine);
    }
    return 0;
}

static int complete_size(DomainDef *d, Err *err)
{
    if (!d->max_memory_kib)
        return err_set(err, VIR_ERR_XML_ERROR, "Memory size must be specified via <memory> or in the <numa> configuration");
    if (!d->cur_memory_kib || d->cur_memory_kib > d->max_memory_kib)
        d->cur_memory_kib = d->max_memory_kib;
    if (!d->max_vcpus)
        d->max_vcpus = d->cur_vcpus = 1;
    if (!d->vcpu_placement)
        d->vcpu_placement = VCPU_PLACEMENT_STATIC;
    static const uint8_t none[UUID_LEN];
    if (memcmp(d->uuid, none, UUID_LEN) == 0)
        uuid_generate(d->uuid);
    return 0;
}

static void complete_lifecycle(DomainDef *d)
{
    if (!d->clock.offset)
        d->clock.offset = CLOCK_UTC;
    if (!d->on_poweroff)
        d->on_poweroff = ON_DESTROY;
    if (!d->on_reboot)
        d->on_reboot = ON_RESTART;
    if (!d->on_crash)
        d->on_crash = ON_DESTROY;
}

/* A disk is booted unless somebody said what to boot. */
static void complete_boot(DomainDef *d)
{
    if (d->os.n_boot)
        return;
    for (int kind = 1; kind < DEVICE_MAX; kind++) {
        GPtrArray *list = domain_def_devices(d, (DeviceKind)kind);
        for (guint i = 0; list && i < list->len; i++) {
            if (((const DeviceInfo *)list->pdata[i])->boot_order.set)
                return;
        }
    }
    d->os.boot[d->os.n_boot++] = BOOT_HD;
}

static void complete_cpu(DomainDef *d, const CompleteEnv *env)
{
    CpuDef *cpu = &d->cpu;
    if (!cpu->mode && !cpu->model) {
        const char *model = env->machine_default_cpu(env->ud, d->emulator, d->os.machine, d->virt);
        if (!model)
            return;
        cpu->given = true;
        cpu->mode = CPU_MODE_CUSTOM;
        cpu->match = CPU_MATCH_EXACT;
        cpu->check = CPU_CHECK_NONE;
        cpu->fallback = CPU_FALLBACK_FORBID;
        cpu->model = g_strdup(model);
        return;
    }
    if (!cpu->mode)
        cpu->mode = CPU_MODE_CUSTOM;
    if (cpu->mode == CPU_MODE_HOST_PASSTHROUGH && !cpu->migratable && (strcmp(d->os.arch, "x86_64") == 0 || strcmp(d->os.arch, "i686") == 0))
        cpu->migratable = TRI_YES; /* what QEMU takes it for */
    if (cpu->mode == CPU_MODE_CUSTOM && !cpu->match)
        cpu->match = CPU_MATCH_EXACT;
    if (cpu->mode == CPU_MODE_CUSTOM && cpu->model && !cpu->fallback)
        cpu->fallback = CPU_FALLBACK_ALLOW;
    if (cpu->mode != CPU_MODE_CUSTOM)
        cpu->match = CPU_MATCH_ABSENT;
    if (!cpu->model)
        cpu->fallback = CPU_FALLBACK_ABSENT;
    if (cpu->check)
        return;
    switch (cpu->mode) {
    case CPU_MODE_HOST_MODEL:
        cpu->check = CPU_CHECK_PARTIAL;
        break;
    case CPU_MODE_CUSTOM:
        /* Under emulation the host's processor decides nothing. */
        cpu->check = d->virt == VIRT_QEMU ? CPU_CHECK_NONE : CPU_CHECK_PARTIAL;
        break;
    default:
        cpu->check = CPU_CHECK_NONE;
        break;
    }
}

/* ---- character devices ----------------------------------------------------------------------------------------------------- */

/* The first console of a PC is its first serial port; whichever of the two was written, the other follows. */
static int complete_consoles(DomainDef *d, Err *err)
{
    ChrDef *first = d->consoles->len ? d->consoles->pdata[0] : NULL;
    for (guint i = 1; i < d->consoles->len; i++) {
        const ChrDef *chr = d->consoles->pdata[i];
        if (!chr->target_type || chr->target_type == CHR_TARGET_SERIAL)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "Only the first console can be a serial port");
    }
    if (first && (!first->target_type || first->target_type == CHR_TARGET_SERIAL)) {
        first->target_type = CHR_TARGET_SERIAL;
        if (!d->serials->len) {
            ChrDef *serial = table_copy(&console_table, first);
            serial->kind = CHR_KIND_SERIAL;
            serial->target_type = CHR_TARGET_ABSENT;
            serial->target_port = (OptU64){true, 0};
            g_ptr_array_add(d->serials, serial);
        }
        return 0;
    }
    if (!d->serials->len)
        return 0;
    const ChrDef *serial = d->serials->pdata[0];
    if (serial->target_type && serial->target_type != CHR_TARGET_ISA_SERIAL)
        return 0;
    ChrDef *console = table_copy(&serial_table, serial);
    console->kind = CHR_KIND_CONSOLE;
    console->target_type = CHR_TARGET_SERIAL;
    console->target_model = CHR_MODEL_ABSENT;
    g_clear_pointer(&console->info.alias, g_free);
    memset(&console->info.addr, 0, sizeof console->info.addr);
    console->target_port = serial->target_port;
    g_ptr_array_insert(d->consoles, 0, console);
    return 0;
}

#define CHR_PORT_MAX UINT32_MAX /* what dev_chr.c reads */

static int number_ports(GPtrArray *list, Err *err)
{
    uint64_t next = 0;
    for (guint i = 0; i < list->len; i++) {
        const ChrDef *chr = list->pdata[i];
        if (chr->target_port.set && chr->target_port.v >= next)
            next = chr->target_port.v + 1;
    }
    for (guint i = 0; i < list->len; i++) {
        ChrDef *chr = list->pdata[i];
        if (chr->target_port.set)
            continue;
        if (next > CHR_PORT_MAX) /* it would be stored, and refused when it is read again */
            return err_set(err, VIR_ERR_XML_ERROR, "no port is left for a serial device beside port %" PRIu64, next - 1);
        chr->target_port = (OptU64){true, next++};
    }
    return 0;
}

static void number_by_place(GPtrArray *list)
{
    for (guint i = 0; i < list->len; i++) {
        ChrDef *chr = list->pdata[i];
        if (!chr->target_port.set)
            chr->target_port = (OptU64){true, i};
    }
}

static void complete_serial(ChrDef *chr)
{
    static const struct {
        ChrTargetType type;
        ChrTargetModel model;
    } models[] = {
        {CHR_TARGET_ISA_SERIAL, CHR_MODEL_ISA_SERIAL},
        {CHR_TARGET_USB_SERIAL, CHR_MODEL_USB_SERIAL},
        {CHR_TARGET_PCI_SERIAL, CHR_MODEL_PCI_SERIAL},
        {CHR_TARGET_ISA_DEBUG, CHR_MODEL_ISA_DEBUGCON},
    };
    if (!chr->target_type) {
        switch (chr->info.addr.type) {
        case ADDRESS_USB:
            chr->target_type = CHR_TARGET_USB_SERIAL;
            break;
        case ADDRESS_PCI:
            chr->target_type = CHR_TARGET_PCI_SERIAL;
            break;
        default:
            chr->target_type = CHR_TARGET_ISA_SERIAL;
            break;
        }
    }
    for (size_t i = 0; i < N_ELEMENTS(models) && !chr->target_model; i++) {
        if (models[i].type == chr->target_type)
            chr->target_model = models[i].model;
    }
}

/* A path a start chose ("…/channel/target/domain-3-name/channel") is of that life, not of the definition. */
static bool is_generated_path(const char *path, const char *channel)
{
    const char *p = strstr(path, "/channel/target/");
    if (!p)
        return false;
    p += strlen("/channel/target/");
    const char *slash = strchr(p, '/');
    if (slash)
        return g_str_has_prefix(p, "domain-") && slash > p + strlen("domain-") && strcmp(slash + 1, channel) == 0;
    /* older daemons': "name.channel" */
    size_t n = strlen(p), tail = strlen(channel);
    return n > tail + 1 && p[n - tail - 1] == '.' && strcmp(p + n - tail, channel) == 0;
}

char *channel_socket_name(const ChrDef *channel)
{
    const DeviceAddress *a = &channel->info.addr;
    if (channel->target_name && *channel->target_name)
        return g_strdup(channel->target_name);
    return g_strdup_printf("vioser-%02u-%02u-%02u.sock", a->virtio_serial.controller, a->virtio_serial.bus, a->virtio_serial.port);
}

void chrs_drop_generated(DomainDef *d)
{
    for (guint i = 0; i < d->channels->len; i++) {
        ChrDef *chr = d->channels->pdata[i];
        ChrSource *s = &chr->source;
        if (chr->target_type != CHR_TARGET_VIRTIO || s->type != CHR_UNIX || s->mode == CHR_MODE_CONNECT || !s->path)
            continue;
        g_autofree char *name = channel_socket_name(chr);
        if (!is_generated_path(s->path, name))
            continue;
        g_clear_pointer(&s->path, g_free);
        s->mode = CHR_MODE_ABSENT;
    }
}

static int complete_chrs(DomainDef *d, Err *err)
{
    chrs_drop_generated(d);
    /* Consoles are numbered as they were written: the mirror of the serial port comes on top. */
    number_by_place(d->consoles);
    number_by_place(d->parallels);
    if (number_ports(d->serials, err) < 0 || complete_consoles(d, err) < 0)
        return -1;
    for (guint i = 0; i < d->serials->len; i++)
        complete_serial(d->serials->pdata[i]);
    return 0;
}

/* ---- devices --------------------------------------------------------------------------------------------------------------- */

static void complete_disks(DomainDef *d)
{
    for (guint i = 0; i < d->disks->len; i++) {
        DiskDef *disk = d->disks->pdata[i];
        if (!disk->driver_name)
            disk->driver_name = g_strdup("qemu");
        if (!disk->bus)
            disk->bus = disk_default_bus(disk);
        if (!disk->src->format)
            disk->src->format = STORAGE_FORMAT_RAW;
    }
}

static void complete_nets(DomainDef *d, const CompleteEnv *env)
{
    for (guint i = 0; i < d->nets->len; i++) {
        NetDef *net = d->nets->pdata[i];
        if (!net->mac_given) {
            memcpy(net->mac, env->mac_prefix, 3);
            if (getrandom(net->mac + 3, 3, 0) != 3)
                g_error("no random bytes from the kernel");
            net->mac_given = true;
        }
        if (!net->model)
            net->model = g_strdup("rtl8139");
    }
}

static void add_input(DomainDef *d, InputType type)
{
    for (guint i = 0; i < d->inputs->len; i++) {
        const InputDef *in = d->inputs->pdata[i];
        if (in->type == type && in->bus == INPUT_BUS_PS2)
            return;
    }
    InputDef *in = table_new(&input_table);
    in->type = type;
    in->bus = INPUT_BUS_PS2;
    g_ptr_array_add(d->inputs, in);
}

static void complete_inputs(DomainDef *d)
{
    for (guint i = 0; i < d->inputs->len; i++) {
        InputDef *in = d->inputs->pdata[i];
        if (in->bus)
            continue;
        /* What the address says; mice and keyboards of a PC are PS/2 otherwise. */
        in->bus = in->info.addr.type == ADDRESS_USB ? INPUT_BUS_USB : in->info.addr.type == ADDRESS_PCI ? INPUT_BUS_VIRTIO : INPUT_BUS_PS2;
    }
    if (domain_def_chipset(d) == CHIPSET_OTHER)
        return;
    add_input(d, INPUT_MOUSE);
    add_input(d, INPUT_KEYBOARD);
}

/* Video memory comes in powers of two: the next one, as libvirt writes it. */
static void round_up(OptU64 *n)
{
    uint64_t power = 1;
    while (power < n->v)
        power <<= 1;
    if (n->set && n->v)
        n->v = power;
}

static void complete_video(VideoDef *v, bool first)
{
    if (!v->type)
        v->type = VIDEO_CIRRUS;
    if (v->type == VIDEO_NONE) {
        /* Nothing has no memory and no heads. */
        v->ram.set = v->vram.set = v->vram64.set = v->vgamem.set = v->heads.set = false;
        v->primary = TRI_ABSENT;
        return;
    }
    switch (v->type) {
    case VIDEO_QXL:
        if (!v->ram.set)
            v->ram = (OptU64){true, 64 * 1024};
        if (!v->vram.set)
            v->vram = (OptU64){true, 64 * 1024};
        if (!v->vgamem.set)
            v->vgamem = (OptU64){true, 16 * 1024};
        break;
    case VIDEO_VGA:
    case VIDEO_CIRRUS:
    case VIDEO_VMVGA:
    case VIDEO_BOCHS:
        if (!v->vram.set)
            v->vram = (OptU64){true, 16 * 1024};
        break;
    default:
        break;
    }
    round_up(&v->ram);
    round_up(&v->vram);
    if (!v->heads.set)
        v->heads = (OptU64){true, 1};
    if (first)
        v->primary = TRI_YES;
}

/* The primary card stands first. */
static void complete_videos(DomainDef *d)
{
    if (!d->videos->len && d->graphics->len) {
        VideoDef *v = table_new(&video_table);
        g_ptr_array_add(d->videos, v);
    }
    for (guint i = 1; i < d->videos->len; i++) {
        VideoDef *v = d->videos->pdata[i];
        if (v->primary == TRI_YES && ((VideoDef *)d->videos->pdata[0])->primary != TRI_YES) {
            g_ptr_array_steal_index(d->videos, i);
            g_ptr_array_insert(d->videos, 0, v);
        }
    }
    for (guint i = 0; i < d->videos->len; i++)
        complete_video(d->videos->pdata[i], i == 0);
}

static void complete_misc(DomainDef *d)
{
    if (!d->memballoon) {
        d->memballoon = table_new(&memballoon_table);
        d->memballoon->model = MEMBALLOON_VIRTIO;
    }
    if (!d->audios->len) {
        AudioDef *audio = table_new(&audio_table);
        audio->id = (OptU64){true, 1};
        audio->type = AUDIO_NONE;
        g_ptr_array_add(d->audios, audio);
    }
    for (guint i = 0; i < d->rngs->len; i++) {
        RngDef *rng = d->rngs->pdata[i];
        if (rng->backend == RNG_RANDOM && !rng->device)
            rng->device = g_strdup("/dev/random");
    }
    for (guint i = 0; i < d->panics->len; i++) {
        PanicDef *panic = d->panics->pdata[i];
        if (!panic->model)
            panic->model = PANIC_ISA;
    }
}

int domain_def_complete(DomainDef *d, const CompleteEnv *env, Err *err)
{
    if (complete_machine(d, env, err) < 0 || complete_size(d, err) < 0)
        return -1;
    complete_lifecycle(d);
    complete_boot(d);
    complete_cpu(d, env);
    complete_disks(d);
    complete_nets(d, env);
    if (complete_chrs(d, err) < 0)
        return -1;
    complete_inputs(d);
    complete_videos(d);
    complete_misc(d);
    if (addr_assign_drives(d, err) < 0 || controllers_settle(d, err) < 0 || controllers_add_default(d, err) < 0 ||
        controllers_add_implied(d, err) < 0 || addr_assign_virtio_serial(d, err) < 0 || addr_assign_usb(d, err) < 0)
        return -1;
    return addr_assign_pci(d, err);
}
