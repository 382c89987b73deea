/* util/log_datagram.c - log lines to the journal and to syslog, by datagrams that never wait
 *
 * Owns:    its two sockets, made when first needed and kept for the process; not what a line says (log.c)
 * Threads: any
 * Locks:   none; a socket is published by one atomic exchange
 * Errors:  a line that is not taken is the caller's to count
 */
#include "config.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "util/fd.h"
#include "util/log_datagram.h"

#define VALUE_MAX 65536u /* a datagram has to fit into the socket's buffer; what is longer is cut */
#define STAMP "%b %e %H:%M:%S"

static int journal_fd = -1, syslog_fd = -1; /* atomic */

/* One socket for all threads.  It is not connected: a journal that starts anew is reached without further ado. */
static int socket_of(int *slot)
{
    int fd = __atomic_load_n(slot, __ATOMIC_ACQUIRE), none = -1;
    if (fd >= 0)
        return fd;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || __atomic_compare_exchange_n(slot, &none, fd, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return fd;
    fd_close(&fd);
    return none;
}

static int send_by(int fd, const char *path, const void *data, size_t len, int flags)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    g_strlcpy(to.sun_path, path, sizeof(to.sun_path));
    ssize_t n;
    do {
        n = sendto(fd, data, len, flags | MSG_NOSIGNAL, (const struct sockaddr *)&to, sizeof(to));
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static bool send_to(int fd, const char *path, const void *data, size_t len)
{
    return fd >= 0 && send_by(fd, path, data, len, MSG_DONTWAIT) == 0;
}

static void put_field(GString *out, const LogEntryField *f)
{
    size_t len = strnlen(f->value, VALUE_MAX);
    bool lines = memchr(f->value, '\n', len) != NULL;
    g_string_append(out, f->prefix);
    g_string_append(out, f->key);
    g_string_append_c(out, lines ? '\n' : '=');
    if (lines) {
        uint64_t size = GUINT64_TO_LE((uint64_t)len);
        g_string_append_len(out, (const char *)&size, sizeof(size));
    }
    g_string_append_len(out, f->value, (gssize)len);
    g_string_append_c(out, '\n');
}

static GString *entry_of(const LogEntryField *fields, size_t n)
{
    GString *out = g_string_sized_new(512);
    for (size_t i = 0; i < n; i++)
        put_field(out, &fields[i]);
    return out;
}

int log_journal_send_on(int fd, const LogEntryField *fields, size_t n)
{
    g_autoptr(GString) out = entry_of(fields, n);
    return send_by(fd, LOG_JOURNAL_SOCKET, out->str, out->len, 0);
}

bool log_journal_send(const LogEntryField *fields, size_t n)
{
    g_autoptr(GString) out = entry_of(fields, n);
    return send_to(socket_of(&journal_fd), LOG_JOURNAL_SOCKET, out->str, out->len);
}

bool log_syslog_send(int priority, const char *name, const char *line)
{
    char stamp[32];
    struct tm tm;
    time_t now = time(NULL);
    localtime_r(&now, &tm);
    strftime(stamp, sizeof(stamp), STAMP, &tm);
    size_t len = strnlen(line, VALUE_MAX);
    if (len > 0 && line[len - 1] == '\n')
        len--;
    g_autofree char *whole = g_strdup_printf("<%d>%s %s[%d]: %.*s", LOG_DAEMON | priority, stamp, name, (int)getpid(), (int)len, line);
    return send_to(socket_of(&syslog_fd), LOG_SYSLOG_SOCKET, whole, strlen(whole));
}
