/* domain/display.h - screens: pictures of them, and connections to them
 *
 * QUERY or MODIFY job and lock held; machine running.
 */
#pragma once

#include "domain/domain.h"

/* A picture of the machine's screen `screen` of the video device that is the primary one.  *ret_fd: an open, already unlinked file at
 * offset 0.  *ret_mime: static. */
int domain_screenshot(Domain *d, unsigned screen, int *ret_fd, const char **ret_mime, Err *err);
/* Gives QEMU the server end of a connection to graphics device `idx`, as if a viewer had connected.  `fd` stays the caller's.
 * skip_auth: the viewer needs no password. */
int domain_open_graphics(Domain *d, unsigned idx, int fd, bool skip_auth, Err *err);
