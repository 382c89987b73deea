/* domain/console.h - the host end of a machine's character devices
 */
#pragma once

#include "domain/domain.h"

/* The pty or socket of the device with alias `name`; NULL: the first console, else serial, else parallel; with `channel` set: among
 * channels, by alias or virtio name, NULL: the first.  View only: no lock, no waiting.  *ret_path: caller frees.  *ret_is_socket: to
 * be connected to rather than opened. */
int domain_console_find(const DomainView *v, const char *name, bool channel, char **ret_path, bool *ret_is_socket, Err *err);
/* Opens it, non-blocking, close-on-exec.  A descriptor or -1. */
int domain_console_open(const char *path, bool is_socket, Err *err);
