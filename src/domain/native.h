/* domain/native.h - a definition as the command line it would start with, for people to read
 */
#pragma once

#include "domain/driver.h"

/* The command line of `xml` in the layout of domxml-to-native; nothing is started, opened or reserved.  Caller frees.  May probe a QEMU
 * binary: workers, no lock. */
char *domain_native_argv(DomainDriver *drv, const char *xml, Err *err);
