/* host/image.c - disk images: opened in a child that can be killed, their chains followed
 *
 * Owns:    the opener child and the two messages between it and us
 * Threads: any that may sleep
 * Locks:   none
 * Errors:  VIR_ERR_SYSTEM_ERROR, VIR_ERR_OPERATION_FAILED, VIR_ERR_OPERATION_INVALID, VIR_ERR_OPERATION_TIMEOUT
 *
 * Theory of operation.  The child does as little as possible: it gets a path and open flags, opens, looks, and sends back what it found
 * with the descriptor; or it gets a descriptor somebody else opened and only looks.  It allocates nothing, so the fork needs no exec.
 * Headers are parsed here, and here it is decided which backing file comes next.  When the deadline passes, the child is killed and left alone: a process that hangs in the kernel does not even die,
 * so it is only reaped, by a later call, once it has.
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/image.h"
#include "util/fd.h"
#include "util/pool.h"
#include "util/spawn.h"

#define HEADER_BYTES 65536u
#define HEADER_WANTS (IMAGE_WANT_CHAIN | IMAGE_WANT_PROBE | IMAGE_WANT_HEADER)

/* Us to the child. */
typedef struct OpenRequest {
    int open_flags;
    bool want_header, any_type;
    bool opened; /* the descriptor comes with the request */
    bool remove; /* the name, instead of opening it */
    uint64_t offset; /* of the bytes that are sent back as header */
    char path[IMAGE_MAX_PATH];
} OpenRequest;

/* The child to us, with the descriptor when there is no error. */
typedef struct OpenReply {
    int error;
    bool is_block;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    uint64_t dev, ino; /* of a block device: its number, 0 */
    uint64_t size, allocated;
    uint32_t header_len;
    uint8_t header[HEADER_BYTES];
} OpenReply;

/* ---- the child: system calls only -------------------------------------------------------------------------------------------- */

/* Looks at an open file; fills the reply. */
static void child_look(const OpenRequest *q, OpenReply *r, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        r->error = errno;
        return;
    }
    r->is_block = S_ISBLK(st.st_mode);
    r->mode = st.st_mode;
    r->uid = st.st_uid;
    r->gid = st.st_gid;
    r->dev = r->is_block ? st.st_rdev : st.st_dev;
    r->ino = r->is_block ? 0 : st.st_ino;
    r->size = (uint64_t)st.st_size;
    r->allocated = (uint64_t)st.st_blocks * 512;
    if (!r->is_block && !S_ISREG(st.st_mode) && !(q->any_type && !S_ISDIR(st.st_mode))) {
        r->error = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        return;
    }
    if (r->is_block) {
        uint64_t bytes = 0;
        if (ioctl(fd, BLKGETSIZE64, &bytes) == 0)
            r->size = r->allocated = bytes;
    }
    if (!q->opened && !(q->open_flags & O_NONBLOCK)) {
        int fl = fcntl(fd, F_GETFL);
        if (fl < 0 || fcntl(fd, F_SETFL, fl & ~O_NONBLOCK) < 0) {
            r->error = errno;
            return;
        }
    }
    if (q->want_header) {
        ssize_t n = pread(fd, r->header, HEADER_BYTES, (off_t)q->offset);
        if (n < 0)
            r->error = errno;
        else
            r->header_len = (uint32_t)n;
    }
}

/* Opens and looks; fills the reply, returns the descriptor or -1. */
static int child_open(const OpenRequest *q, OpenReply *r)
{
    /* a FIFO or a device must not keep us; the flag goes away again for what may block */
    int fd = open(q->path, q->open_flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        r->error = errno;
    else
        child_look(q, r, fd);
    return fd;
}

/* Ancillary data of one descriptor, aligned. */
typedef union FdMessage {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int))];
} FdMessage;

/* One packet, with a descriptor when fd >= 0.  Both sides use it: no allocation. */
static bool send_packet(int sock, void *data, size_t len, int fd)
{
    struct iovec iov = {.iov_base = data, .iov_len = len};
    FdMessage m;
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        memset(&m, 0, sizeof(m));
        msg.msg_control = m.space;
        msg.msg_controllen = sizeof(m.space);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    return sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)len;
}

