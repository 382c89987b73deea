/* model/enums.h - every enumeration of a definition, with its words
 *
 * One list an enumeration: the C names and the XML words cannot drift apart.  0 is always "not given" (X_ABSENT); where libvirt accepts
 * the word "default" for that, the table's first entry says so.  X_MAX ends each and sizes its table `<type>_names`.
 */
#pragma once

#include "model/forward.h"

#define ENUM_VALUE_(id, word) id,
#define ENUM_WORD_(id, word)  word,

/* Index of `word` in names[first..max), or -1.  names[0] may be NULL. */
int enum_find(const char *const *names, int max, const char *word);
/* Word of a value; NULL when out of range or not given. */
const char *enum_word(const char *const *names, int max, int value);
/* "a, b, c": the allowed words, for error messages.  Caller frees. */
char *enum_list(const char *const *names, int max);

extern const char *const tri_yesno_names[TRI_NO + 1];
extern const char *const tri_onoff_names[TRI_NO + 1];

/* <domain type=>; only qemu and kvm are accepted */
#define VIRT_LIST(X) X(VIRT_QEMU, "qemu") X(VIRT_KVM, "kvm") X(VIRT_KQEMU, "kqemu") X(VIRT_XEN, "xen")                \
    X(VIRT_LXC, "lxc") X(VIRT_UML, "uml") X(VIRT_OPENVZ, "openvz") X(VIRT_TEST, "test") X(VIRT_VMWARE, "vmware")      \
    X(VIRT_HYPERV, "hyperv") X(VIRT_VBOX, "vbox") X(VIRT_PHYP, "phyp") X(VIRT_PARALLELS, "parallels")                 \
    X(VIRT_BHYVE, "bhyve") X(VIRT_VZ, "vz") X(VIRT_HVF, "hvf")
typedef enum {
    VIRT_ABSENT = 0,
    VIRT_LIST(ENUM_VALUE_) VIRT_MAX
} VirtType;
extern const char *const virt_type_names[VIRT_MAX];

/* <address type=>; ADDRESS_NONE: not assigned yet */
#define ADDRESS_LIST(X) X(ADDRESS_PCI, "pci") X(ADDRESS_DRIVE, "drive") X(ADDRESS_VIRTIO_SERIAL, "virtio-serial")     \
    X(ADDRESS_CCID, "ccid") X(ADDRESS_USB, "usb") X(ADDRESS_SPAPR_VIO, "spapr-vio")                                   \
    X(ADDRESS_VIRTIO_S390, "virtio-s390") X(ADDRESS_CCW, "ccw") X(ADDRESS_VIRTIO_MMIO, "virtio-mmio")                 \
    X(ADDRESS_ISA, "isa") X(ADDRESS_DIMM, "dimm") X(ADDRESS_UNASSIGNED, "unassigned")
typedef enum {
    ADDRESS_NONE = 0,
    ADDRESS_LIST(ENUM_VALUE_) ADDRESS_MAX
} AddressType;
extern const char *const address_type_names[ADDRESS_MAX];

#define DISK_DEVICE_LIST(X) X(DISK_DEVICE_DISK, "disk") X(DISK_DEVICE_CDROM, "cdrom")                                 \
    X(DISK_DEVICE_FLOPPY, "floppy") X(DISK_DEVICE_LUN, "lun")
typedef enum {
    DISK_DEVICE_ABSENT = 0,
    DISK_DEVICE_LIST(ENUM_VALUE_) DISK_DEVICE_MAX
} DiskDevice;
extern const char *const disk_device_names[DISK_DEVICE_MAX];

/* <disk type=> */
#define STORAGE_LIST(X) X(STORAGE_FILE, "file") X(STORAGE_BLOCK, "block") X(STORAGE_DIR, "dir")                       \
    X(STORAGE_NETWORK, "network") X(STORAGE_VOLUME, "volume") X(STORAGE_NVME, "nvme")                                 \
    X(STORAGE_VHOSTUSER, "vhostuser")
typedef enum {
    STORAGE_ABSENT = 0,
    STORAGE_LIST(ENUM_VALUE_) STORAGE_MAX
} StorageType;
extern const char *const storage_type_names[STORAGE_MAX];

#define STORAGE_FORMAT_LIST(X) X(STORAGE_FORMAT_RAW, "raw") X(STORAGE_FORMAT_DIR, "dir")                              \
    X(STORAGE_FORMAT_BOCHS, "bochs") X(STORAGE_FORMAT_CLOOP, "cloop") X(STORAGE_FORMAT_DMG, "dmg")                    \
    X(STORAGE_FORMAT_ISO, "iso") X(STORAGE_FORMAT_VPC, "vpc") X(STORAGE_FORMAT_VDI, "vdi")                            \
    X(STORAGE_FORMAT_FAT, "fat") X(STORAGE_FORMAT_VHD, "vhd") X(STORAGE_FORMAT_PLOOP, "ploop")                        \
    X(STORAGE_FORMAT_COW, "cow") X(STORAGE_FORMAT_QCOW, "qcow") X(STORAGE_FORMAT_QCOW2, "qcow2")                      \
    X(STORAGE_FORMAT_QED, "qed") X(STORAGE_FORMAT_VMDK, "vmdk")
typedef enum {
    STORAGE_FORMAT_ABSENT = 0,
    STORAGE_FORMAT_LIST(ENUM_VALUE_) STORAGE_FORMAT_MAX
} StorageFormat;
extern const char *const storage_format_names[STORAGE_FORMAT_MAX];

