/* domain/complete.h - definitions from outside made whole
 */
#pragma once

#include "domain/driver.h"

/* Parses, completes (emulator, machine, addresses, uuid …) and validates what a client sent.  Unknown elements are
 * logged once, or with `strict` an error.  May probe a QEMU binary: sleeps, no lock held.  A reference, or NULL with
 * Err. */
DomainDef *domain_def_from_client(DomainDriver *drv, const char *xml, bool strict, Err *err);
/* Completes and validates a writable definition in place. */
int domain_def_make_whole(DomainDriver *drv, DomainDef *def, Err *err);
/* Capabilities of the binary a definition uses; one reference.  Sleeps. */
struct QemuCaps *domain_def_caps(DomainDriver *drv, const DomainDef *def, Err *err);
