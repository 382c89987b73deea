/* domain/domain_struct.h - the fields of a machine; for the files of this folder only
 */
#pragma once

struct Domain {
    Object obj; /* lock, changed, uuid */
    DomainDriver *drv;
    char *name;
    DomainDef *config, *live;
    int id, state, reason;
    uint64_t life; /* moves on at every start and every end */
    bool persistent, autostart, updated, removing;
    struct DomainPrivate *priv; /* monitor, process, inbox, job queue, view (domain/private.h) */
};