#define DISK_CACHE_LIST(X) X(DISK_CACHE_NONE, "none") X(DISK_CACHE_WRITETHROUGH, "writethrough")                      \
    X(DISK_CACHE_WRITEBACK, "writeback") X(DISK_CACHE_DIRECTSYNC, "directsync") X(DISK_CACHE_UNSAFE, "unsafe")
typedef enum {
    DISK_CACHE_ABSENT = 0,
    DISK_CACHE_LIST(ENUM_VALUE_) DISK_CACHE_MAX
} DiskCache;
extern const char *const disk_cache_names[DISK_CACHE_MAX];

#define DISK_ERROR_LIST(X) X(DISK_ERROR_STOP, "stop") X(DISK_ERROR_REPORT, "report") X(DISK_ERROR_IGNORE, "ignore")   \
    X(DISK_ERROR_ENOSPACE, "enospace")
typedef enum {
    DISK_ERROR_ABSENT = 0,
    DISK_ERROR_LIST(ENUM_VALUE_) DISK_ERROR_MAX
} DiskErrorPolicy;
extern const char *const disk_error_policy_names[DISK_ERROR_MAX];

#define DISK_IO_LIST(X) X(DISK_IO_NATIVE, "native") X(DISK_IO_THREADS, "threads") X(DISK_IO_IO_URING, "io_uring")
typedef enum {
    DISK_IO_ABSENT = 0,
    DISK_IO_LIST(ENUM_VALUE_) DISK_IO_MAX
} DiskIo;
extern const char *const disk_io_names[DISK_IO_MAX];

#define DISK_DISCARD_LIST(X) X(DISK_DISCARD_UNMAP, "unmap") X(DISK_DISCARD_IGNORE, "ignore")
typedef enum {
    DISK_DISCARD_ABSENT = 0,
    DISK_DISCARD_LIST(ENUM_VALUE_) DISK_DISCARD_MAX
} DiskDiscard;
extern const char *const disk_discard_names[DISK_DISCARD_MAX];

#define DISK_DETECT_ZEROES_LIST(X) X(DISK_DETECT_ZEROES_OFF, "off") X(DISK_DETECT_ZEROES_ON, "on")                    \
    X(DISK_DETECT_ZEROES_UNMAP, "unmap")
typedef enum {
    DISK_DETECT_ZEROES_ABSENT = 0,
    DISK_DETECT_ZEROES_LIST(ENUM_VALUE_) DISK_DETECT_ZEROES_MAX
} DiskDetectZeroes;
extern const char *const disk_detect_zeroes_names[DISK_DETECT_ZEROES_MAX];

#define DISK_BUS_LIST(X) X(DISK_BUS_IDE, "ide") X(DISK_BUS_FDC, "fdc") X(DISK_BUS_SCSI, "scsi")                       \
    X(DISK_BUS_VIRTIO, "virtio") X(DISK_BUS_XEN, "xen") X(DISK_BUS_USB, "usb") X(DISK_BUS_UML, "uml")                 \
    X(DISK_BUS_SATA, "sata") X(DISK_BUS_SD, "sd")
typedef enum {
    DISK_BUS_ABSENT = 0,
    DISK_BUS_LIST(ENUM_VALUE_) DISK_BUS_MAX
} DiskBus;
extern const char *const disk_bus_names[DISK_BUS_MAX];

#define DISK_TRAY_LIST(X) X(DISK_TRAY_CLOSED, "closed") X(DISK_TRAY_OPEN, "open")
typedef enum {
    DISK_TRAY_ABSENT = 0,
    DISK_TRAY_LIST(ENUM_VALUE_) DISK_TRAY_MAX
} DiskTray;
extern const char *const disk_tray_names[DISK_TRAY_MAX];

#define MIRROR_JOB_LIST(X) X(MIRROR_COPY, "copy") X(MIRROR_ACTIVE_COMMIT, "active-commit")
typedef enum {
    MIRROR_JOB_ABSENT = 0,
    MIRROR_JOB_LIST(ENUM_VALUE_) MIRROR_JOB_MAX
} MirrorJob;
extern const char *const mirror_job_names[MIRROR_JOB_MAX];

#define MIRROR_STATE_LIST(X) X(MIRROR_READY, "yes") X(MIRROR_ABORT, "abort") X(MIRROR_PIVOT, "pivot")
typedef enum {
    MIRROR_STATE_ABSENT = 0,
    MIRROR_STATE_LIST(ENUM_VALUE_) MIRROR_STATE_MAX
} MirrorState;
extern const char *const mirror_state_names[MIRROR_STATE_MAX];

#define DISK_MODEL_LIST(X) X(DISK_MODEL_VIRTIO, "virtio") X(DISK_MODEL_VIRTIO_TRANSITIONAL, "virtio-transitional")    \
    X(DISK_MODEL_VIRTIO_NON_TRANSITIONAL, "virtio-non-transitional")
typedef enum {
    DISK_MODEL_ABSENT = 0,
    DISK_MODEL_LIST(ENUM_VALUE_) DISK_MODEL_MAX
} DiskModel;
extern const char *const disk_model_names[DISK_MODEL_MAX];

#define STARTUP_LIST(X) X(STARTUP_MANDATORY, "mandatory") X(STARTUP_REQUISITE, "requisite")                           \
    X(STARTUP_OPTIONAL, "optional")
