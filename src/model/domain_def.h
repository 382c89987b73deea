/* model/domain_def.h - the definition of a machine as data
 *
 * What <domain> says, nothing about a process.  A DomainDef is built by the parser, completed once by domain_def_complete(), then
 * published and from there immutable: a change copies, edits the copy, swaps.  Zero-filled memory is a valid empty definition:
 * NULL strings, 0 enums ("not given") and unset Opt values mean absent.  Enum values follow their string tables (model/enums.h).
 */
#pragma once

#include <stdio.h>

#include "model/forward.h"
#include "model/enums.h"

/* A number that may be absent. */
typedef struct OptU64 {
    bool set;
    uint64_t v;
} OptU64;

typedef struct OptI64 {
    bool set;
    int64_t v;
} OptI64;

/* ---- addresses ------------------------------------------------------------------------------------------------------------- */

typedef struct PciAddress {
    uint32_t domain;
    uint32_t bus;
    uint32_t slot;
    uint32_t function;
    TriState multifunction;
} PciAddress;

typedef struct DeviceAddress {
    AddressType type; /* ADDRESS_NONE: not assigned yet */
    union {
        PciAddress pci;
        struct {
            uint32_t controller, bus, target, unit;
        } drive;
        struct {
            uint32_t controller, bus, port;
        } virtio_serial;
        struct {
            uint32_t controller, slot;
        } ccid;
        struct {
            uint32_t bus;
            char port[32]; /* "1" or "1.2.3" */
        } usb;
        struct {
            OptU64 iobase, irq;
        } isa;
    };
} DeviceAddress;

/* Head of every device struct. */
typedef struct DeviceInfo {
    char *alias; /* live only, or a user alias "ua-…" */
    DeviceAddress addr;
    OptU64 boot_order;     /* <boot order=> of the device */
    char *load_parm;
    TriState rom_bar, rom_enabled;
    char *rom_file;
    OptU64 acpi_index;
} DeviceInfo;

/* ---- disks ----------------------------------------------------------------------------------------------------------------- */

/* One image: the top of a chain or a backing image. */
typedef struct StorageSource {
    StorageType type;      /* file, block, network (nbd alone); others are refused for now */
    char *path;            /* file= or dev=; the export's name, "" for none; NULL: empty drive */
    char *nbd_host, *nbd_socket; /* network: one of them */
    unsigned nbd_port;     /* with nbd_host */
    TriState nbd_tls;      /* no; of a running machine always said */
    OptU64 nbd_reconnect;  /* seconds for which a lost server may come back */
    char *fdgroup;         /* file only: the descriptors associated with the machine under this name, instead of opening path */
    StorageFormat format;  /* 0: not given */
    OptU64 index;          /* live only: index= */
    TriState relabel;      /* <seclabel relabel=> given on the source */
    struct StorageSource *backing; /* <backingStore>; NULL: not given or end */
    bool backing_ends;     /* an empty <backingStore/> ends the chain */
    bool detected;         /* found by reading the image above, not given by the user: shown live only */
    bool fd_writable;      /* a start's own: an image the guest only reads whose group has a read-write descriptor alone */
    OptU64 slice_offset, slice_size;
    uint64_t threshold;    /* live only: clients hear when something is written beyond it; 0: none */
    bool threshold_indexed; /* it was set by "vda[2]" */
} StorageSource;

/* Images are part of a definition and freed with it; alone they are the owner's.  Copy and free take all images below along. */
StorageSource *storage_source_new(void);
StorageSource *storage_source_copy(const StorageSource *s);
void storage_source_free(StorageSource *s);
/* Whether both are the same file, device or export, by their names; what is below them does not count.  Pure. */
bool storage_source_same_place(const StorageSource *a, const StorageSource *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StorageSource, storage_source_free)

typedef struct DiskIoTune {
    uint64_t total_bytes_sec, read_bytes_sec, write_bytes_sec;
    uint64_t total_iops_sec, read_iops_sec, write_iops_sec;
    uint64_t total_bytes_sec_max, read_bytes_sec_max, write_bytes_sec_max;
    uint64_t total_iops_sec_max, read_iops_sec_max, write_iops_sec_max;
    uint64_t size_iops_sec;
    char *group_name;
    uint64_t total_bytes_sec_max_length, read_bytes_sec_max_length, write_bytes_sec_max_length;
    uint64_t total_iops_sec_max_length, read_iops_sec_max_length, write_iops_sec_max_length;
} DiskIoTune;

