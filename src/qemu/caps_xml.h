/* qemu/caps_xml.h - capabilities documents, and the questions beside them
 *
 * All may have to probe a binary: they sleep, on workers only.  Strings returned are freed by the caller with g_free.
 */
#pragma once

#include "host/node.h"
#include "qemu/caps.h"

typedef struct CapsHost {
    uint8_t uuid[UUID_LEN];
    NodeTopology *topology; /* borrowed */
    uid_t qemu_uid;         /* base label of the dac security model */
    gid_t qemu_gid;
    bool live_migration;    /* offered at all */
} CapsHost;

/* <capabilities>: the host, and a <guest> for each architecture whose emulator is installed.  An emulator that cannot be probed is
 * left out with a warning in the log. */
char *capabilities_xml(QemuCapsCache *cc, const CapsHost *host, Deadline d, Err *err);

/* What is not given (NULL) is chosen: host's architecture, its emulator, KVM where it is usable, the default machine. */
typedef struct DomCapsRequest {
    const char *emulator, *arch, *machine, *virttype;
} DomCapsRequest;

/* The emulator and accelerator meant: a reference, or NULL with Err. */
QemuCaps *domcaps_emulator(QemuCapsCache *cc, const DomCapsRequest *rq, Deadline d, QemuAccel *ret_accel, Err *err);

/* <domainCapabilities>.  An emulator named by a client is executed (as the QEMU account): not for read-only clients. */
char *domcapabilities_xml(QemuCapsCache *cc, const DomCapsRequest *rq, Deadline d, Err *err);

/* Named CPU models of an architecture, NULL-ended (g_strfreev).  Unknown architecture: VIR_ERR_INVALID_ARG; known but without an
 * emulator here: empty, which tells clients that any name is accepted. */
char **cpu_model_names(QemuCapsCache *cc, const char *arch, Deadline d, Err *err);

/* ConnectGetMaxVcpus: -1 with Err for an unknown type.  NULL: of "qemu". */
int qemu_max_vcpus_of_type(const char *type, Err *err);

/* vCPUs a machine type allows with an accelerator; 0: unknown machine. */
unsigned qemu_caps_max_vcpus(const QemuCaps *caps, QemuAccel accel, const char *machine);
