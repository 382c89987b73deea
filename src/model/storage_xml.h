/* model/storage_xml.h - <source> and <backingStore> of a disk (dev_storage.c)
 */
#pragma once

#include "model/field.h"

int storage_source_parse(ParseCtx *c, xmlNode *node, StorageSource *src, StartupPolicy *ret_policy);
void storage_source_format(FormatCtx *c, const StorageSource *src, StartupPolicy policy);
/* The chain below: `parent` is <disk> or <backingStore>. */
int storage_backing_parse(ParseCtx *c, xmlNode *parent, StorageSource *src);
void storage_backing_format(FormatCtx *c, const StorageSource *src);

/* ---- dev_mirror.c ---------------------------------------------------------------------------------------------------------- */

extern const FieldHooks mirror_hooks;
/* What the hooks read, for documentation. */
extern const Table mirror_table;