/* The length of the packet, -1 with errno; *ret_fd is the descriptor that came with it, or -1. */
static ssize_t receive_packet(int sock, void *data, size_t len, int *ret_fd)
{
    FdMessage m;
    struct iovec iov = {.iov_base = data, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = m.space, .msg_controllen = sizeof(m.space)};
    ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    *ret_fd = -1;
    struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
    if (n >= 0 && *ret_fd < 0 && (msg.msg_flags & MSG_CTRUNC)) {
        errno = EMFILE; /* it was sent and found no number here */
        return -1;
    }
    return n;
}

static void __attribute__((noreturn)) child_run(int sock, OpenRequest *q, OpenReply *r)
{
    /* nothing of the daemon's stays open here should this process outlive its use */
    if (dup2(sock, 0) < 0)
        _exit(1);
    syscall(SYS_close_range, 1u, ~0u, 0u);
    for (;;) {
        int fd;
        if (receive_packet(0, q, sizeof(*q), &fd) != (ssize_t)sizeof(*q))
            _exit(0);
        memset(r, 0, offsetof(OpenReply, header));
        if (q->remove)
            r->error = unlink(q->path) < 0 ? errno : 0;
        else if (q->opened)
            child_look(q, r, fd);
        else
            fd = child_open(q, r);
        size_t len = offsetof(OpenReply, header) + r->header_len;
        bool sent = send_packet(0, r, len, q->opened || r->error ? -1 : fd);
        if (fd >= 0)
            close(fd);
        if (!sent)
            _exit(1);
    }
}

/* ---- our side ---------------------------------------------------------------------------------------------------------------- */

typedef struct Opener {
    int sock;
    int pidfd;
    OpenRequest *request;
    OpenReply *reply;
    Deadline deadline;
} Opener;

static int opener_start(Opener *o, Deadline d, Err *err)
{
    int s[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0)
        return err_set_errno(err, errno, "cannot open images: socket pair");
    *o = (Opener){.sock = s[0], .pidfd = -1, .request = g_new0(OpenRequest, 1), .reply = g_new0(OpenReply, 1), .deadline = d};
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = fork();
    if (pid == 0)
        child_run(s[1], o->request, o->reply);
    int e = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    close(s[1]);
    if (pid < 0)
        return err_set_errno(err, e, "cannot open images: new process");
    o->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (o->pidfd < 0) {
        e = errno;
        kill(pid, SIGKILL); /* it waits for its first request: nothing of storage holds it */
        waitpid(pid, NULL, 0);
        return err_set_errno(err, e, "cannot open images: pidfd");
    }
    return 0;
}

static void opener_end(Opener *o)
{
    fd_close(&o->sock);
    Child c = {0, take_fd(&o->pidfd)};
    child_end(&c, 200);
    g_free(o->request);
    g_free(o->reply);
}

/* Receives the reply into o->reply.  The descriptor or -1 in *ret_fd. 0, or negative errno (-ETIME: the deadline). */
static int opener_receive(Opener *o, int *ret_fd)
{
    for (;;) {
        struct pollfd p = {.fd = o->sock, .events = POLLIN};
        int r = poll(&p, 1, deadline_left_ms(o->deadline));
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r > 0)
            break;
        if (deadline_passed(o->deadline))
            return -ETIME;
    }
    ssize_t n = receive_packet(o->sock, o->reply, sizeof(*o->reply), ret_fd);
    if (n < 0)
        return -errno;
    size_t head = offsetof(OpenReply, header);
    if ((size_t)n < head || o->reply->header_len > HEADER_BYTES || (size_t)n != head + o->reply->header_len) {
        fd_close(ret_fd);
        return -EPIPE; /* the child died */
    }
    return 0;
}

/* Sends o->request and receives the reply. */
static int opener_ask(Opener *o, const char *path, int passed, int *ret_fd, Err *err)
{
    if (!send_packet(o->sock, o->request, sizeof(*o->request), passed))
        return err_set_errno(err, errno, "cannot open '%s': sending to the opener", path);
    int r = opener_receive(o, ret_fd);
    if (r == -ETIME) {
        err_set(err, VIR_ERR_OPERATION_TIMEOUT, "storage did not answer in time while '%s' was being %s", path,
                o->request->remove ? "removed" : "opened");
        return err_hint(err, "is the file system or device that holds it reachable?");
    }
    if (r < 0)
        return err_set_errno(err, -r, r == -EPIPE ? "cannot open '%s': the opener ended" : "cannot open '%s'", path);
    return 0;
}

