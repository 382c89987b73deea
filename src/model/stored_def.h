/* model/stored_def.h - a definition at rest: its text, and what is asked about it all the time
 *
 * Ten thousand machines that are off are ten thousand texts, not ten thousand trees of structs.  A StoredDef is immutable and
 * refcounted; who needs more than the numbers reads the text into a DomainDef of its own.
 */
#pragma once

#include "model/domain_def.h"

/* What a definition says in numbers, shown without reading its text. */
typedef struct DefNumbers {
    uint64_t max_memory_kib, cur_memory_kib;
    unsigned max_vcpus, cur_vcpus;
    const char *os_type; /* interned, or NULL */
} DefNumbers;

DefNumbers domain_def_numbers(const DomainDef *d);

typedef struct StoredDef {
    gint refs;
    uint32_t len; /* of the text */
    DefNumbers numbers;
    uint8_t uuid[UUID_LEN];
    bool plain;  /* the text is the same with and without secrets and for any but the migratable form */
    char text[]; /* as domain_def_format() writes it with FORMAT_INACTIVE | FORMAT_SECURE, NUL-ended */
} StoredDef;

/* The text of `d`. */
StoredDef *stored_def_new(const DomainDef *d);
/* The same from parts; `text` need not end in NUL. */
StoredDef *stored_def_from_text(const char *text, size_t len, const DefNumbers *numbers, const uint8_t uuid[UUID_LEN], bool plain);
StoredDef *stored_def_ref(const StoredDef *s);
void stored_def_unref(StoredDef *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoredDef, stored_def_unref)
/* What the text of a file of ours says: whole, or NULL with Err. */
DomainDef *domain_def_parse_stored(const char *text, Err *err);
/* Reads the text: writable, one reference.  NULL with Err when it cannot be read, which is a bug for what stored_def_reread() accepted. */
DomainDef *stored_def_parse(const StoredDef *s, Err *err);
/* What a daemon that starts makes of the text.  A reference, to `s` itself when nothing
 * changes.  NULL with Err when the text cannot be read: nobody should store that. */
StoredDef *stored_def_reread(const StoredDef *s, Err *err);
/* What belongs into the file so that the next daemon shows what this one does: the above, and whether reading that gives it back
 * (*ret_fixed, as defs_save() wants it).  A reference; NULL with Err: it must not be stored. */
StoredDef *stored_def_for_file(const StoredDef *s, bool *ret_fixed, Err *err);
/* The same with disks and controllers in order.  A reference; NULL with Err as stored_def_parse. */
StoredDef *stored_def_resort(const StoredDef *s, Err *err);
bool stored_def_equal(const StoredDef *a, const StoredDef *b);
/* The text in another form.  Caller frees; NULL with Err as stored_def_parse. */
char *stored_def_format(const StoredDef *s, FormatFlags flags, Err *err);
