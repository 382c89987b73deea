/* daemon/listen_net.h - TCP sockets to listen on
 */
#pragma once

#include "util/err.h"

/* Takes a listening socket (moved, also on failure); `name` is its address for people.  0 or -1. */
typedef int ListenNetGot(void *ud, int fd, const char *name, Err *err);

/* Opens a socket for each address of `addr` (IPv4, IPv6, a name; NULL: all of the host) at `port` (a number or the name of a service) and
 * gives them to `got`.  A kernel without one of the two families is fine.  `key` is what an error names: "tcp_port".  Looks names up, so
 * before the client loop runs.  0 or -1. */
int listen_net_open(const char *key, const char *addr, const char *port, int backlog, ListenNetGot *got, void *ud, Err *err);
/* "192.0.2.1:16509" or "[2001:db8::1]:16509" of a socket; caller frees. */
char *listen_net_name(int fd);