/* `passed` is a descriptor to look at instead of opening the path, or -1. */
static int opener_open(Opener *o, const ImageWant *want, const char *path, int flags, int passed, int *ret_fd, Err *err)
{
    if (strlen(path) >= sizeof(o->request->path))
        return err_set_errno(err, ENAMETOOLONG, "cannot open '%.200s…'", path);
    OpenRequest *q = o->request;
    memset(q, 0, sizeof(*q));
    q->open_flags = flags;
    q->want_header = want->flags & HEADER_WANTS;
    q->any_type = want->flags & IMAGE_WANT_ANY_TYPE;
    q->opened = passed >= 0;
    g_strlcpy(q->path, path, sizeof(q->path));
    return opener_ask(o, path, passed, ret_fd, err);
}

/* ---- chains ------------------------------------------------------------------------------------------------------------------ */

static void node_free(void *p)
{
    ImageNode *n = p;
    fd_close(&n->fd);
    g_free(n->path);
    image_header_clear(&n->header);
    image_nbd_free(n->nbd);
    g_free(n);
}

ImageSet *image_set_free(ImageSet *s)
{
    if (s) {
        g_ptr_array_unref(s->nodes);
        g_free(s);
    }
    return NULL;
}

ImageNode *image_set_node(ImageSet *s, unsigned want, unsigned depth)
{
    for (unsigned i = 0; i < s->nodes->len; i++) {
        ImageNode *n = s->nodes->pdata[i];
        if (n->want == want && n->depth == depth)
            return n;
    }
    return NULL;
}

static int open_failed(const OpenReply *r, const char *path, const ImageNode *above, Err *err)
{
    if (above) {
        err_set_system(err, VIR_FROM_STORAGE, r->error, "cannot open backing file '%s' of image '%s'", path, above->path);
        g_autofree char *image = g_shell_quote(above->path);
        if (r->error == ENOENT)
            err_hint(err, "put it back, or say where it is now: qemu-img rebase -u -f %s -b FILE -F %s %s", image_fmt_names[above->header.fmt],
                     above->header.backing_fmt_name ? above->header.backing_fmt_name : "FORMAT", image);
    } else if (r->error == EINVAL || r->error == EISDIR) {
        err_set_system(err, VIR_FROM_STORAGE, r->error, "'%s' is neither a file nor a block device", path);
    } else {
        err_set_system(err, VIR_FROM_STORAGE, r->error, "cannot open '%s'", path);
    }
    return -1;
}

/* Each file of a chain is in it once. */
static int note_seen(const ImageWant *want, const char *path, const OpenReply *r, const ImageNode *above, GHashTable *seen, Err *err)
{
    bool is_new = g_hash_table_add(seen, g_strdup_printf("%" PRIx64 ":%" PRIx64, r->dev, r->ino));
    if (is_new || !(want->flags & (IMAGE_WANT_CHAIN | IMAGE_WANT_BELOW)))
        return 0;
    err_set(err, VIR_ERR_OPERATION_FAILED, "backing chain of '%s' contains '%s' twice", want->path, path);
    if (!above)
        return err_hint(err, "<backingStore> of the definition names it although it is above");
    g_autofree char *image = g_shell_quote(above->path);
    return err_hint(err, "'%s' names it as its backing file; the right one is set with: qemu-img rebase -u -f %s -b FILE -F FORMAT %s",
                    above->path, image_fmt_names[above->header.fmt], image);
}