typedef enum {
    STARTUP_ABSENT = 0,
    STARTUP_LIST(ENUM_VALUE_) STARTUP_MAX
} StartupPolicy;
extern const char *const startup_policy_names[STARTUP_MAX];

#define SNAPSHOT_LIST(X) X(SNAPSHOT_NO, "no") X(SNAPSHOT_INTERNAL, "internal") X(SNAPSHOT_EXTERNAL, "external")       \
    X(SNAPSHOT_MANUAL, "manual")
typedef enum {
    SNAPSHOT_ABSENT = 0,
    SNAPSHOT_LIST(ENUM_VALUE_) SNAPSHOT_MAX
} SnapshotLocation;
extern const char *const snapshot_location_names[SNAPSHOT_MAX];

#define CONTROLLER_LIST(X) X(CONTROLLER_IDE, "ide") X(CONTROLLER_FDC, "fdc") X(CONTROLLER_SCSI, "scsi")               \
    X(CONTROLLER_SATA, "sata") X(CONTROLLER_VIRTIO_SERIAL, "virtio-serial") X(CONTROLLER_CCID, "ccid")                \
    X(CONTROLLER_USB, "usb") X(CONTROLLER_PCI, "pci") X(CONTROLLER_XENBUS, "xenbus") X(CONTROLLER_ISA, "isa")
typedef enum {
    CONTROLLER_ABSENT = 0,
    CONTROLLER_LIST(ENUM_VALUE_) CONTROLLER_MAX
} ControllerType;
extern const char *const controller_type_names[CONTROLLER_MAX];

/* all models of all types; controller_model_fits() says which go together */
#define CONTROLLER_MODEL_LIST(X) X(CONTROLLER_MODEL_PCI_ROOT, "pci-root") X(CONTROLLER_MODEL_PCIE_ROOT, "pcie-root")  \
    X(CONTROLLER_MODEL_PCI_BRIDGE, "pci-bridge") X(CONTROLLER_MODEL_DMI_TO_PCI_BRIDGE, "dmi-to-pci-bridge")           \
    X(CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE, "pcie-to-pci-bridge")                                                      \
    X(CONTROLLER_MODEL_PCIE_ROOT_PORT, "pcie-root-port")                                                              \
    X(CONTROLLER_MODEL_PCIE_SWITCH_UPSTREAM_PORT, "pcie-switch-upstream-port")                                        \
    X(CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT, "pcie-switch-downstream-port")                                    \
    X(CONTROLLER_MODEL_PCI_EXPANDER_BUS, "pci-expander-bus")                                                          \
    X(CONTROLLER_MODEL_PCIE_EXPANDER_BUS, "pcie-expander-bus") X(CONTROLLER_MODEL_AUTO, "auto")                       \
    X(CONTROLLER_MODEL_BUSLOGIC, "buslogic") X(CONTROLLER_MODEL_LSILOGIC, "lsilogic")                                 \
    X(CONTROLLER_MODEL_LSISAS1068, "lsisas1068") X(CONTROLLER_MODEL_VMPVSCSI, "vmpvscsi")                             \
    X(CONTROLLER_MODEL_IBMVSCSI, "ibmvscsi") X(CONTROLLER_MODEL_VIRTIO_SCSI, "virtio-scsi")                           \
    X(CONTROLLER_MODEL_LSISAS1078, "lsisas1078") X(CONTROLLER_MODEL_NCR53C90, "ncr53c90")                             \
    X(CONTROLLER_MODEL_DC390, "dc390") X(CONTROLLER_MODEL_AM53C974, "am53c974")                                       \
    X(CONTROLLER_MODEL_PIIX3_UHCI, "piix3-uhci") X(CONTROLLER_MODEL_PIIX4_UHCI, "piix4-uhci")                         \
    X(CONTROLLER_MODEL_EHCI, "ehci") X(CONTROLLER_MODEL_ICH9_EHCI1, "ich9-ehci1")                                     \
    X(CONTROLLER_MODEL_ICH9_UHCI1, "ich9-uhci1") X(CONTROLLER_MODEL_ICH9_UHCI2, "ich9-uhci2")                         \
    X(CONTROLLER_MODEL_ICH9_UHCI3, "ich9-uhci3") X(CONTROLLER_MODEL_VT82C686B_UHCI, "vt82c686b-uhci")                 \
    X(CONTROLLER_MODEL_PCI_OHCI, "pci-ohci") X(CONTROLLER_MODEL_NEC_XHCI, "nec-xhci")                                 \
    X(CONTROLLER_MODEL_QUSB1, "qusb1") X(CONTROLLER_MODEL_QUSB2, "qusb2") X(CONTROLLER_MODEL_QEMU_XHCI, "qemu-xhci")  \
    X(CONTROLLER_MODEL_NONE, "none") X(CONTROLLER_MODEL_PIIX3, "piix3") X(CONTROLLER_MODEL_PIIX4, "piix4")            \
    X(CONTROLLER_MODEL_ICH6, "ich6") X(CONTROLLER_MODEL_VIRTIO, "virtio")                                             \
    X(CONTROLLER_MODEL_VIRTIO_TRANSITIONAL, "virtio-transitional")                                                    \
    X(CONTROLLER_MODEL_VIRTIO_NON_TRANSITIONAL, "virtio-non-transitional")
