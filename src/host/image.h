/* host/image.h - disk images: opened, their headers read, their backing chains followed, in a child that can be killed
 *
 * Storage that hangs must not hang the daemon, so nothing here touches an image in this process: a short-lived child opens the files,
 * reads the headers and passes descriptors and findings back.  One child serves all images of a guest.
 */
#pragma once

#include "util/deadline.h"
#include "util/err.h"

#define IMAGE_MAX_DEPTH 200u    /* images in one chain */
#define IMAGE_MAX_WANTS 1024u
#define IMAGE_MAX_PATH 4096u

typedef enum {
    IMAGE_FMT_NONE, /* not known */
    IMAGE_FMT_RAW,
    IMAGE_FMT_QCOW,
    IMAGE_FMT_QCOW2,
    IMAGE_FMT_QED,
    IMAGE_FMT_VMDK,
    IMAGE_FMT_VDI,
    IMAGE_FMT_VPC,
    IMAGE_FMT_VHDX,
    IMAGE_FMT_LUKS,
    IMAGE_FMT_PARALLELS,
    IMAGE_FMT_DMG,
    IMAGE_FMT_BOCHS,
    IMAGE_FMT_CLOOP,
    IMAGE_FMT_MAX,
} ImageFmt;

/* QEMU's driver names. */
extern const char *const image_fmt_names[IMAGE_FMT_MAX];
ImageFmt image_fmt_find(const char *name);

/* What a header says. */
typedef struct ImageHeader {
    ImageFmt fmt;
    uint64_t virtual_size;      /* 0: the header does not tell (raw: the file's size) */
    char *backing;              /* as written in the header; NULL: none */
    ImageFmt backing_fmt;       /* IMAGE_FMT_NONE: not recorded, or unknown */
    char *backing_fmt_name;     /* as recorded, NULL: not recorded */
    char *data_file;            /* qcow2 external data file */
    uint32_t cluster_size;
    uint32_t version;
    bool encrypted;
} ImageHeader;

void image_header_clear(ImageHeader *h);
/* Reads the header of `fmt` (IMAGE_FMT_NONE: by magic) from the first `len` bytes of an image.  Pure, trusts nothing.  0, or -1 with
 * VIR_ERR_OPERATION_FAILED saying what is wrong with `path`. */
int image_header_parse(const uint8_t *data, size_t len, ImageFmt fmt, const char *path, ImageHeader *ret, Err *err);
/* Format by magic number only; raw when nothing matches.  For people's information: never to decide how a guest's image is read. */
ImageFmt image_fmt_by_magic(const uint8_t *data, size_t len);

/* A backing file that is an export of a server of network block devices. */
typedef struct ImageNbd {
    char *host; /* or */
    char *socket;
    unsigned port;
    char *name; /* of the export, "" for none */
} ImageNbd;
void image_nbd_free(ImageNbd *n);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageNbd, image_nbd_free)
/* What the header of an image names, if it is one: "nbd://…", "nbd:…" or "json:{…}", which may tell the format too (h is updated).  NULL: it is
 * something else, or not understood.  Caller frees. */
ImageNbd *image_backing_nbd(ImageHeader *h);

/* The absolute path of the backing file that the header of `image` names (h->backing is not NULL).  The name may tell the format as well: h is
 * updated.  NULL with VIR_ERR_CONFIG_UNSUPPORTED when it is nothing on this host.  Caller frees. */
char *image_backing_path(const char *image, ImageHeader *h, Err *err);
/* Its format as recorded; none recorded is VIR_ERR_OPERATION_INVALID with the command that records it, one not known
 * VIR_ERR_CONFIG_UNSUPPORTED.  `looks` is for the command only: what the file looks like, IMAGE_FMT_NONE when that is not known. */
int image_backing_format(const char *image, const ImageHeader *h, const char *path, ImageFmt looks, ImageFmt *ret, Err *err);
/* Whether a backing file without a recorded format may be read as what it looks like, if it has no backing file itself.  Off at first: who can
 * write a raw image decides what it looks like.  Any thread. */
void image_allow_probing(bool allow);

/* ---- opening ----------------------------------------------------------------------------------------------------------------- */

typedef enum {
    IMAGE_WANT_CHAIN = 1 << 0,    /* read the header as `fmt` and follow backing files */
    IMAGE_WANT_PROBE = 1 << 1,    /* no descriptors wanted, findings only */
    IMAGE_WANT_OPTIONAL = 1 << 2, /* a missing file is no error: node->error = ENOENT */
    IMAGE_WANT_ANY_TYPE = 1 << 3, /* character devices, FIFOs too (not only files and block devices) */
    IMAGE_WANT_FD = 1 << 4,       /* the first file is `fd`, open already: path is only its name */
    IMAGE_WANT_HEADER = 1 << 5,   /* read the header as `fmt`, follow nothing */
    IMAGE_WANT_BELOW = 1 << 6,    /* below the want before: together they must not contain a file twice */
} ImageWantFlags;

typedef struct ImageWant {
    const char *path;
    int fd;         /* IMAGE_WANT_FD: stays the caller's, its node gets a duplicate */
    int open_flags; /* of the first file; backing files are opened O_RDONLY */
    ImageFmt fmt;   /* of the first file */
    ImageWantFlags flags;
} ImageWant;

typedef struct ImageNode {
    unsigned want;  /* index of the want it belongs to */
    unsigned depth; /* 0: the file wanted */
    char *path;     /* absolute */
    int fd;         /* owned; -1: probe only, or missing */
    int error;      /* errno of an optional file that is missing */
    bool is_block;
    uint64_t file_size;      /* of the file or device */
    uint64_t allocated;      /* bytes the file takes */
    uint64_t dev, ino;       /* equal for two paths that are one file (device: dev alone, ino is 0) */
    mode_t mode;
    uid_t uid;
    gid_t gid;
    ImageHeader header;
    ImageNbd *nbd; /* what is below, when it is no file: the chain ends there, for us; NULL: a file or nothing */
    ImageFmt nbd_fmt; /* of that */
} ImageNode;

typedef struct ImageSet {
    GPtrArray *nodes; /* ImageNode*, by want, then depth */
} ImageSet;

/* Opens everything in one child.  Errors name the image and, for a backing file, the one that names it: missing file
 * (VIR_ERR_SYSTEM_ERROR with errno), damaged header, loop, too deep, a backing file without a recorded format
 * (VIR_ERR_OPERATION_INVALID, with the qemu-img command that records it), deadline (VIR_ERR_OPERATION_TIMEOUT; the child is killed).
 * Sleeps (pool_blocking); no lock may be held. */
ImageSet *image_open(const ImageWant *wants, unsigned n, Deadline d, Err *err);
/* The same for who only wants to know: flags are IMAGE_WANT_PROBE, and what is missing, unreadable or not reached before the deadline
 * simply has no node.  Never NULL. */
ImageSet *image_look(const ImageWant *wants, unsigned n, Deadline d);
ImageSet *image_set_free(ImageSet *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageSet, image_set_free)
/* Reads bytes of a file or block device, in such a child; zeros beyond its end.  Errors as above.  Sleeps. */
int image_read(const char *path, uint64_t offset, uint8_t *buffer, size_t size, Deadline d, Err *err);
/* Removes a file by its name, in such a child; one that is not there is no error.  Errors as above.  Sleeps. */
int image_remove(const char *path, Deadline d, Err *err);
/* The node of a want at a depth, or NULL. */
ImageNode *image_set_node(ImageSet *s, unsigned want, unsigned depth);
