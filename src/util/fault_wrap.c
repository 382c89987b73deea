/* util/fault_wrap.c - a fault point before every system call that can fail in life
 *
 * Owns:    the list of calls; linked into the daemon alone, in --enable-faults builds, with --wrap for each of them (fault.mk)
 * Threads: any, and children between clone and exec
 * Errors:  those of the call, as the test wants them
 *
 * --wrap sends our own references to NAME to __wrap_NAME; libraries keep the real one.  So no line of the code shows a point, and none can
 * be forgotten.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <jansson.h>
#include <libxml/parser.h>
#include <rpc/rpc.h>

#include "util/fault.h"

/* One function: its real one declared, the wrapper declared and defined. */
#define WRAP(type, name, params, args, failed, point)                                                                                      \
    type __real_##name params;                                                                                                             \
    type __wrap_##name params;                                                                                                             \
    type __wrap_##name params                                                                                                              \
    {                                                                                                                                      \
        int e = point;                                                                                                                     \
        if (e) {                                                                                                                           \
            errno = e;                                                                                                                     \
            return failed;                                                                                                                 \
        }                                                                                                                                  \
        return __real_##name args;                                                                                                         \
    }

#define WRAP_PATH(type, name, params, args, failed, path, usual) WRAP(type, name, params, args, failed, fault_point(#name, path, usual))
#define WRAP_FD(type, name, params, args, usual) WRAP(type, name, params, args, -1, fault_point_fd(#name, fd, usual))
#define WRAP_BARE(type, name, params, args, failed, usual) WRAP(type, name, params, args, failed, fault_point(#name, NULL, usual))

WRAP_PATH(int, mkdir, (const char *path, mode_t mode), (path, mode), -1, path, ENOSPC)
WRAP_PATH(int, g_mkdir_with_parents, (const char *path, int mode), (path, mode), -1, path, ENOSPC)
WRAP_PATH(int, unlink, (const char *path), (path), -1, path, EROFS)
WRAP_PATH(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), -1, path, EROFS)
WRAP_PATH(int, rmdir, (const char *path), (path), -1, path, EROFS)
WRAP_PATH(int, rename, (const char *from, const char *to), (from, to), -1, to, ENOSPC)
WRAP_PATH(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), -1, to, ENOSPC)
WRAP_PATH(int, symlink, (const char *target, const char *path), (target, path), -1, path, ENOSPC)
WRAP_PATH(int, chmod, (const char *path, mode_t mode), (path, mode), -1, path, EPERM)
WRAP_PATH(int, chown, (const char *path, uid_t u, gid_t g), (path, u, g), -1, path, EPERM)
WRAP_PATH(int, fchownat, (int fd, const char *path, uid_t u, gid_t g, int flags), (fd, path, u, g, flags), -1, path, EPERM)
WRAP_PATH(int, mkostemp, (char *path, int flags), (path, flags), -1, path, ENOSPC)
WRAP_PATH(DIR *, opendir, (const char *path), (path), NULL, path, EMFILE)
WRAP_PATH(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL, path, EMFILE)

WRAP_FD(ssize_t, read, (int fd, void *buf, size_t n), (fd, buf, n), EIO)
WRAP_FD(ssize_t, pread, (int fd, void *buf, size_t n, off_t at), (fd, buf, n, at), EIO)
WRAP_FD(ssize_t, write, (int fd, const void *buf, size_t n), (fd, buf, n), ENOSPC)
WRAP_FD(int, fsync, (int fd), (fd), EIO)
WRAP_FD(int, fdatasync, (int fd), (fd), EIO)
WRAP_FD(int, ftruncate, (int fd, off_t n), (fd, n), EIO)
WRAP_FD(int, fchmod, (int fd, mode_t mode), (fd, mode), EROFS)
WRAP_FD(int, fchown, (int fd, uid_t u, gid_t g), (fd, u, g), EPERM)
WRAP_FD(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), EADDRINUSE)
WRAP_FD(int, listen, (int fd, int backlog), (fd, backlog), EADDRINUSE)
WRAP_FD(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), ECONNREFUSED)
WRAP_FD(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags), EMFILE)
WRAP_FD(ssize_t, send, (int fd, const void *buf, size_t n, int flags), (fd, buf, n, flags), ECONNRESET)
WRAP_FD(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags), ECONNRESET)
WRAP_FD(ssize_t, recv, (int fd, void *buf, size_t n, int flags), (fd, buf, n, flags), ECONNRESET)
WRAP_FD(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags), ECONNRESET)