typedef enum {
    CONTROLLER_MODEL_ABSENT = 0,
    CONTROLLER_MODEL_LIST(ENUM_VALUE_) CONTROLLER_MODEL_MAX
} ControllerModel;
extern const char *const controller_model_names[CONTROLLER_MODEL_MAX];

/* <model name=> of a pci controller */
#define PCI_MODEL_NAME_LIST(X) X(PCI_MODEL_NAME_PCI_BRIDGE, "pci-bridge")                                             \
    X(PCI_MODEL_NAME_I82801B11_BRIDGE, "i82801b11-bridge") X(PCI_MODEL_NAME_PCIE_PCI_BRIDGE, "pcie-pci-bridge")       \
    X(PCI_MODEL_NAME_IOH3420, "ioh3420") X(PCI_MODEL_NAME_X3130_UPSTREAM, "x3130-upstream")                           \
    X(PCI_MODEL_NAME_XIO3130_DOWNSTREAM, "xio3130-downstream") X(PCI_MODEL_NAME_PXB, "pxb")                           \
    X(PCI_MODEL_NAME_PXB_PCIE, "pxb-pcie") X(PCI_MODEL_NAME_PCIE_ROOT_PORT, "pcie-root-port")                         \
    X(PCI_MODEL_NAME_SPAPR_PCI_HOST_BRIDGE, "spapr-pci-host-bridge")
typedef enum {
    PCI_MODEL_NAME_ABSENT = 0,
    PCI_MODEL_NAME_LIST(ENUM_VALUE_) PCI_MODEL_NAME_MAX
} PciModelName;
extern const char *const pci_model_name_names[PCI_MODEL_NAME_MAX];

#define NET_LIST(X) X(NET_USER, "user") X(NET_ETHERNET, "ethernet") X(NET_VHOSTUSER, "vhostuser")                     \
    X(NET_SERVER, "server") X(NET_CLIENT, "client") X(NET_MCAST, "mcast") X(NET_NETWORK, "network")                   \
    X(NET_BRIDGE, "bridge") X(NET_INTERNAL, "internal") X(NET_DIRECT, "direct") X(NET_HOSTDEV, "hostdev")             \
    X(NET_UDP, "udp") X(NET_VDPA, "vdpa") X(NET_NULL, "null") X(NET_VDS, "vds")
typedef enum {
    NET_ABSENT = 0,
    NET_LIST(ENUM_VALUE_) NET_MAX
} NetType;
extern const char *const net_type_names[NET_MAX];

#define MAC_TYPE_LIST(X) X(MAC_TYPE_GENERATED, "generated") X(MAC_TYPE_STATIC, "static")
typedef enum {
    MAC_TYPE_ABSENT = 0,
    MAC_TYPE_LIST(ENUM_VALUE_) MAC_TYPE_MAX
} MacType;
extern const char *const mac_type_names[MAC_TYPE_MAX];

#define NET_LINK_LIST(X) X(NET_LINK_UP, "up") X(NET_LINK_DOWN, "down")
typedef enum {
    NET_LINK_ABSENT = 0,
    NET_LINK_LIST(ENUM_VALUE_) NET_LINK_MAX
} NetLinkState;
extern const char *const net_link_state_names[NET_LINK_MAX];

#define NET_DRIVER_LIST(X) X(NET_DRIVER_QEMU, "qemu") X(NET_DRIVER_VHOST, "vhost")
typedef enum {
    NET_DRIVER_ABSENT = 0,
    NET_DRIVER_LIST(ENUM_VALUE_) NET_DRIVER_MAX
} NetBackendDriver;
extern const char *const net_backend_driver_names[NET_DRIVER_MAX];

#define NET_TXMODE_LIST(X) X(NET_TXMODE_IOTHREAD, "iothread") X(NET_TXMODE_TIMER, "timer")
typedef enum {
    NET_TXMODE_ABSENT = 0,
    NET_TXMODE_LIST(ENUM_VALUE_) NET_TXMODE_MAX
} NetTxMode;
extern const char *const net_tx_mode_names[NET_TXMODE_MAX];

#define CHR_LIST(X) X(CHR_NULL, "null") X(CHR_VC, "vc") X(CHR_PTY, "pty") X(CHR_DEV, "dev") X(CHR_FILE, "file")       \
    X(CHR_PIPE, "pipe") X(CHR_STDIO, "stdio") X(CHR_UDP, "udp") X(CHR_TCP, "tcp") X(CHR_UNIX, "unix")                 \
    X(CHR_SPICEVMC, "spicevmc") X(CHR_SPICEPORT, "spiceport") X(CHR_NMDM, "nmdm")                                     \
    X(CHR_QEMU_VDAGENT, "qemu-vdagent") X(CHR_DBUS, "dbus")
typedef enum {
    CHR_ABSENT = 0,
    CHR_LIST(ENUM_VALUE_) CHR_MAX
} ChrType;
extern const char *const chr_type_names[CHR_MAX];

#define CHR_MODE_LIST(X) X(CHR_MODE_CONNECT, "connect") X(CHR_MODE_BIND, "bind")
typedef enum {
    CHR_MODE_ABSENT = 0,
    CHR_MODE_LIST(ENUM_VALUE_) CHR_MODE_MAX
} ChrMode;
extern const char *const chr_mode_names[CHR_MODE_MAX];

