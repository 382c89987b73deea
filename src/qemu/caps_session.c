/* qemu/caps_session.c - a short QMP conversation with a QEMU that runs no guest
 *
 * Owns:    the child, our end of its monitor socket, its last words
 * Threads: the worker that started it
 * Locks:   none
 * Errors:  VIR_ERR_INTERNAL_ERROR with what QEMU wrote to stderr, VIR_ERR_OPERATION_TIMEOUT
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "util/fd.h"
#include "util/pool.h"
#include "qemu/caps_session.h"

/* What QEMU wrote to stderr, as far as an error quotes it. */
#define LAST_WORDS 1024

struct CapsSession {
    Child child;
    bool running;
    int fd;          /* monitor */
    int err_fd;      /* memfd behind its stderr */
    Deadline d;
    QmpCodec codec;
    json_t *answers; /* of the present round */
    size_t wanted;
    char *binary;
};

/* ": text" of what it said, or "" (caller frees). */
static char *last_words(CapsSession *s)
{
    char buf[LAST_WORDS + 1];
    ssize_t n = s->err_fd >= 0 ? pread(s->err_fd, buf, LAST_WORDS, 0) : 0;
    if (n <= 0)
        return g_strdup("");
    buf[n] = '\0';
    g_autofree char *valid = g_utf8_make_valid(buf, n);
    g_strchomp(valid);
    return *valid ? g_strconcat(": ", valid, NULL) : g_strdup("");
}

static int fail(CapsSession *s, Err *err, int code, const char *what)
{
    g_autofree char *words = last_words(s);
    return err_set(err, code, "probing %s: %s%s", s->binary, what, words);
}

static bool on_message(void *userdata, json_t *msg)
{
    CapsSession *s = userdata;
    if (json_object_get(msg, "return") || json_object_get(msg, "error"))
        json_array_append(s->answers, msg);
    return true;
}

/* Writes all of out while reading answers until there are enough. */
static int converse(CapsSession *s, const char *out, size_t len, Err *err)
{
    char buf[65536];
    while (len || json_array_size(s->answers) < s->wanted) {
        struct pollfd p = {.fd = s->fd, .events = (short)(POLLIN | (len ? POLLOUT : 0))};
        int r = poll(&p, 1, deadline_left_ms(s->d));
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return fail(s, err, VIR_ERR_OPERATION_TIMEOUT, "QEMU did not answer in time");
        if (len && (p.revents & POLLOUT)) {
            ssize_t n = send(s->fd, out, len, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                return fail(s, err, VIR_ERR_INTERNAL_ERROR, "QEMU ended");
            if (n > 0) {
                out += n;
                len -= (size_t)n;
            }
        }
        if (!(p.revents & (POLLIN | POLLHUP | POLLERR)))
            continue;
        ssize_t n = recv(s->fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return fail(s, err, VIR_ERR_INTERNAL_ERROR, "QEMU ended");
        if (qmp_codec_feed(&s->codec, buf, (size_t)n, on_message, s, err) < 0)
            return err_wrap(err, "probing %s", s->binary);
    }
    return 0;
}

json_t *caps_session_round(CapsSession *s, json_t *commands, Err *err)
{
    g_autoptr(GString) out = g_string_new(NULL);
    size_t i;
    json_t *cmd;
    json_array_foreach (commands, i, cmd) {
        char *text = json_dumps(cmd, JSON_COMPACT);
        g_string_append(out, text ? text : "{}");
        g_string_append_c(out, '\n');
        free(text);
    }
    s->answers = json_array();
    s->wanted = json_array_size(commands);
    json_decref(commands);
    pool_blocking_begin();
    int r = converse(s, out->str, out->len, err);
    pool_blocking_end();
    json_t *answers = g_steal_pointer(&s->answers);
    if (r == 0)
        return answers;
    json_decref(answers);
    return NULL;
}

/* Groups of the account: that of /dev/kvm is usually among them. */
static unsigned account_groups(CapsAccount account, gid_t *groups, unsigned max)
{
    struct passwd pw, *found = NULL;
    char buf[4096];
    int n = (int)max;
    if (getpwuid_r(account.uid, &pw, buf, sizeof(buf), &found) != 0 || !found ||
        getgrouplist(pw.pw_name, account.gid, groups, &n) < 0) {
        groups[0] = account.gid;
        return 1;
    }
    return (unsigned)n;
}

CapsSession *caps_session_start(const char *binary, CapsAccount account, const char *accel, Deadline d, Err *err)
{
    g_autoptr(CapsSession) s = g_new0(CapsSession, 1);
    s->fd = s->err_fd = -1;
    s->d = d;
    s->binary = g_strdup(binary);
    qmp_codec_init(&s->codec, QMP_MAX_LINE, QMP_MAX_DEPTH);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        err_set_errno(err, errno, "cannot make a monitor socket");
        return NULL;
    }
    s->fd = pair[0];
    AUTO_CLOSE int theirs = pair[1];
    s->err_fd = memfd_create("probe-stderr", MFD_CLOEXEC);
    g_autofree char *machine = g_strdup_printf("none,accel=%s", accel);
    const char *const argv[] = {binary, "-S", "-no-user-config", "-nodefaults", "-nographic", "-machine", machine, "-chardev",
                                "socket,id=mon,fd=3", "-mon", "chardev=mon,mode=control", NULL};
    const SpawnFd fds[] = {{.fd = theirs, .target = 3}};
    SpawnOpts opts = {.argv = argv, .fd_in = -1, .fd_out = -1, .fd_err = s->err_fd, .fds = fds, .n_fds = 1, .new_session = true,
                      .die_with_parent = true, .no_new_privs = true, .exec_by = d};
    gid_t groups[64];
    if (account.uid != (uid_t)-1 && account.uid != 0 && geteuid() == 0) {
        opts.change_ids = true;
        opts.uid = account.uid;
        opts.gid = account.gid;
        opts.groups = groups;
        opts.n_groups = account_groups(account, groups, N_ELEMENTS(groups));
    }
    if (spawn(&opts, &s->child, err) < 0) {
        err_wrap(err, "probing %s", binary);
        return NULL;
    }
    s->running = true;
    return g_steal_pointer(&s);
}

void *caps_session_end(CapsSession *s)
{
    if (!s)
        return NULL;
    if (s->running)
        child_kill(&s->child);
    fd_close(&s->fd);
    fd_close(&s->err_fd);
    qmp_codec_done(&s->codec);
    g_free(s->binary);
    g_free(s);
    return NULL;
}
