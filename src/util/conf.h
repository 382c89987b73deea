/* util/conf.h - configuration files described by rows
 *
 * The syntax is libvirt's: one `key = value` a line, value an integer, a 'string' or "string" (or """string""" over several lines), or a
 * [ list, of, strings ] that may span lines; # starts a comment.  One ConfKey row a key describes name, type, default, bounds, place in
 * the struct, and the paragraph that sample file and man page show.
 */
#pragma once

#include "util/err.h"

#define CONF_MAX_BYTES (1u << 20) /* a larger file is refused unread */
#define CONF_MAX_ITEMS 4096u      /* entries of one list */

typedef enum {
    CONF_BOOL,    /* bool: 0 or 1 */
    CONF_INT,     /* int, min..max */
    CONF_SIZE,    /* uint64_t: a number, or "unlimited" = UINT64_MAX */
    CONF_STRING,  /* char *: NULL when empty */
    CONF_LIST,    /* char **: NULL-ended; a single string is a list of one */
    CONF_ENUM,    /* int: index into `words` */
    CONF_MODE,    /* unsigned: permissions as octal digits in a string, "0770" */
    CONF_PORT,    /* char *: a port number from 1 to 65535, quoted or not, or the name of a service */
    CONF_REFUSED, /* known and not honoured: its appearance is an error that gives `text` as the reason */
    CONF_IGNORED, /* known, and without meaning here: accepted, with a note in the log that gives `text` */
} ConfType;

typedef enum {
    CONF_RELOAD = 1 << 0, /* SIGHUP applies it; without, a restart */
    CONF_SECRET = 1 << 1, /* never shown in messages */
    CONF_FIXED = 1 << 2,  /* only the preset is accepted; `refusal` says why */
    CONF_INERT = 1 << 3,  /* accepted and of no effect yet; a value other than the preset makes a note, `refusal` says why */
} ConfFlags;

typedef struct ConfKey {
    const char *name;         /* NULL ends the rows */
    ConfType type;
    size_t offset;
    const char *preset;       /* the default, as one would write it in the file; NULL: unset (NULL, 0) */
    int64_t min, max;         /* CONF_INT; both 0: any int */
    const char *const *words; /* CONF_ENUM and, when set, CONF_STRING/LIST: NULL-ended list of what is allowed */
    unsigned flags;
    const char *heading;      /* starts a group of the sample file and the man page; NULL: same group */
    const char *text;         /* what it does, one paragraph; for REFUSED and IGNORED the reason */
    const char *refusal;      /* for FIXED, INERT and words left out: why; a clause without full stop */
    const char *example;      /* shown in the sample where preset is NULL; in file syntax */
} ConfKey;

/* Called for each line that is accepted but deserves a word (ignored keys). */
typedef void ConfNote(const char *file, unsigned line, const char *note, void *arg);

/* Fills `object` (zeroed) with the defaults of all rows. */
void conf_defaults(const ConfKey *keys, void *object);
/* Parses `len` bytes over what `object` holds.  `name` stands for the file in errors: "FILE:LINE: …".  Unknown key: the error names the
 * nearest known one.  A key given twice: the last wins, as in libvirt.  On failure the object must still be freed with conf_free(). */
int conf_parse(const ConfKey *keys, void *object, const char *name, const char *text, size_t len, ConfNote *note, void *arg,
               Err *err);
/* The same from a file of at most CONF_MAX_BYTES; a missing one is an empty one. */
int conf_load(const ConfKey *keys, void *object, const char *path, ConfNote *note, void *arg, Err *err);
/* Frees strings and lists and makes them NULL. */
void conf_free(const ConfKey *keys, void *object);
/* The next row from *pos on whose value differs between two objects; NULL: no more.  *pos (0 at first) moves past it. */
const ConfKey *conf_next_change(const ConfKey *keys, const void *a, const void *b, unsigned *pos);

/* conf_doc.c: both from the rows alone, so they cannot drift from what the parser does. */
/* The file one would install: every key commented out at its default, with its paragraph.  `intro` heads it.  Caller frees. */
char *conf_sample(const ConfKey *keys, const char *intro);
/* The same as mdoc(7) list items for a man page, headings as .Ss. */
char *conf_man(const ConfKey *keys);
