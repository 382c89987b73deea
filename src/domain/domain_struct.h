/* domain/domain_struct.h - the fields of a machine; for the files of this folder only
 */
#pragma once

#include "domain/forward.h"
#include "model/stored_def.h"
#include "object/object.h"

struct Domain {
    Object obj; /* lock, changed, uuid */
    DomainDriver *drv;
    char *name;
    StoredDef *config;
    DomainDef *live;
    int id, state, reason;
    uint64_t life; /* moves on at every start and every end */
    bool persistent, autostart, updated, removing;
    struct StatsSlot *stats; /* of stats.h; NULL until statistics were asked (atomic) */
    struct DomainPrivate *priv; /* monitor, process, inbox, job queue, view (domain/private.h) */
};