#define TCP_LIST(X) X(TCP_RAW, "raw") X(TCP_TELNET, "telnet") X(TCP_TELNETS, "telnets") X(TCP_TLS, "tls")
typedef enum {
    TCP_ABSENT = 0,
    TCP_LIST(ENUM_VALUE_) TCP_MAX
} TcpProtocol;
extern const char *const tcp_protocol_names[TCP_MAX];

#define CHR_KIND_LIST(X) X(CHR_KIND_PARALLEL, "parallel") X(CHR_KIND_SERIAL, "serial")                                \
    X(CHR_KIND_CONSOLE, "console") X(CHR_KIND_CHANNEL, "channel")
typedef enum {
    CHR_KIND_ABSENT = 0,
    CHR_KIND_LIST(ENUM_VALUE_) CHR_KIND_MAX
} ChrKind;
extern const char *const chr_kind_names[CHR_KIND_MAX];

/* types of all kinds */
#define CHR_TARGET_LIST(X) X(CHR_TARGET_NONE, "none") X(CHR_TARGET_ISA_SERIAL, "isa-serial")                          \
    X(CHR_TARGET_USB_SERIAL, "usb-serial") X(CHR_TARGET_PCI_SERIAL, "pci-serial")                                     \
    X(CHR_TARGET_SPAPR_VIO_SERIAL, "spapr-vio-serial") X(CHR_TARGET_SYSTEM_SERIAL, "system-serial")                   \
    X(CHR_TARGET_SCLP_SERIAL, "sclp-serial") X(CHR_TARGET_ISA_DEBUG, "isa-debug") X(CHR_TARGET_SERIAL, "serial")      \
    X(CHR_TARGET_XEN, "xen") X(CHR_TARGET_UML, "uml") X(CHR_TARGET_VIRTIO, "virtio") X(CHR_TARGET_LXC, "lxc")         \
    X(CHR_TARGET_OPENVZ, "openvz") X(CHR_TARGET_SCLP, "sclp") X(CHR_TARGET_SCLPLM, "sclplm")                          \
    X(CHR_TARGET_GUESTFWD, "guestfwd")
typedef enum {
    CHR_TARGET_ABSENT = 0,
    CHR_TARGET_LIST(ENUM_VALUE_) CHR_TARGET_MAX
} ChrTargetType;
extern const char *const chr_target_type_names[CHR_TARGET_MAX];

/* <serial><target><model name=> */
#define CHR_MODEL_LIST(X) X(CHR_MODEL_ISA_SERIAL, "isa-serial") X(CHR_MODEL_USB_SERIAL, "usb-serial")                 \
    X(CHR_MODEL_PCI_SERIAL, "pci-serial") X(CHR_MODEL_SPAPR_VTY, "spapr-vty") X(CHR_MODEL_PL011, "pl011")             \
    X(CHR_MODEL_SCLPCONSOLE, "sclpconsole") X(CHR_MODEL_SCLPLMCONSOLE, "sclplmconsole")                               \
    X(CHR_MODEL_16550A, "16550a") X(CHR_MODEL_ISA_DEBUGCON, "isa-debugcon")
typedef enum {
    CHR_MODEL_ABSENT = 0,
    CHR_MODEL_LIST(ENUM_VALUE_) CHR_MODEL_MAX
} ChrTargetModel;
extern const char *const chr_target_model_names[CHR_MODEL_MAX];

#define CHANNEL_STATE_LIST(X) X(CHANNEL_STATE_CONNECTED, "connected") X(CHANNEL_STATE_DISCONNECTED, "disconnected")
typedef enum {
    CHANNEL_STATE_ABSENT = 0,
    CHANNEL_STATE_LIST(ENUM_VALUE_) CHANNEL_STATE_MAX
} ChannelState;
extern const char *const channel_state_names[CHANNEL_STATE_MAX];

#define INPUT_LIST(X) X(INPUT_MOUSE, "mouse") X(INPUT_TABLET, "tablet") X(INPUT_KEYBOARD, "keyboard")                 \
    X(INPUT_PASSTHROUGH, "passthrough") X(INPUT_EVDEV, "evdev")
typedef enum {
    INPUT_ABSENT = 0,
    INPUT_LIST(ENUM_VALUE_) INPUT_MAX
} InputType;
extern const char *const input_type_names[INPUT_MAX];

#define INPUT_BUS_LIST(X) X(INPUT_BUS_PS2, "ps2") X(INPUT_BUS_USB, "usb") X(INPUT_BUS_XEN, "xen")                     \
    X(INPUT_BUS_PARALLELS, "parallels") X(INPUT_BUS_VIRTIO, "virtio") X(INPUT_BUS_NONE, "none")
typedef enum {
    INPUT_BUS_ABSENT = 0,
    INPUT_BUS_LIST(ENUM_VALUE_) INPUT_BUS_MAX
} InputBus;
extern const char *const input_bus_names[INPUT_BUS_MAX];

#define INPUT_MODEL_LIST(X) X(INPUT_MODEL_VIRTIO, "virtio")                                                           \
    X(INPUT_MODEL_VIRTIO_TRANSITIONAL, "virtio-transitional")                                                         \
    X(INPUT_MODEL_VIRTIO_NON_TRANSITIONAL, "virtio-non-transitional")
typedef enum {
    INPUT_MODEL_ABSENT = 0,
    INPUT_MODEL_LIST(ENUM_VALUE_) INPUT_MODEL_MAX
} InputModel;
extern const char *const input_model_names[INPUT_MODEL_MAX];