typedef struct DiskDef {
    DeviceInfo info;
    DiskDevice device; /* disk, cdrom, floppy, lun */
    StorageSource *src; /* never NULL after parse */
    /* <driver> */
    char *driver_name;
    DiskCache cache;
    DiskErrorPolicy error_policy, rerror_policy;
    DiskIo io;
    TriState ioeventfd, event_idx, copy_on_read, discard_no_unref;
    DiskDiscard discard;
    DiskDetectZeroes detect_zeroes;
    OptU64 queues, queue_size, iothread;
    /* <target> */
    char *dst; /* vda */
    DiskBus bus;
    DiskTray tray;
    TriState removable;
    OptU64 rotation_rate;
    DiskModel model;
    StartupPolicy startup_policy;
    char *serial, *wwn, *vendor, *product;
    bool readonly, shareable, transient;
    OptU64 logical_block_size, physical_block_size;
    OptU64 cyls, heads, secs;
    DiskIoTune iotune;
    SnapshotLocation snapshot;
    StorageSource *mirror; /* live only: where a copy or an active commit goes; NULL: none */
    MirrorJob mirror_job;
    MirrorState mirror_state;
} DiskDef;

/* <disk> as BLOCK_COPY names its target: type, <driver type=> and <source> only.  Caller frees. */
StorageSource *mirror_target_parse(const char *xml, Err *err);

/* ---- controllers, network, characters -------------------------------------------------------------------------------------- */

typedef struct ControllerDef {
    DeviceInfo info;
    ControllerType type;
    OptU64 index;
    ControllerModel model; /* 0: not given; which values fit depends on type (model/enums.h) */
    OptU64 queues, cmd_per_lun, max_sectors, iothread; /* scsi <driver> */
    OptU64 ports;   /* usb (nec-xhci, qemu-xhci), virtio-serial */
    OptU64 vectors; /* virtio-serial */
    /* pci */
    PciModelName pci_model_name;
    OptU64 pci_chassis_nr, pci_chassis, pci_port, pci_bus_nr, pci_numa_node, pci_hole64_kib;
    TriState pci_hotplug;
    OptU64 usb_master_startport; /* ich9 companions: <master startport=> */
} ControllerDef;

typedef struct NetDef {
    DeviceInfo info;
    NetType type;      /* user, ethernet, bridge, network (kept, refused at start until networks exist) … */
    uint8_t mac[6];
    bool mac_given;    /* false: generated at define and kept from there on */
    MacType mac_type;
    char *source;      /* bridge=, network=, dev= by type */
    char *portgroup, *network_mode;
    char *ifname;      /* <target dev=> */
    TriState target_managed;
    char *model;       /* "virtio", "e1000", …; text because QEMU decides */
    NetLinkState link;
    NetBackendDriver driver_name;
    OptU64 queues, rx_queue_size, tx_queue_size;
    TriState event_idx, ioeventfd;
    NetTxMode txmode;
    char *script, *downscript, *guest_ifname;
    OptU64 mtu;
    char *filter;      /* <filterref filter=> */
    GPtrArray *ips;    /* NetIpDef*, <ip family= address= prefix=> for type user */
    TriState trust_guest_rx_filters;
    TriState port_isolated;
    OptU64 sndbuf;
} NetDef;

typedef struct NetIpDef {
    char *family, *address;
    OptU64 prefix;
} NetIpDef;

/* Host side of a character device. */
typedef struct ChrSource {
    ChrType type; /* pty, unix, file, tcp, udp, null, dev, pipe, stdio, vc, spicevmc … */
    char *path;   /* pty (live: filled in), unix, file, dev, pipe */
    ChrMode mode; /* bind, connect (unix, tcp) */
    char *host, *service;           /* tcp, udp */
    char *bind_host, *bind_service; /* udp */
    TcpProtocol protocol;           /* raw, telnet, telnets, tls */
    TriState tls, append;
    char *log_file;
    TriState log_append;
    OptU64 reconnect_timeout;
    TriState reconnect_enabled;
    char *channel;                  /* spiceport */
} ChrSource;

typedef struct ChrDef {
    DeviceInfo info;
    ChrKind kind; /* serial, parallel, console, channel */
    ChrSource source;
    ChrTargetType target_type;   /* isa-serial, virtio, serial, guestfwd … by kind; 0: not given */
    ChrTargetModel target_model; /* serial: isa-serial, 16550a … */
    OptU64 target_port;
    char *target_name;           /* channel virtio name= */
    char *target_address;        /* guestfwd */
    ChannelState target_state;   /* live: connected, disconnected */
} ChrDef;

