/* domain/chain.h - images of a running machine: opened, given to QEMU as block nodes, and taken away again
 *
 * What a chain is stands in model/chain_find.h; how its nodes are named and which descriptors they need in qemu/block_nodes.c.  Everything here
 * is for a worker that holds the domain lock and a job of the machine (MODIFY, say).  The lock is released wherever storage or QEMU is waited
 * for, so hold a reference to the definition whose disk you pass: `live` may be another one afterwards.
 *
 *     g_autoptr(DomainDef) live = domain_def_ref(d->live);
 *     DiskDef *disk = chain_disk(live, "vda", err);
 *     StorageSource *src = storage_source_new();               the new image: type, path, format
 *     g_autoptr(Chain) c = chain_open(d, src, CHAIN_WRITABLE | CHAIN_ALONE, err);
 *     if (!c || chain_attach(d, disk, c, NULL, err) < 0) return -1;     QEMU has its nodes; nothing is left behind on failure
 *     … the command that uses qemu_node_format(c->src); if it fails: chain_detach(d, c->src, NULL) …
 *     DomainDef *def = domain_def_copy(d->live);               what the guest has now
 *     … put chain_take(c) into the disk of `def` …
 *     domain_set_live(d, def);
 *
 * QEMU knows a file by its fdset: a command that writes the name of a backing file into a header (block-commit, block-stream with a base) must
 * be told the name (backing-file), or "/dev/fdset/3" ends up in the image.
 *
 * An image's number (index= in the XML, N of its nodes and of its fdset) is given out once in a life of the machine, at attach; the next free
 * one is in the status file.  domain_flush(), which the gate does before the reply, writes it: who must survive a kill -9 in between calls it
 * before the command that uses the nodes.
 */
#pragma once

#include "domain/domain.h"
#include "host/image.h"
#include "model/chain_find.h"

typedef enum {
    CHAIN_WRITABLE = 1 << 0, /* the top image is opened read-write, and its nodes are; the others never are */
    CHAIN_ALONE = 1 << 1,    /* only the top image: neither `backing` nor its header are followed */
} ChainFlags;

/* Images on the way to QEMU. */
typedef struct Chain {
    StorageSource *src; /* owned; after chain_open() the chain goes down to its end (not with CHAIN_ALONE) */
    ImageSet *images;   /* as opened; descriptors are closed once QEMU has its own */
    GArray *want_of;    /* int: of each image the definition names, its want in images; -1: it is on the network */
    ChainFlags flags;
} Chain;

/* Opens `src` (stolen, also on failure; a file or block device with path and format) and what is below it, in a child that is killed when
 * storage does not answer.  Where `src` names its backing images those count; below the last of them its header does, unless the chain is
 * ended there.  The lock is released meanwhile.  NULL with the error of image_open(), or VIR_ERR_OPERATION_INVALID when the machine
 * ended. */
Chain *chain_open(Domain *d, StorageSource *src, ChainFlags flags, Err *err);
Chain *chain_free(Chain *c); /* descriptors and definition; nodes in QEMU stay.  NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Chain, chain_free)
/* The definition, for the caller to keep. */
StorageSource *chain_take(Chain *c);
/* What an opened image's header said; depth 0 is the top.  NULL: there is no such image, or it is not of this chain's own wants. */
const ImageHeader *chain_header(const Chain *c, unsigned depth);

/* Gives an opened chain to QEMU: numbers, an fdset and two nodes an image, deepest first.  The top's format node has what `disk` says of cache,
 * discard and detect-zeroes, and stands on `below`, an image of this machine that has nodes already, or (NULL) on the chain's own, or, where
 * there is none, on nothing.  Writable as it was opened.  0, or -1 with QEMU's answer and all of it taken away again. */
int chain_attach(Domain *d, const DiskDef *disk, Chain *c, const StorageSource *below, Err *err);
/* The same in two steps, for who needs QEMU to see the file before it is an image: storage nodes of all images and format nodes of all but the
 * top; then the top's format node.  If the second fails the first is not undone: chain_detach(). */
int chain_attach_storage(Domain *d, const DiskDef *disk, Chain *c, Err *err);
int chain_attach_format(Domain *d, const DiskDef *disk, Chain *c, const StorageSource *below, Err *err);

/* Takes the nodes and descriptors of `src` and the images below it, down to `stop` (not included; NULL: all), out of QEMU.  For images no
 * device and no job uses any more.  What QEMU does not have or does not let go is logged; safe when the machine has ended.  (A paused QEMU
 * keeps the descriptors, without locks, until the monitor is connected anew.) */
void chain_detach(Domain *d, const StorageSource *src, const StorageSource *stop);
/* Its commands, for who has others to send with them (qmp_requests_add, blockjobs_take_out). */
void chain_detach_commands(const StorageSource *src, const StorageSource *stop, GArray *commands);

/* Lets QEMU write to an image of `disk` that is below the top, as a commit into it needs; no effect when it can already.  There is no way back
 * nor a need for one: a node that could write takes no lock against others while nobody above it writes.  VIR_ERR_OPERATION_FAILED when
 * the path now leads to another file than QEMU has open. */
int chain_make_writable(Domain *d, const DiskDef *disk, const StorageSource *src, Err *err);

/* ---- making images (chain_create.c) -------------------------------------------------------------------------------------------- */

typedef struct ChainCreate {
    uint64_t size;                /* what the guest will see, bytes */
    uint32_t cluster_size;        /* qcow2 only; 0: QEMU's choice */
    const StorageSource *backing; /* named in the new header with its format; NULL: none */
    const char *backing_name;     /* how: NULL is by backing->path */
    const char *what;             /* for messages: "external snapshot", "external destination" */
    const char *dst;              /* for messages: the disk's target */
} ChainCreate;

/* Makes the image `src` (path, format raw, qcow2 or qed) by qemu-img, which is killed when storage does not answer.  A file with contents is not
 * overwritten (VIR_ERR_CONFIG_UNSUPPORTED); an empty one, a block device and an export are.  *ret_made says whether the file is new: unlink it
 * (chain_unmake) when what it was for fails.  Removed again on failure.  The lock is released meanwhile. */
int chain_create(Domain *d, const StorageSource *src, const ChainCreate *how, bool *ret_made, Err *err);
/* Removes a file chain_create() made.  Storage that does not answer is left alone after a while; what fails is logged.  Lock released
 * meanwhile. */
void chain_unmake(Domain *d, const StorageSource *src);
