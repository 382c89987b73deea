/* util/closer.h - closing descriptors of strangers
 *
 * close() of a descriptor somebody else has made may sleep as long as they like: a socket that lingers, a file whose file system they serve.
 * Who may not sleep gives such descriptors away.
 */
#pragma once

/* Takes `n` descriptors (those >= 0; each becomes -1) and closes them on a thread of its own.  Any thread; does not sleep. */
void fd_close_elsewhere(int *fds, unsigned n);
/* Sleeps until all that was given is closed; for tests. */
void fd_closer_wait(void);