/* ---- other devices --------------------------------------------------------------------------------------------------------- */

typedef struct InputDef {
    DeviceInfo info;
    InputType type; /* mouse, tablet, keyboard, passthrough, evdev */
    InputBus bus;   /* ps2, usb, virtio */
    InputModel model;
    char *evdev; /* <source evdev=> / dev= */
} InputDef;

typedef struct ListenDef {
    ListenType type; /* address, network, socket, none */
    char *address, *network, *socket;
    bool from_config;   /* filled in from qemu.conf, not by the user: shown live only */
    bool auto_socket;
} ListenDef;

typedef struct GraphicsDef {
    DeviceInfo info;
    GraphicsType type; /* vnc; spice, sdl, egl-headless … parsed and refused at start */
    int port;          /* 0: none given; -1: automatic and not running */
    bool autoport, port_reserved;
    int websocket;     /* 0: none; -1 auto */
    char *keymap, *password, *password_valid_to;
    GraphicsConnected connected;
    VncSharePolicy share_policy;
    TriState power_control;
    GPtrArray *listens; /* ListenDef* */
} GraphicsDef;

typedef struct VideoDef {
    DeviceInfo info;
    VideoType type; /* vga, cirrus, qxl, virtio, bochs, ramfb, none … */
    OptU64 ram, vram, vram64, vgamem, heads;
    TriState primary, blob;
    TriState accel2d, accel3d;
    OptU64 res_x, res_y;
    char *driver_name;
} VideoDef;

typedef struct WatchdogDef {
    DeviceInfo info;
    WatchdogModel model;
    WatchdogAction action;
} WatchdogDef;

typedef struct MemballoonDef {
    DeviceInfo info;
    MemballoonModel model; /* virtio, none … */
    TriState autodeflate, free_page_reporting;
    OptU64 period; /* <stats period=> in seconds */
} MemballoonDef;

typedef struct RngDef {
    DeviceInfo info;
    RngModel model;
    RngBackend backend; /* random, egd, builtin */
    char *device;       /* random: /dev/urandom */
    OptU64 rate_bytes, rate_period;
    ChrSource *egd;
} RngDef;

typedef struct PanicDef {
    DeviceInfo info;
    PanicModel model;
} PanicDef;

typedef struct SoundDef {
    DeviceInfo info;
    SoundModel model;
} SoundDef;

/* A USB hub: the only kind there is. */
typedef struct HubDef {
    DeviceInfo info;
} HubDef;

/* The host side of sound; type none is what a definition with vnc gets. */
typedef struct AudioDef {
    DeviceInfo info;
    OptU64 id;
    AudioType type;
} AudioDef;

/* ---- machine --------------------------------------------------------------------------------------------------------------- */

typedef struct CpuFeature {
    char *name;
    CpuFeaturePolicy policy;
} CpuFeature;

typedef struct CpuDef {
    bool given; /* there is a <cpu> */
    CpuMode mode;
    CpuMatch match;
    CpuCheck check;
    TriState migratable;
    char *model, *vendor, *vendor_id;
    CpuFallback fallback;
    OptU64 sockets, dies, clusters, cores, threads; /* <topology>; sockets unset: no topology */
    OptU64 maxphysaddr_bits;
    GPtrArray *features; /* CpuFeature* */
    CpuCacheMode cache_mode;
    OptU64 cache_level;
} CpuDef;

typedef struct TimerDef {
    TimerName name;
    TimerTickPolicy tickpolicy;
    TriState present;
    TimerTrack track;
    TimerMode mode;
    OptU64 frequency;
    uint64_t catchup_threshold, catchup_slew, catchup_limit; /* for other hypervisors; 0: not given */
} TimerDef;

typedef struct ClockDef {
    ClockOffset offset; /* utc, localtime, variable, timezone, absolute */
    OptI64 adjustment;
    bool adjustment_reset;
    ClockBasis basis;
    char *timezone;
    OptU64 start;
    GPtrArray *timers; /* TimerDef* */
} ClockDef;

typedef struct OsDef {
    char *type;    /* "hvm" */
    char *arch;    /* "x86_64" */
    char *machine; /* canonical after define */
    char *kernel, *initrd, *cmdline, *dtb;
    char *loader;
    TriState loader_readonly, loader_secure;
    char *loader_type, *nvram, *firmware;
    int boot[5];   /* BootDevice, in order; n_boot of them */
    unsigned n_boot;
    TriState bootmenu;
    OptU64 bootmenu_timeout;
    TriState bios_serial;
    OptI64 reboot_timeout;
    char *smbios_mode;
} OsDef;

