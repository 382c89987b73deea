/* qemu/argv.h - a definition rendered as QEMU's command line
 *
 * Rendering is pure: it opens nothing and asks nobody.  A descriptor QEMU is to inherit is *planned*: the renderer picks its number in
 * the child and its fdset and writes both into the arguments; launch.c opens it afterwards and spawn() puts it there.  So the same
 * definition always gives the same command line, and a golden file needs no normalising.
 */
#pragma once

#include "model/domain_def.h"
#include "qemu/forward.h"

/* The first number given to an inherited descriptor; 0, 1, 2 are the standard ones. */
#define ARGV_FIRST_FD 3

typedef enum {
    ARGV_FD_MONITOR,     /* listening UNIX socket of the QMP monitor; path = where */
    ARGV_FD_CHR_LISTEN,  /* listening UNIX socket of a character device (mode=bind); path */
    ARGV_FD_CHR_CONNECT, /* connected UNIX socket of a character device (mode=connect); path */
    ARGV_FD_FILE,        /* file opened with `flags` (and mode 0600 when created): images, logs of character devices */
    ARGV_FD_BOOT_FILE,   /* kernel, initrd, dtb: QEMU opens it again by /proc/self/fd, so it must be readable for its account */
    ARGV_FD_TAP,         /* queue of the tap device of `net` */
    ARGV_FD_VHOST,       /* /dev/vhost-net for `net` */
} ArgvFdKind;

typedef struct ArgvFd {
    ArgvFdKind kind;
    int target;        /* number in the child */
    int fdset;         /* -1: not in an fdset */
    int flags;         /* open(2) flags; O_CLOEXEC is understood */
    char *path;        /* NULL for taps */
    char *alias;       /* of the device it is for; names it in errors */
    const NetDef *net; /* taps and vhost; borrowed from the definition */
    unsigned queue;    /* taps and vhost */
} ArgvFd;

typedef struct Argv {
    GPtrArray *args; /* char*; args[0] is the emulator.  NULL-ended */
    GPtrArray *env;  /* char* "K=V"; NULL-ended */
    GArray *fds;     /* ArgvFd */
} Argv;

typedef enum {
    ARGV_NATIVE = 1 << 0, /* for people (domxml-to-native): paths instead of descriptors, no monitor socket of ours is assumed */
} ArgvFlags;

/* What the definition does not say. */
typedef struct ArgvEnv {
    const QemuCaps *caps;
    const QemuConfig *config;
    const char *private_dir; /* the guest's own directory (sockets) */
    const char *channel_dir; /* default place of channel sockets */
    bool vhost_net;          /* /dev/vhost-net can be opened */
    int64_t now;             /* seconds since 1970: what a variable clock counts from; 0: the present */
    ArgvFlags flags;
} ArgvEnv;

/* Renders `def`, which must be completed, validated, with aliases, addresses, node indices (qemu_assign_nodes) and ports.  An
 * unsupported part is VIR_ERR_CONFIG_UNSUPPORTED naming the element.  Caller frees with qemu_argv_free.  No locks, does not sleep. */
Argv *qemu_argv_build(const DomainDef *def, const ArgvEnv *env, Err *err);
Argv *qemu_argv_free(Argv *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Argv, qemu_argv_free)

/* One line for a log, or with `multiline` the layout of domxml-to-native: environment, program and each option on a line of its own,
 * quoted for a shell, joined by " \".  Caller frees. */
char *qemu_argv_to_string(const Argv *a, bool multiline);

/* Gives every image of every disk its node index (StorageSource.index, "libvirt-N-format"), last disk first as libvirt does.  Images
 * that have one keep it. *next is the last index used; it lives in the status file so that a hot-plugged image gets a new one. */
void qemu_assign_nodes(DomainDef *def, unsigned *next);
/* The same for the chain of one disk. */
void qemu_assign_nodes_disk(DiskDef *disk, unsigned *next);
