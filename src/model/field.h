/* model/field.h - one description per XML element: parse, format, copy, free, compare derive from it
 *
 * Theory of operation
 *   A Table describes one element: its struct (size) and rows of Field in the order libvirt writes them, attributes first.  A row says
 *   where the value stands (attribute, text of a child, presence of a child …), what it is (string, enum, number …) and where it lives
 *   in the struct.  A GROUP is a child element whose values live in the same struct; PTR and LIST children have structs of their own.
 *   CUSTOM rows bring their own parse and format; the memory behind them is described by MEMORY rows.  REFUSE rows are what libvirt
 *   knows and Berth does not do: meeting one is VIR_ERR_CONFIG_UNSUPPORTED, never silence.  What no row names is unknown: collected,
 *   or with PARSE_VALIDATE an error.
 *
 * Invariants
 *   Copying a struct is a byte copy plus a deep copy of the rows that own memory, so plain values need no MEMORY row for copying, but
 *   one for comparing.  The first of several equal children counts, as in libvirt.  At most FIELD_MAX rows per table.
 */
#pragma once

#include <stdio.h>

#include "model/domain_def.h"
#include "util/xml.h"

#define FIELD_MAX 128

typedef enum {
    AT_ATTR,   /* attribute */
    AT_LEAF,   /* text of a child element */
    AT_TEXT,   /* text of the element itself */
    AT_FLAG,   /* presence of an empty child: bool */
    AT_GROUP,  /* child element, same struct */
    AT_PTR,    /* child element, allocated struct */
    AT_LIST,   /* child elements, GPtrArray of structs */
    AT_CUSTOM, /* child element, own hooks */
    AT_FORMAT, /* no input, only written: hooks->format */
    AT_MEMORY, /* nothing in XML */
    AT_REFUSE, /* known, not done: child element, or attribute when name starts with '@' */
    AT_IGNORE, /* known, accepted without effect on purpose (name as in AT_REFUSE) */
} FieldPlace;

typedef enum {
    T_NONE,
    T_STR,
    T_ENUM,   /* int-sized enum with a word table */
    T_YESNO,  /* TriState */
    T_ONOFF,  /* TriState */
    T_BOOL,   /* bool written yes/no, written only when true */
    T_OPT,    /* OptU64, decimal */
    T_OPT_HEX, /* OptU64, 0x… */
    T_OPT_INT, /* OptI64 */
    T_U64,    /* uint64_t, 0 is absent */
    T_UINT,   /* unsigned, 0 is absent */
    T_BYTES,  /* plain memory of `max` bytes */
    T_TABLE,  /* struct behind a pointer (AT_PTR) or embedded (AT_GROUP) */
    T_LIST,   /* GPtrArray of structs */
    T_STRLIST, /* GPtrArray of strings */
} FieldType;

typedef enum {
    REQUIRED = 1 << 0, /* absence is an error */
    LIVE = 1 << 1,     /* may change on a running guest (update-device) */
    ABI = 1 << 2,      /* the guest sees it */
    SECRET = 1 << 3,   /* written only with FORMAT_SECURE */
    STATUS = 1 << 4,   /* written only to the status file */
    RUNTIME = 1 << 5,  /* of a running guest: neither read with PARSE_INACTIVE nor written with FORMAT_INACTIVE */
    ALWAYS = 1 << 6,   /* group written though empty */
    NONZERO = 1 << 7,  /* 0 is not a value */
    BASE0 = 1 << 8,    /* 0x… is accepted too */
    UNSUPPORTED = 1 << 10, /* a word that is not in the table is VIR_ERR_CONFIG_UNSUPPORTED, as libvirt has it here */
    NO_START = 1 << 12, /* kept in the definition, and refused by qemu/ at a start: for docs/support.md */
    CHECKED = 1 << 11, /* sub lists what may stand inside; the row's hook reads it (AT_CUSTOM, AT_IGNORE) */
    NOT_DEFAULT = 1 << 9, /* an enum's "default" word is refused */
} FieldFlags;

typedef struct Table Table;
typedef struct Field Field;

typedef struct ParseCtx {
    ParseFlags flags;
    GPtrArray *unknown; /* may be NULL */
    Err *err;
} ParseCtx;

typedef struct FormatCtx {
    XmlWriter w;
    FormatFlags flags;
    const DomainDef *def; /* NULL for a lone device */
} FormatCtx;

typedef struct FieldHooks {
    int (*parse)(ParseCtx *c, xmlNode *node, void *base, const Field *f);
    void (*format)(FormatCtx *c, const void *base, const Field *f);
} FieldHooks;

struct Field {
    const char *name;
    FieldPlace at;
    FieldType type;
    uint32_t off;
    uint32_t flags;
    const char *const *words; /* T_ENUM */
    uint32_t max;             /* T_ENUM: X_MAX; numbers: highest value, 0 no limit; T_BYTES: size */
    const Table *sub;
    const FieldHooks *hooks;
};