/* Features with a plain state; more are kept as unknown and refused by validation. */
typedef struct FeaturesDef {
    bool acpi, pae;
    bool apic;
    TriState apic_eoi, vmport, pmu, smm, hap, htm;
    OptU64 smm_tseg_mib;
    bool kvm_hidden;
    bool viridian;
} FeaturesDef;

typedef struct DomainDef {
    gint refs;
    VirtType virt; /* <domain type=> */
    int id;        /* -1 when not running; set by whoever starts it */
    char *name;
    uint8_t uuid[UUID_LEN];
    char *title, *description;
    char *metadata; /* serialized <metadata> element, or NULL (model/metadata.c) */
    uint64_t max_memory_kib, cur_memory_kib; /* <memory>, <currentMemory> */
    TriState dump_core;
    unsigned max_vcpus, cur_vcpus; /* <vcpu current=>; cur == max when not given */
    VcpuPlacement vcpu_placement;
    char *vcpu_cpuset;
    char *resource_partition;
    OsDef os;
    FeaturesDef features;
    CpuDef cpu;
    CpuDef cpu_asked; /* live only: <cpu> as it was before QEMU said what became of it; given is false: no difference */
    ClockDef clock;
    LifecycleAction on_poweroff, on_reboot, on_crash;
    TriState pm_s3, pm_s4;
    char *emulator;
    GPtrArray *disks, *controllers, *nets, *serials, *parallels, *consoles, *channels, *inputs, *graphics, *videos, *sounds,
        *audios, *hubs, *rngs, *panics, *watchdogs; /* of the struct above; never NULL after domain_def_new */
    MemballoonDef *memballoon;
    GPtrArray *qemu_args; /* char*, <qemu:commandline> */
    GPtrArray *qemu_env;  /* char* "NAME=value" */
    /* live only */
    SeclabelType seclabel; /* <seclabel model='dac'> as the user wrote it */
    char *seclabel_dac; /* "+64055:+64055" of the running guest */
} DomainDef;

DomainDef *domain_def_new(void);
DomainDef *domain_def_ref(const DomainDef *d);
void domain_def_unref(DomainDef *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainDef, domain_def_unref)
/* Deep copy, writable, one reference. */
DomainDef *domain_def_copy(const DomainDef *d);
/* Remembers <cpu> as cpu_asked, before it is changed to what the running guest has.  `d` is the caller's own. */
void domain_def_keep_asked_cpu(DomainDef *d);
/* The other way: <cpu> is what was asked for again.  `d` is the caller's own. */
void domain_def_take_asked_cpu(DomainDef *d);
/* Orders disks and controllers as if `d`, the caller's own, had been written and read again. */
void domain_def_resort(DomainDef *d);

/* ---- parse and format (model/domain_parse.c, domain_format.c) -------------------------------------------------------------- */

typedef enum {
    PARSE_INACTIVE = 1 << 0, /* ignore live-only parts: ids, aliases not given by the user, pty paths, automatic ports */
    PARSE_VALIDATE = 1 << 1, /* unknown elements and attributes are errors naming path and line */
    PARSE_STATUS = 1 << 2,   /* the status file's form: keep everything, no completion */
    PARSE_OWN = 1 << 3,      /* from a file of ours, which may be larger and deeper than what clients send; devices stay in its order */
} ParseFlags;

/* Parses <domain> text.  Unknown elements are collected in ret_unknown ("/domain/devices/foo line 7"; may be NULL) and ignored. */
DomainDef *domain_def_parse(const char *xml, ParseFlags flags, GPtrArray *ret_unknown, Err *err);

typedef enum {
    FORMAT_INACTIVE = 1 << 0,   /* as stored: no ids, no live parts */
    FORMAT_SECURE = 1 << 1,     /* with passwords */
    FORMAT_MIGRATABLE = 1 << 2, /* for an older peer: without automatically added parts it cannot know */
    FORMAT_STATUS = 1 << 3,     /* for the status file */
} FormatFlags;

/* Renders the definition exactly as libvirt 9.0 shows it.  Caller frees. */
char *domain_def_format(const DomainDef *d, FormatFlags flags);