#define LISTEN_LIST(X) X(LISTEN_NONE, "none") X(LISTEN_ADDRESS, "address") X(LISTEN_NETWORK, "network")               \
    X(LISTEN_SOCKET, "socket")
typedef enum {
    LISTEN_ABSENT = 0,
    LISTEN_LIST(ENUM_VALUE_) LISTEN_MAX
} ListenType;
extern const char *const listen_type_names[LISTEN_MAX];

#define GRAPHICS_LIST(X) X(GRAPHICS_SDL, "sdl") X(GRAPHICS_VNC, "vnc") X(GRAPHICS_RDP, "rdp")                         \
    X(GRAPHICS_DESKTOP, "desktop") X(GRAPHICS_SPICE, "spice") X(GRAPHICS_EGL_HEADLESS, "egl-headless")                \
    X(GRAPHICS_DBUS, "dbus")
typedef enum {
    GRAPHICS_ABSENT = 0,
    GRAPHICS_LIST(ENUM_VALUE_) GRAPHICS_MAX
} GraphicsType;
extern const char *const graphics_type_names[GRAPHICS_MAX];

#define GRAPHICS_CONNECTED_LIST(X) X(GRAPHICS_CONNECTED_FAIL, "fail") X(GRAPHICS_CONNECTED_DISCONNECT, "disconnect")  \
    X(GRAPHICS_CONNECTED_KEEP, "keep")
typedef enum {
    GRAPHICS_CONNECTED_ABSENT = 0,
    GRAPHICS_CONNECTED_LIST(ENUM_VALUE_) GRAPHICS_CONNECTED_MAX
} GraphicsConnected;
extern const char *const graphics_connected_names[GRAPHICS_CONNECTED_MAX];

#define VNC_SHARE_LIST(X) X(VNC_SHARE_ALLOW_EXCLUSIVE, "allow-exclusive") X(VNC_SHARE_FORCE_SHARED, "force-shared")   \
    X(VNC_SHARE_IGNORE, "ignore")
typedef enum {
    VNC_SHARE_ABSENT = 0,
    VNC_SHARE_LIST(ENUM_VALUE_) VNC_SHARE_MAX
} VncSharePolicy;
extern const char *const vnc_share_policy_names[VNC_SHARE_MAX];

#define VIDEO_LIST(X) X(VIDEO_VGA, "vga") X(VIDEO_CIRRUS, "cirrus") X(VIDEO_VMVGA, "vmvga") X(VIDEO_XEN, "xen")       \
    X(VIDEO_VBOX, "vbox") X(VIDEO_QXL, "qxl") X(VIDEO_PARALLELS, "parallels") X(VIDEO_VIRTIO, "virtio")               \
    X(VIDEO_GOP, "gop") X(VIDEO_NONE, "none") X(VIDEO_BOCHS, "bochs") X(VIDEO_RAMFB, "ramfb")
typedef enum {
    VIDEO_ABSENT = 0,
    VIDEO_LIST(ENUM_VALUE_) VIDEO_MAX
} VideoType;
extern const char *const video_type_names[VIDEO_MAX];

#define WATCHDOG_MODEL_LIST(X) X(WATCHDOG_MODEL_I6300ESB, "i6300esb") X(WATCHDOG_MODEL_IB700, "ib700")                \
    X(WATCHDOG_MODEL_DIAG288, "diag288")
typedef enum {
    WATCHDOG_MODEL_ABSENT = 0,
    WATCHDOG_MODEL_LIST(ENUM_VALUE_) WATCHDOG_MODEL_MAX
} WatchdogModel;
extern const char *const watchdog_model_names[WATCHDOG_MODEL_MAX];

#define WATCHDOG_LIST(X) X(WATCHDOG_RESET, "reset") X(WATCHDOG_SHUTDOWN, "shutdown")                                  \
    X(WATCHDOG_POWEROFF, "poweroff") X(WATCHDOG_PAUSE, "pause") X(WATCHDOG_DUMP, "dump") X(WATCHDOG_NONE, "none")     \
    X(WATCHDOG_INJECT_NMI, "inject-nmi")
typedef enum {
    WATCHDOG_ABSENT = 0,
    WATCHDOG_LIST(ENUM_VALUE_) WATCHDOG_MAX
} WatchdogAction;
extern const char *const watchdog_action_names[WATCHDOG_MAX];

#define MEMBALLOON_LIST(X) X(MEMBALLOON_VIRTIO, "virtio") X(MEMBALLOON_XEN, "xen") X(MEMBALLOON_NONE, "none")         \
    X(MEMBALLOON_VIRTIO_TRANSITIONAL, "virtio-transitional")                                                          \
    X(MEMBALLOON_VIRTIO_NON_TRANSITIONAL, "virtio-non-transitional")
typedef enum {
    MEMBALLOON_ABSENT = 0,
    MEMBALLOON_LIST(ENUM_VALUE_) MEMBALLOON_MAX
} MemballoonModel;
extern const char *const memballoon_model_names[MEMBALLOON_MAX];

#define RNG_MODEL_LIST(X) X(RNG_MODEL_VIRTIO, "virtio") X(RNG_MODEL_VIRTIO_TRANSITIONAL, "virtio-transitional")       \
    X(RNG_MODEL_VIRTIO_NON_TRANSITIONAL, "virtio-non-transitional")