WRAP_BARE(int, socket, (int a, int b, int c), (a, b, c), -1, EMFILE)
WRAP_BARE(int, socketpair, (int a, int b, int c, int v[2]), (a, b, c, v), -1, EMFILE)
WRAP_BARE(int, pipe2, (int v[2], int flags), (v, flags), -1, EMFILE)
WRAP_BARE(int, eventfd, (unsigned n, int flags), (n, flags), -1, EMFILE)
WRAP_BARE(int, pthread_create, (pthread_t * t, const pthread_attr_t *a, void *(*fn)(void *), void *arg), (t, a, fn, arg), e, EAGAIN)
WRAP_BARE(int, sd_event_add_io, (sd_event * l, sd_event_source **s, int fd, uint32_t ev, sd_event_io_handler_t cb, void *ud),
          (l, s, fd, ev, cb, ud), -e, ENOMEM)
WRAP_BARE(int, sd_event_add_time,
          (sd_event * l, sd_event_source **s, clockid_t c, uint64_t at, uint64_t acc, sd_event_time_handler_t cb, void *ud),
          (l, s, c, at, acc, cb, ud), -e, ENOMEM)

/* ---- libraries that allocate as much as what they are given wants ----------------------------------------------------------------- */

json_t *__real_json_loadb(const char *s, size_t n, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *s, size_t n, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *s, size_t n, size_t flags, json_error_t *error)
{
    if (!fault_point("json_loadb", NULL, ENOMEM))
        return __real_json_loadb(s, n, flags, error);
    *error = (json_error_t){.text = "out of memory"};
    return NULL;
}

WRAP_BARE(xmlDoc *, xmlCtxtReadMemory, (xmlParserCtxt * c, const char *s, int n, const char *url, const char *encoding, int options),
          (c, s, n, url, encoding, options), NULL, ENOMEM)

#define WRAP_DECODE(name, params, args) WRAP(bool_t, name, params, args, FALSE, x->x_op == XDR_DECODE ? fault_point(#name, NULL, ENOMEM) : 0)
WRAP_DECODE(xdr_string, (XDR * x, char **s, u_int max), (x, s, max))
WRAP_DECODE(xdr_bytes, (XDR * x, char **s, u_int *n, u_int max), (x, s, n, max))
WRAP_DECODE(xdr_array, (XDR * x, char **a, u_int *n, u_int max, u_int size, xdrproc_t proc), (x, a, n, max, size, proc))

/* ---- those with a varying number of arguments ------------------------------------------------------------------------------------ */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __real_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, ...);

int __wrap_open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    int e = fault_point("open", path, (flags & O_CREAT) ? ENOSPC : EMFILE);
    if (e) {
        errno = e;
        return -1;
    }
    return __real_open(path, flags, mode);
}

int __wrap_openat(int dir, const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    int e = fault_point("openat", path, (flags & O_CREAT) ? ENOSPC : EMFILE);
    if (e) {
        errno = e;
        return -1;
    }
    return __real_openat(dir, path, flags, mode);
}

int __wrap_fcntl(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    int e = cmd == F_DUPFD_CLOEXEC ? fault_point("dup", NULL, EMFILE) : cmd == F_SETLK ? fault_point("lock", NULL, ENOLCK) : 0;
    if (e) {
        errno = e;
        return -1;
    }
    return __real_fcntl(fd, cmd, arg);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    int e = fault_point_fd("ioctl", fd, EBUSY);
    if (e) {
        errno = e;
        return -1;
    }
    return __real_ioctl(fd, request, arg);
}

static int syscall_fault(long nr)
{
    switch (nr) {
    case SYS_clone3:
        return fault_point("clone3", NULL, EAGAIN);
    case SYS_pidfd_open:
        return fault_point("pidfd_open", NULL, EMFILE);
    case SYS_memfd_create:
        return fault_point("memfd_create", NULL, EMFILE);
    default:
        return 0;
    }
}

/* A child before its exec comes through here too, and must not meet what a sanitizer would add. */
__attribute__((no_sanitize("address", "undefined"))) long __wrap_syscall(long nr, ...)
{
    va_list ap;
    va_start(ap, nr);
    long a[6];
    for (unsigned i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    int e = syscall_fault(nr);
    if (e) {
        errno = e;
        return -1;
    }
    long r = __real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (nr == SYS_clone3 && r > 0)
        fault_child((int)r);
    return r;
}
