/* daemon/tls.h - TLS as the configuration wants it
 */
#pragma once

#include "daemon/conf.h"
#include "daemon/server.h"
#include "rpc/tls.h"

/* Nothing is read yet.  `config` is shared. */
Tls *tls_new(EventLoop *client_loop, DaemonConfig *config, bool privileged);
/* After the server's connections are gone and no worker runs.  NULL is fine. */
void tls_free(Tls *tls);
/* Reads certificates, key and lists: from now on TLS is served.  ListenSpec.tls_ready.  0 or -1. */
int tls_ready(void *tls, Err *err);
/* ListenSpec.tls_transport. */
RpcTransport *tls_transport(void *tls, RpcConn *c, int fd, Err *err);
/* Another configuration, taken over by the next tls_reload. */
void tls_set_config(Tls *tls, DaemonConfig *config);
/* Reads everything again and uses it for new handshakes; sessions go on, but those of clients it would not let in end.  On failure the old
 * stays in use.  Without a TLS socket: 0, nothing to do.  Client event thread or a worker.  For SIGHUP and the admin call server-update-tls. */
int tls_reload(Tls *tls, Err *err);
/* Is there a socket for TLS? */
bool tls_in_use(Tls *tls);
