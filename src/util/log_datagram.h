/* util/log_datagram.h - log lines to the journal and to syslog, by datagrams that never wait
 *
 * The libraries' own calls sleep while the receiver's queue is full, so a journal that hangs would hang every thread that has something to
 * say.  Here a line that is not taken is lost and counted; log.c says how many there were.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"
#define LOG_SYSLOG_SOCKET  "/dev/log"

typedef struct LogEntryField {
    const char *prefix, *key, *value; /* PREFIXKEY=value; prefix "" for none */
} LogEntryField;

/* Sends one entry in the journal's native protocol (KEY=value lines; a value with line ends goes with its length).  Any thread; never waits.
 * False when it was not taken. */
bool log_journal_send(const LogEntryField *fields, size_t n);
/* The same over a socket of the caller's own (AF_UNIX, SOCK_DGRAM), waiting as long as that waits (SO_SNDTIMEO).  0 or negative errno. */
int log_journal_send_on(int fd, const LogEntryField *fields, size_t n);
/* Sends a line to syslog as facility daemon.  name: of the program; the line's end is cut off.  As above. */
bool log_syslog_send(int priority, const char *name, const char *line);