/* Opens one file of a want's chain and appends its node. */
static int open_node(Opener *o, ImageSet *set, const ImageWant *want, unsigned index, unsigned depth, const char *path, ImageFmt fmt,
                     ImageNode *above, GHashTable *seen, ImageNode **ret, Err *err)
{
    AUTO_CLOSE int fd = -1;
    int flags = depth == 0 ? want->open_flags : O_RDONLY;
    int passed = depth == 0 && (want->flags & IMAGE_WANT_FD) ? want->fd : -1;
    if (opener_open(o, want, path, flags, passed, &fd, err) < 0)
        return -1;
    const OpenReply *r = o->reply;
    if (passed >= 0 && !r->error && (fd = fcntl(passed, F_DUPFD_CLOEXEC, 3)) < 0)
        return err_set_errno(err, errno, "cannot duplicate the descriptor of '%s'", path);
    bool missing = r->error == ENOENT && depth == 0 && (want->flags & IMAGE_WANT_OPTIONAL);
    if (r->error && !missing)
        return open_failed(r, path, above, err);
    if (!missing && note_seen(want, path, r, above, seen, err) < 0)
        return -1;
    ImageHeader h = {.fmt = fmt};
    if (!missing && (want->flags & HEADER_WANTS) &&
        image_header_parse(r->header, r->header_len, fmt, path, &h, err) < 0)
        return -1;
    if (h.virtual_size == 0 && h.fmt == IMAGE_FMT_RAW)
        h.virtual_size = r->size;
    ImageNode *n = g_new(ImageNode, 1);
    *n = (ImageNode){
        .want = index,
        .depth = depth,
        .path = g_strdup(path),
        .fd = want->flags & IMAGE_WANT_PROBE ? -1 : take_fd(&fd),
        .error = r->error,
        .is_block = r->is_block,
        .file_size = r->size,
        .allocated = r->allocated,
        .dev = r->dev,
        .ino = r->ino,
        .mode = r->mode,
        .uid = r->uid,
        .gid = r->gid,
        .header = h,
    };
    g_ptr_array_add(set->nodes, n);
    *ret = n;
    return 0;
}

static gint probing_allowed;

void image_allow_probing(bool allow)
{
    g_atomic_int_set(&probing_allowed, allow);
}

/* The format of the file below `n`: as recorded, or, where that is allowed, as it looks. */
static int backing_format(Opener *o, const ImageWant *want, const ImageNode *n, const char *path, ImageFmt *ret, Err *err)
{
    ImageFmt looks = IMAGE_FMT_NONE;
    if (n->header.backing_fmt_name == NULL) {
        AUTO_CLOSE int fd = -1;
        if (opener_open(o, want, path, O_RDONLY, -1, &fd, err) < 0)
            return -1;
        if (o->reply->error)
            return open_failed(o->reply, path, n, err);
        looks = image_fmt_by_magic(o->reply->header, o->reply->header_len);
        if (g_atomic_int_get(&probing_allowed)) {
            ImageHeader h;
            if (image_header_parse(o->reply->header, o->reply->header_len, looks, path, &h, err) < 0)
                return -1;
            bool alone = !h.backing && !h.data_file;
            image_header_clear(&h);
            if (alone) {
                *ret = looks;
                return 0;
            }
        }
    }
    return image_backing_format(n->path, &n->header, path, looks, ret, err);
}

/* `seen`: files of the chain so far. */
static int open_want(Opener *o, ImageSet *set, const ImageWant *want, unsigned index, GHashTable *seen, Err *err)
{
    if (!(want->flags & IMAGE_WANT_BELOW))
        g_hash_table_remove_all(seen);
    g_autofree char *path = g_strdup(want->path);
    ImageFmt fmt = want->fmt;
    ImageNode *above = NULL;
    for (unsigned depth = 0;; depth++) {
        ImageNode *n = NULL;
        if (depth >= IMAGE_MAX_DEPTH) {
            err_set(err, VIR_ERR_OPERATION_FAILED, "backing chain of '%s' is longer than %u images", want->path, IMAGE_MAX_DEPTH);
            return err_hint(err, "make it shorter with qemu-img commit or qemu-img rebase, while no guest uses it");
        }
        if (open_node(o, set, want, index, depth, path, fmt, above, seen, &n, err) < 0)
            return -1;
        if (n->header.data_file && (want->flags & IMAGE_WANT_CHAIN))
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "external data file '%s' of image '%s'", n->header.data_file, n->path);
        if (!(want->flags & IMAGE_WANT_CHAIN) || n->header.backing == NULL)
            return 0;
        n->nbd = image_backing_nbd(&n->header);
        if (n->nbd)
            return image_backing_format(n->path, &n->header, n->header.backing, IMAGE_FMT_RAW, &n->nbd_fmt, err); /* read by QEMU alone */
        char *next = image_backing_path(n->path, &n->header, err);
        if (next == NULL)
            return -1;
        g_free(path);
        path = next;
        if (backing_format(o, want, n, path, &fmt, err) < 0)
            return -1;
        above = n;
    }
}

static GHashTable *seen_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