/* What completion must know of the host and the binary; filled in by the caller (src/qemu), so that model stays pure data. */
typedef struct CompleteEnv {
    const char *(*emulator_for)(void *ud, const char *arch, VirtType virt); /* default <emulator> */
    const char *(*machine_default)(void *ud, const char *emulator);        /* canonical machine name */
    const char *(*machine_canonical)(void *ud, const char *emulator, const char *machine); /* NULL: unknown machine */
    const char *(*machine_default_cpu)(void *ud, const char *emulator, const char *machine, VirtType virt);
    const char *host_arch;
    const uint8_t *mac_prefix; /* 3 bytes, 52:54:00 */
    void *ud;
} CompleteEnv;

/* Fills in defaults (emulator, machine, controllers, addresses, mac, uuid, console from serial, video, input, memballoon …) exactly
 * once, so that nothing moves later: a completed definition completed again is unchanged.  Errors name element and allowed values. */
int domain_def_complete(DomainDef *d, const CompleteEnv *env, Err *err);
/* Whole-definition checks: duplicates, address conflicts, impossible combinations, parts not supported by Berth
 * (VIR_ERR_CONFIG_UNSUPPORTED naming the element). */
int domain_def_validate(const DomainDef *d, Err *err);
/* Whether it has what domain_def_complete() gives every definition: asked of what comes from a file, where nothing is filled in.  -1 with
 * VIR_ERR_XML_ERROR naming what is missing. */
int domain_def_check_whole(const DomainDef *d, Err *err);
/* Live-only: aliases ("virtio-disk0", "net0" …) for devices without one.  At start. */
void domain_def_assign_aliases(DomainDef *d);
/* Parse one device element for attach/update; *ret_kind tells the struct. */
void *device_def_parse(const char *xml, ParseFlags flags, DeviceKind *ret_kind, Err *err);

/* Metadata (model/metadata.c): type is VIR_DOMAIN_METADATA_*; uri and key as in the API.  get: caller frees, error
 * VIR_ERR_NO_DOMAIN_METADATA; set: NULL text removes. */
char *domain_def_get_metadata(const DomainDef *d, int type, const char *uri, Err *err);
int domain_def_set_metadata(DomainDef *d, int type, const char *text, const char *key, const char *uri, Err *err);

/* Makes `src` name another image (`path` is copied): what was told of the old one alone goes, chain and index too. */
void storage_source_replace(StorageSource *src, StorageType type, const char *path, StorageFormat format);

/* Look-ups over a definition. */
DiskDef *domain_def_find_disk(const DomainDef *d, const char *target_or_path);
NetDef *domain_def_find_net(const DomainDef *d, const char *ifname_or_mac);
DeviceInfo *domain_def_find_alias(const DomainDef *d, const char *alias, DeviceKind *ret_kind);

/* ---- devices by kind (model/dom_devices.c) ---------------------------------------------------------------------------------- */

/* The list of a kind, borrowed; NULL for memballoon, which is one pointer. */
GPtrArray *domain_def_devices(const DomainDef *d, DeviceKind kind);
/* Takes the device of this alias out of `d`, the caller's own; its kind, or 0 when there is none. */
DeviceKind domain_def_remove_alias(DomainDef *d, const char *alias);
void device_def_free(DeviceKind kind, void *dev);
void *device_def_copy(DeviceKind kind, const void *dev);
/* The element alone, unindented.  Caller frees. */
char *device_def_format(DeviceKind kind, const void *dev, FormatFlags flags);

/* ---- differences (model/diff.c) ---------------------------------------------------------------------------------------------- */

/* Called once a difference: "disk/target/@dev" and its DefFieldFlags. */
typedef enum {
    DEF_FIELD_LIVE = 1 << 1, /* may change on a running guest */
    DEF_FIELD_ABI = 1 << 2,  /* the guest sees it */
} DefFieldFlags;
typedef void (*DefChangedFn)(void *ud, const char *path, unsigned flags);

/* Every field that differs; returns how many.  Lists compare by position. */
unsigned domain_def_diff(const DomainDef *a, const DomainDef *b, DefChangedFn changed, void *ud);
unsigned device_def_diff(DeviceKind kind, const void *a, const void *b, DefChangedFn changed, void *ud);
/* Would the guest notice?  -1 with VIR_ERR_CONFIG_UNSUPPORTED naming the first field of the ABI that differs. */
int domain_def_check_abi(const DomainDef *src, const DomainDef *dst, Err *err);
/* May `from` become `to` on a running guest?  -1 with VIR_ERR_OPERATION_UNSUPPORTED naming the first field that cannot change. */
int device_def_check_update(DeviceKind kind, const void *from, const void *to, Err *err);

/* A table of every element and attribute, supported or refused, as Markdown (model/support.c). */
void model_support_print(FILE *out);