struct Table {
    const char *element;
    uint32_t size;
    uint32_t head; /* bytes at the front that are the object's and not its contents (a counter): zero in a copy */
    uint32_t n;
    const Field *fields;
    /* After all rows: checks and defaults that concern more than one. */
    int (*finish)(ParseCtx *c, xmlNode *node, void *base);
    /* Struct start values before parsing (lists). */
    void (*init)(void *base);
};

#define TABLE(name_, element_, Struct, ...)                                                                            \
    const Table name_ = {.element = element_, .size = sizeof(Struct), .fields = name_##_fields,                       \
                         .n = N_ELEMENTS(name_##_fields), __VA_ARGS__}
/* A group's table: same struct as its parent. */
#define GROUP_TABLE(name_, element_)                                                                                   \
    static const Table name_ = {.element = element_, .fields = name_##_fields, .n = N_ELEMENTS(name_##_fields)}

#define ROW(at_, type_, name_, S, m, fl, ...)                                                                          \
    {.name = name_, .at = at_, .type = type_, .off = offsetof(S, m), .flags = (fl), __VA_ARGS__}
/* attributes */
#define A_STR(n, S, m, fl)         ROW(AT_ATTR, T_STR, n, S, m, fl)
#define A_ENUM(n, S, m, W, MAX, fl) ROW(AT_ATTR, T_ENUM, n, S, m, fl, .words = W, .max = MAX)
#define A_YESNO(n, S, m, fl)       ROW(AT_ATTR, T_YESNO, n, S, m, fl)
#define A_ONOFF(n, S, m, fl)       ROW(AT_ATTR, T_ONOFF, n, S, m, fl)
#define A_BOOL(n, S, m, fl)        ROW(AT_ATTR, T_BOOL, n, S, m, fl)
#define A_OPT(n, S, m, fl, hi)     ROW(AT_ATTR, T_OPT, n, S, m, fl, .max = hi)
#define A_HEX(n, S, m, fl, hi)     ROW(AT_ATTR, T_OPT_HEX, n, S, m, fl, .max = hi)
#define A_OPT_INT(n, S, m, fl)     ROW(AT_ATTR, T_OPT_INT, n, S, m, fl)
#define A_UINT(n, S, m, fl)        ROW(AT_ATTR, T_UINT, n, S, m, fl)
/* texts of children, own text */
#define L_STR(n, S, m, fl)         ROW(AT_LEAF, T_STR, n, S, m, fl)
#define L_ENUM(n, S, m, W, MAX, fl) ROW(AT_LEAF, T_ENUM, n, S, m, fl, .words = W, .max = MAX)
#define L_U64(n, S, m, fl)         ROW(AT_LEAF, T_U64, n, S, m, fl)
#define L_OPT(n, S, m, fl)         ROW(AT_LEAF, T_OPT, n, S, m, fl)
#define TXT_STR(S, m, fl)          ROW(AT_TEXT, T_STR, "text", S, m, fl)
#define FLAG(n, S, m, fl)          ROW(AT_FLAG, T_BYTES, n, S, m, fl, .max = 1)
/* children */
#define GROUP(n, table_, fl)       {.name = n, .at = AT_GROUP, .type = T_TABLE, .flags = (fl), .sub = &table_}
#define EMBED(n, S, m, table_, fl) ROW(AT_GROUP, T_TABLE, n, S, m, fl, .sub = &table_)
#define PTR(n, S, m, table_, fl)   ROW(AT_PTR, T_TABLE, n, S, m, fl, .sub = &table_)
#define LIST(n, S, m, table_, fl)  ROW(AT_LIST, T_LIST, n, S, m, fl, .sub = &table_)
/* hooks_.parse fills what MEMORY rows describe; doc_: table that describes the element for docs, or NULL */
#define CUSTOM(n, hooks_, doc_, fl) {.name = n, .at = AT_CUSTOM, .flags = (fl), .hooks = &hooks_, .sub = doc_}
#define WRITTEN(n, hooks_)         {.name = n, .at = AT_FORMAT, .hooks = &hooks_}
/* memory behind CUSTOM rows */
#define M_STR(n, S, m, fl)         ROW(AT_MEMORY, T_STR, n, S, m, fl)
#define M_BYTES(n, S, m, fl)       ROW(AT_MEMORY, T_BYTES, n, S, m, fl, .max = sizeof(((S *)0)->m))
#define M_PTR(n, S, m, table_, fl) ROW(AT_MEMORY, T_TABLE, n, S, m, fl, .sub = &table_)
#define M_EMBED(n, S, m, table_, fl) ROW(AT_MEMORY, T_BYTES, n, S, m, fl, .max = 0, .sub = &table_)
#define M_LIST(n, S, m, table_, fl) ROW(AT_MEMORY, T_LIST, n, S, m, fl, .sub = &table_)
#define M_OPT(n, S, m, fl)         ROW(AT_MEMORY, T_OPT, n, S, m, fl)
#define M_STRLIST(n, S, m, fl)     ROW(AT_MEMORY, T_STRLIST, n, S, m, fl)
#define REFUSE(n)                  {.name = n, .at = AT_REFUSE}
#define IGNORE(n)                  {.name = n, .at = AT_IGNORE}

/* ---- field_parse.c --------------------------------------------------------------------------------------------------------- */

/* Fills `base` from `node`.  -1 with Err; what was filled in is freed with the struct. */
int table_parse(ParseCtx *c, const Table *t, xmlNode *node, void *base);
/* Only notes or refuses what `t` does not allow in `node`. */
int table_check(ParseCtx *c, const Table *t, xmlNode *node);
/* Allocates and fills; NULL with Err. */
void *table_parse_new(ParseCtx *c, const Table *t, xmlNode *node);
/* Zeroed struct after init. */
void *table_new(const Table *t);
/* "/domain/devices/disk line 7".  Caller frees. */
char *node_where(const xmlNode *node);
/* Notes an unknown element or attribute; an error under PARSE_VALIDATE. */
int note_unknown(ParseCtx *c, const xmlNode *node, const char *attr);
/* VIR_ERR_CONFIG_UNSUPPORTED for the element, or for an attribute of it whatever it says. */
int refuse_element(ParseCtx *c, const xmlNode *node, const char *attr);
/* The same for what an attribute says: the message quotes it. */
int refuse_word(ParseCtx *c, const xmlNode *node, const char *attr);
/* VIR_ERR_XML_ERROR for a value: names attribute (NULL: the text), element, line and `allowed` (may be NULL). */
int bad_value(ParseCtx *c, const xmlNode *node, const char *attr, const char *value, const char *allowed);
/* The same with VIR_ERR_CONFIG_UNSUPPORTED, where libvirt uses that. */
int unsupported_value(ParseCtx *c, const xmlNode *node, const char *attr, const char *value, const char *allowed);
int missing_attr(ParseCtx *c, const xmlNode *node, const char *attr);
/* Attribute without namespace; caller frees; NULL when absent. */
char *node_attr(const xmlNode *node, const char *name);
/* All text inside; never NULL; caller frees. */
char *node_text(const xmlNode *node);
/* First child element without namespace of that name, or NULL. */
xmlNode *node_child(const xmlNode *node, const char *name);
bool node_is(const xmlNode *node, const char *name);
/* Strict number of base 10 (0: 0x… too). */
bool parse_u64(const char *text, int base, uint64_t max, uint64_t *ret);
/* Number of the attribute; absent: *ret untouched.  0, or -1 with Err. */
int attr_u64(ParseCtx *c, const xmlNode *node, const char *attr, int base, uint64_t max, uint64_t *ret, bool *ret_given);
/* Enum of the attribute; absent: *ret untouched.  attr_enum_u: a foreign word is VIR_ERR_CONFIG_UNSUPPORTED. */
int attr_enum_u(ParseCtx *c, const xmlNode *node, const char *attr, const char *const *words, int max, void *ret);
int attr_enum(ParseCtx *c, const xmlNode *node, const char *attr, const char *const *words, int max, void *ret);

/* ---- field_format.c -------------------------------------------------------------------------------------------------------- */

/* Attributes and children of an element already begun. */
void table_format_inside(FormatCtx *c, const Table *t, const void *base);
/* The whole element. */
void table_format(FormatCtx *c, const Table *t, const void *base);
/* Is a row with these flags written under c's flags? */
bool field_written(const FormatCtx *c, uint32_t flags);
/* Is it a running machine, shown to a client as it is now? */
bool format_is_live(const FormatCtx *c);

/* ---- field_memory.c -------------------------------------------------------------------------------------------------------- */

/* Frees what the struct owns, not the struct. */
void table_clear(const Table *t, void *base);
void table_free(const Table *t, void *base);
void *table_copy(const Table *t, const void *base);
/* Calls `changed` for each difference: path below the element, the row's flags.  Returns the number of differences. */
typedef DefChangedFn ChangedFn;
unsigned table_diff(const Table *t, const void *a, const void *b, const char *path, ChangedFn changed, void *ud);

/* ---- tables of other files ------------------------------------------------------------------------------------------------- */

extern const Table address_table, chr_source_table, storage_source_table, domain_table;
#define DEVICE(ID, element, Struct, table, member) extern const Table table;
#include "model/devices.def"
const Table *device_table(DeviceKind kind);

/* The head of every device (model/dev_info.c), for a struct whose first member is `DeviceInfo info`.  Two macros, because controllers
 * write <master> between alias and address.  <boot> is of what firmware can boot, <rom> of what has one: elsewhere they are unknown elements. */
extern const FieldHooks address_hooks, info_alias_hooks;
extern const Table info_boot_table, info_rom_table, info_acpi_table, info_alias_table;
#define INFO_BOOT GROUP("boot", info_boot_table, 0)
#define INFO_HEAD CUSTOM("alias", info_alias_hooks, &info_alias_table, CHECKED)
#define INFO_ROM GROUP("rom", info_rom_table, 0)
#define INFO_TAIL                                                                                                      \
    GROUP("acpi", info_acpi_table, 0),                                                                                 \
        CUSTOM("address", address_hooks, &address_table, ABI | CHECKED),                                                        \
        M_STR("alias/@name", DeviceInfo, alias, RUNTIME), M_BYTES("address", DeviceInfo, addr, ABI)
#define INFO_ROWS INFO_HEAD, INFO_TAIL