ImageSet *image_open(const ImageWant *wants, unsigned n, Deadline d, Err *err)
{
    if (n > IMAGE_MAX_WANTS) {
        err_set(err, VIR_ERR_INTERNAL_ERROR, "%u images", n);
        return NULL;
    }
    g_autoptr(ImageSet) set = g_new0(ImageSet, 1);
    set->nodes = g_ptr_array_new_with_free_func(node_free);
    if (n == 0)
        return g_steal_pointer(&set);
    Opener o = {.sock = -1, .pidfd = -1};
    int r = opener_start(&o, d, err);
    if (r < 0 && o.request == NULL)
        return NULL;
    g_autoptr(GHashTable) seen = seen_new();
    pool_blocking_begin();
    for (unsigned i = 0; i < n && r == 0; i++)
        r = open_want(&o, set, &wants[i], i, seen, err);
    opener_end(&o);
    pool_blocking_end();
    return r == 0 ? g_steal_pointer(&set) : NULL;
}

ImageSet *image_look(const ImageWant *wants, unsigned n, Deadline d)
{
    ImageSet *set = g_new0(ImageSet, 1);
    set->nodes = g_ptr_array_new_with_free_func(node_free);
    if (n == 0 || n > IMAGE_MAX_WANTS)
        return set;
    Opener o = {.sock = -1, .pidfd = -1};
    g_auto(Err) err = ERR_INIT;
    int r = opener_start(&o, d, &err);
    if (r < 0 && o.request == NULL)
        return set;
    g_autoptr(GHashTable) seen = seen_new();
    pool_blocking_begin();
    for (unsigned i = 0; i < n && r == 0; i++) {
        g_auto(Err) one = ERR_INIT; /* of this image only: the next may be fine, unless nobody opens any more */
        if (open_want(&o, set, &wants[i], i, seen, &one) < 0 && (deadline_passed(d) || one.os_errno == EPIPE))
            r = -1;
    }
    opener_end(&o);
    pool_blocking_end();
    return set;
}

/* A child for one file only; *o is to be ended in any case, unless this returns false. */
static bool single_start(Opener *o, const char *path, Deadline d, int *ret, Err *err)
{
    *ret = opener_start(o, d, err);
    if (*ret < 0 && o->request == NULL)
        return false;
    if (*ret == 0 && g_strlcpy(o->request->path, path, sizeof(o->request->path)) >= sizeof(o->request->path))
        *ret = err_set_errno(err, ENAMETOOLONG, "cannot use '%.200s…'", path);
    return true;
}

/* The opened file stays with the child's answers: each asks for the next piece by the same descriptor. */
static int read_pieces(Opener *o, const char *path, uint64_t offset, uint8_t *buffer, size_t size, Err *err)
{
    AUTO_CLOSE int fd = -1;
    for (size_t done = 0; done < size;) {
        int got = -1;
        OpenRequest *q = o->request;
        q->open_flags = O_RDONLY;
        q->want_header = true;
        q->opened = fd >= 0;
        q->offset = offset + done;
        if (opener_ask(o, path, fd, &got, err) < 0)
            return -1;
        if (fd < 0)
            fd = got;
        else
            fd_close(&got);
        if (o->reply->error)
            return open_failed(o->reply, path, NULL, err);
        size_t n = MIN((size_t)o->reply->header_len, size - done);
        memcpy(buffer + done, o->reply->header, n);
        done += n;
        if (n == 0) {
            memset(buffer + done, 0, size - done);
            break;
        }
    }
    return 0;
}

int image_read(const char *path, uint64_t offset, uint8_t *buffer, size_t size, Deadline d, Err *err)
{
    if (offset > INT64_MAX - size)
        return err_set(err, VIR_ERR_INVALID_ARG, "offset %" PRIu64 " is beyond the end of any file", offset);
    Opener o = {.sock = -1, .pidfd = -1};
    int r;
    if (!single_start(&o, path, d, &r, err))
        return -1;
    pool_blocking_begin();
    if (r == 0)
        r = read_pieces(&o, path, offset, buffer, size, err);
    opener_end(&o);
    pool_blocking_end();
    return r;
}

int image_remove(const char *path, Deadline d, Err *err)
{
    Opener o = {.sock = -1, .pidfd = -1};
    int r, fd = -1;
    if (!single_start(&o, path, d, &r, err))
        return -1;
    o.request->remove = true;
    pool_blocking_begin();
    if (r == 0)
        r = opener_ask(&o, path, -1, &fd, err);
    if (r == 0 && o.reply->error && o.reply->error != ENOENT)
        r = err_set_errno(err, o.reply->error, "cannot remove '%s'", path);
    opener_end(&o);
    pool_blocking_end();
    return r;
}