typedef enum {
    RNG_MODEL_ABSENT = 0,
    RNG_MODEL_LIST(ENUM_VALUE_) RNG_MODEL_MAX
} RngModel;
extern const char *const rng_model_names[RNG_MODEL_MAX];

#define RNG_LIST(X) X(RNG_RANDOM, "random") X(RNG_EGD, "egd") X(RNG_BUILTIN, "builtin")
typedef enum {
    RNG_ABSENT = 0,
    RNG_LIST(ENUM_VALUE_) RNG_MAX
} RngBackend;
extern const char *const rng_backend_names[RNG_MAX];

#define PANIC_LIST(X) X(PANIC_ISA, "isa") X(PANIC_PSERIES, "pseries") X(PANIC_HYPERV, "hyperv")                       \
    X(PANIC_S390, "s390")
typedef enum {
    PANIC_ABSENT = 0,
    PANIC_LIST(ENUM_VALUE_) PANIC_MAX
} PanicModel;
extern const char *const panic_model_names[PANIC_MAX];

#define SOUND_LIST(X) X(SOUND_SB16, "sb16") X(SOUND_ES1370, "es1370") X(SOUND_PCSPK, "pcspk") X(SOUND_AC97, "ac97")   \
    X(SOUND_ICH6, "ich6") X(SOUND_ICH9, "ich9") X(SOUND_USB, "usb")
typedef enum {
    SOUND_ABSENT = 0,
    SOUND_LIST(ENUM_VALUE_) SOUND_MAX
} SoundModel;
extern const char *const sound_model_names[SOUND_MAX];

#define CPU_FEATURE_LIST(X) X(CPU_FEATURE_FORCE, "force") X(CPU_FEATURE_REQUIRE, "require")                           \
    X(CPU_FEATURE_OPTIONAL, "optional") X(CPU_FEATURE_DISABLE, "disable") X(CPU_FEATURE_FORBID, "forbid")
typedef enum {
    CPU_FEATURE_ABSENT = 0,
    CPU_FEATURE_LIST(ENUM_VALUE_) CPU_FEATURE_MAX
} CpuFeaturePolicy;
extern const char *const cpu_feature_policy_names[CPU_FEATURE_MAX];

#define CPU_MODE_LIST(X) X(CPU_MODE_CUSTOM, "custom") X(CPU_MODE_HOST_MODEL, "host-model")                            \
    X(CPU_MODE_HOST_PASSTHROUGH, "host-passthrough") X(CPU_MODE_MAXIMUM, "maximum")
typedef enum {
    CPU_MODE_ABSENT = 0,
    CPU_MODE_LIST(ENUM_VALUE_) CPU_MODE_MAX
} CpuMode;
extern const char *const cpu_mode_names[CPU_MODE_MAX];

#define CPU_MATCH_LIST(X) X(CPU_MATCH_MINIMUM, "minimum") X(CPU_MATCH_EXACT, "exact") X(CPU_MATCH_STRICT, "strict")
typedef enum {
    CPU_MATCH_ABSENT = 0,
    CPU_MATCH_LIST(ENUM_VALUE_) CPU_MATCH_MAX
} CpuMatch;
extern const char *const cpu_match_names[CPU_MATCH_MAX];

#define CPU_CHECK_LIST(X) X(CPU_CHECK_NONE, "none") X(CPU_CHECK_PARTIAL, "partial") X(CPU_CHECK_FULL, "full")
typedef enum {
    CPU_CHECK_ABSENT = 0,
    CPU_CHECK_LIST(ENUM_VALUE_) CPU_CHECK_MAX
} CpuCheck;
extern const char *const cpu_check_names[CPU_CHECK_MAX];

#define CPU_FALLBACK_LIST(X) X(CPU_FALLBACK_ALLOW, "allow") X(CPU_FALLBACK_FORBID, "forbid")
typedef enum {
    CPU_FALLBACK_ABSENT = 0,
    CPU_FALLBACK_LIST(ENUM_VALUE_) CPU_FALLBACK_MAX
} CpuFallback;
extern const char *const cpu_fallback_names[CPU_FALLBACK_MAX];

#define CPU_CACHE_LIST(X) X(CPU_CACHE_EMULATE, "emulate") X(CPU_CACHE_PASSTHROUGH, "passthrough")                     \
    X(CPU_CACHE_DISABLE, "disable")
typedef enum {
    CPU_CACHE_ABSENT = 0,
    CPU_CACHE_LIST(ENUM_VALUE_) CPU_CACHE_MAX
} CpuCacheMode;
extern const char *const cpu_cache_mode_names[CPU_CACHE_MAX];

#define TIMER_LIST(X) X(TIMER_PLATFORM, "platform") X(TIMER_PIT, "pit") X(TIMER_RTC, "rtc") X(TIMER_HPET, "hpet")     \
    X(TIMER_TSC, "tsc") X(TIMER_KVMCLOCK, "kvmclock") X(TIMER_HYPERVCLOCK, "hypervclock")                             \
    X(TIMER_ARMVTIMER, "armvtimer")
typedef enum {
    TIMER_ABSENT = 0,
    TIMER_LIST(ENUM_VALUE_) TIMER_MAX
} TimerName;
extern const char *const timer_name_names[TIMER_MAX];

#define TIMER_TICK_LIST(X) X(TIMER_TICK_DELAY, "delay") X(TIMER_TICK_CATCHUP, "catchup")                              \
    X(TIMER_TICK_MERGE, "merge") X(TIMER_TICK_DISCARD, "discard")
