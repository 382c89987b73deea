/* domain/taint.h - what about a running machine makes its behaviour hard to answer for
 */
#pragma once

#include "domain/domain.h"
#include "qemu/caps.h"

/* The remarks on a running machine, in words for people and in the order clients know them: char*, owned by the array; empty when it is
 * off.  flags: VIR_DOMAIN_MESSAGE_*, 0: all.  caps: of its emulator, NULL: not known now.  Never blocks. */
GPtrArray *domain_messages(const DomainView *v, const QemuCaps *caps, unsigned flags);