typedef enum {
    TIMER_TICK_ABSENT = 0,
    TIMER_TICK_LIST(ENUM_VALUE_) TIMER_TICK_MAX
} TimerTickPolicy;
extern const char *const timer_tick_policy_names[TIMER_TICK_MAX];

#define TIMER_TRACK_LIST(X) X(TIMER_TRACK_BOOT, "boot") X(TIMER_TRACK_GUEST, "guest") X(TIMER_TRACK_WALL, "wall")     \
    X(TIMER_TRACK_REALTIME, "realtime")
typedef enum {
    TIMER_TRACK_ABSENT = 0,
    TIMER_TRACK_LIST(ENUM_VALUE_) TIMER_TRACK_MAX
} TimerTrack;
extern const char *const timer_track_names[TIMER_TRACK_MAX];

#define TIMER_MODE_LIST(X) X(TIMER_MODE_AUTO, "auto") X(TIMER_MODE_NATIVE, "native")                                  \
    X(TIMER_MODE_EMULATE, "emulate") X(TIMER_MODE_PARAVIRT, "paravirt") X(TIMER_MODE_SMPSAFE, "smpsafe")
typedef enum {
    TIMER_MODE_ABSENT = 0,
    TIMER_MODE_LIST(ENUM_VALUE_) TIMER_MODE_MAX
} TimerMode;
extern const char *const timer_mode_names[TIMER_MODE_MAX];

#define CLOCK_LIST(X) X(CLOCK_UTC, "utc") X(CLOCK_LOCALTIME, "localtime") X(CLOCK_VARIABLE, "variable")               \
    X(CLOCK_TIMEZONE, "timezone") X(CLOCK_ABSOLUTE, "absolute")
typedef enum {
    CLOCK_ABSENT = 0,
    CLOCK_LIST(ENUM_VALUE_) CLOCK_MAX
} ClockOffset;
extern const char *const clock_offset_names[CLOCK_MAX];

#define CLOCK_BASIS_LIST(X) X(CLOCK_BASIS_UTC, "utc") X(CLOCK_BASIS_LOCALTIME, "localtime")
typedef enum {
    CLOCK_BASIS_ABSENT = 0,
    CLOCK_BASIS_LIST(ENUM_VALUE_) CLOCK_BASIS_MAX
} ClockBasis;
extern const char *const clock_basis_names[CLOCK_BASIS_MAX];

#define VCPU_PLACEMENT_LIST(X) X(VCPU_PLACEMENT_STATIC, "static") X(VCPU_PLACEMENT_AUTO, "auto")
typedef enum {
    VCPU_PLACEMENT_ABSENT = 0,
    VCPU_PLACEMENT_LIST(ENUM_VALUE_) VCPU_PLACEMENT_MAX
} VcpuPlacement;
extern const char *const vcpu_placement_names[VCPU_PLACEMENT_MAX];

#define ON_LIST(X) X(ON_DESTROY, "destroy") X(ON_RESTART, "restart") X(ON_RENAME_RESTART, "rename-restart")           \
    X(ON_PRESERVE, "preserve") X(ON_COREDUMP_DESTROY, "coredump-destroy") X(ON_COREDUMP_RESTART, "coredump-restart")
typedef enum {
    ON_ABSENT = 0,
    ON_LIST(ENUM_VALUE_) ON_MAX
} LifecycleAction;
extern const char *const lifecycle_action_names[ON_MAX];

#define BOOT_LIST(X) X(BOOT_FD, "fd") X(BOOT_CDROM, "cdrom") X(BOOT_HD, "hd") X(BOOT_NETWORK, "network")
typedef enum {
    BOOT_ABSENT = 0,
    BOOT_LIST(ENUM_VALUE_) BOOT_MAX
} BootDevice;
extern const char *const boot_device_names[BOOT_MAX];

#define AUDIO_LIST(X) X(AUDIO_NONE, "none") X(AUDIO_ALSA, "alsa") X(AUDIO_COREAUDIO, "coreaudio")                     \
    X(AUDIO_JACK, "jack") X(AUDIO_OSS, "oss") X(AUDIO_PULSEAUDIO, "pulseaudio") X(AUDIO_SDL, "sdl")                   \
    X(AUDIO_SPICE, "spice") X(AUDIO_FILE, "file") X(AUDIO_DBUS, "dbus")
typedef enum {
    AUDIO_ABSENT = 0,
    AUDIO_LIST(ENUM_VALUE_) AUDIO_MAX
} AudioType;
extern const char *const audio_type_names[AUDIO_MAX];

#define SECLABEL_LIST(X) X(SECLABEL_NONE, "none") X(SECLABEL_DYNAMIC, "dynamic") X(SECLABEL_STATIC, "static")
typedef enum {
    SECLABEL_ABSENT = 0,
    SECLABEL_LIST(ENUM_VALUE_) SECLABEL_MAX
} SeclabelType;
extern const char *const seclabel_type_names[SECLABEL_MAX];

/* Does `model` belong to controllers of `type`? */
bool controller_model_fits(ControllerType type, ControllerModel model);

/* One row a device: model/devices.def. */
typedef enum {
    DEVICE_ABSENT = 0,
#define DEVICE(ID, element, Struct, table, member) DEVICE_##ID,
#include "model/devices.def"
    DEVICE_MAX
} DeviceKind;
extern const char *const device_kind_names[DEVICE_MAX];
