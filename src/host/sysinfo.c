/* host/sysinfo.c - <sysinfo type='smbios'> of this host
 *
 * Owns:    which fields of which structures are shown, and the standard's names for their codes
 * Threads: any
 * Locks:   none
 * Errors:  Err
 *
 * libvirt's daemon runs dmidecode and picks lines of its output; clients know those words, so the names of codes are
 * the ones printed there.  The table is read directly instead: no child, no text to parse.  A code this file has no
 * name for, and a field the firmware left out, give no entry.  Where the table may not be read (an unprivileged
 * daemon), the strings in /sys/class/dmi/id stand in.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define ERR_FROM VIR_FROM_QEMU
#include "host/hostfs.h"
#include "host/smbios.h"
#include "host/sysinfo.h"

enum {
    SMBIOS_BIOS = 0,
    SMBIOS_SYSTEM = 1,
    SMBIOS_BASE_BOARD = 2,
    SMBIOS_CHASSIS = 3,
    SMBIOS_PROCESSOR = 4,
    SMBIOS_OEM_STRINGS = 11,
    SMBIOS_MEMORY_DEVICE = 17,
};

/* ---- writing --------------------------------------------------------------------------------- */

/* An element is written when it gets its first entry. */
typedef struct Section {
    GString *out;
    const char *element;
    bool open;
} Section;

static void section_open(Section *s)
{
    if (!s->open)
        g_string_append_printf(s->out, "  <%s>\n", s->element);
    s->open = true;
}

static void section_close(Section *s)
{
    if (s->open)
        g_string_append_printf(s->out, "  </%s>\n", s->element);
    s->open = false;
}

static void entry_named(Section *s, const char *name, const char *value)
{
    if (!value || !value[strspn(value, " ")])
        return;
    section_open(s);
    g_autofree char *escaped = g_markup_escape_text(value, -1);
    if (name)
        g_string_append_printf(s->out, "    <entry name='%s'>%s</entry>\n", name, escaped);
    else
        g_string_append_printf(s->out, "    <entry>%s</entry>\n", escaped);
}

/* Takes the value over. */
static void entry_take(Section *s, const char *name, char *value)
{
    entry_named(s, name, value);
    g_free(value);
}

typedef struct StringField {
    const char *name;
    unsigned offset;
} StringField;

static void entry_strings(Section *sec, const SmbiosStruct *s, const StringField *fields, size_t n)
{
    for (size_t i = 0; i < n; i++)
        entry_take(sec, fields[i].name, smbios_string(s, fields[i].offset));
}

static const char *code_name(const char *const names[], size_t n, unsigned code)
{
    return code < n ? names[code] : NULL;
}

/* ---- bios, system, base board, chassis ------------------------------------------------------- */

static void write_bios(GString *out, const SmbiosStruct *s)
{
    static const StringField strings[] = {{"vendor", 0x04}, {"version", 0x05}, {"date", 0x08}};
    Section sec = {out, "bios", false};
    entry_strings(&sec, s, strings, N_ELEMENTS(strings));
    unsigned major = smbios_byte(s, 0x14, 0xff), minor = smbios_byte(s, 0x15, 0xff);
    if (major != 0xff && minor != 0xff)
        entry_take(&sec, "release", g_strdup_printf("%u.%u", major, minor));
    section_close(&sec);
}

static char *system_uuid(const SmbiosStruct *s, unsigned version)
{
    if (s->len < 0x18)
        return NULL;
    const uint8_t *u = s->data + 0x08;
    bool zeros = true, ones = true;
    for (unsigned i = 0; i < UUID_LEN; i++) {
        zeros = zeros && u[i] == 0;
        ones = ones && u[i] == 0xff;
    }
    if (ones)
        return g_strdup("Not Present");
    if (zeros)
        return g_strdup("Not Settable");
    /* from 2.6 on the first three groups are little-endian numbers */
    static const uint8_t little[] = {3, 2, 1, 0, 5, 4, 7, 6}, big[] = {0, 1, 2, 3, 4, 5, 6, 7};
    const uint8_t *o = version == 0 || version >= 0x0206 ? little : big;
    return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[o[0]], u[o[1]],
                           u[o[2]], u[o[3]], u[o[4]], u[o[5]], u[o[6]], u[o[7]], u[8], u[9], u[10], u[11], u[12], u[13],
                           u[14], u[15]);
}

static void write_system(GString *out, const SmbiosStruct *s, unsigned version)
{
    static const StringField head[] = {{"manufacturer", 0x04}, {"product", 0x05}, {"version", 0x06}, {"serial", 0x07}};
    static const StringField tail[] = {{"sku", 0x19}, {"family", 0x1a}};
    Section sec = {out, "system", false};
    entry_strings(&sec, s, head, N_ELEMENTS(head));
    entry_take(&sec, "uuid", system_uuid(s, version));
    entry_strings(&sec, s, tail, N_ELEMENTS(tail));
    section_close(&sec);
}

static void write_base_board(GString *out, const SmbiosStruct *s)
{
    static const StringField strings[] = {{"manufacturer", 0x04}, {"product", 0x05}, {"version", 0x06},
                                          {"serial", 0x07},       {"asset", 0x08},   {"location", 0x0a}};
    Section sec = {out, "baseBoard", false};
    entry_strings(&sec, s, strings, N_ELEMENTS(strings));
    section_close(&sec);
}

static void write_chassis(GString *out, const SmbiosStruct *s)
{
    static const StringField strings[] = {{"manufacturer", 0x04}, {"version", 0x06}, {"serial", 0x07}, {"asset", 0x08}};
    Section sec = {out, "chassis", false};
    entry_strings(&sec, s, strings, N_ELEMENTS(strings));
    /* behind the records of what is contained: their number, then the length of one */
    entry_take(&sec, "sku", smbios_string(s, 0x15 + smbios_byte(s, 0x13, 0) * smbios_byte(s, 0x14, 0)));
    section_close(&sec);
}

/* ---- processors ------------------------------------------------------------------------------ */

/* How a family's identification reads. */
typedef enum { SIG_NONE, SIG_386, SIG_INTEL, SIG_AMD } SignatureKind;

/* The families met on hosts that run guests, and their elders; more are added as they are met. */
static const struct {
    unsigned code;
    SignatureKind signature;
    const char *name;
} families[] = {
    {0x01, SIG_NONE, "Other"},
    {0x02, SIG_NONE, "Unknown"},
    {0x05, SIG_386, "80386"},
    {0x0b, SIG_INTEL, "Pentium"},
    {0x0c, SIG_INTEL, "Pentium Pro"},
    {0x0d, SIG_INTEL, "Pentium II"},
    {0x0f, SIG_INTEL, "Celeron"},
    {0x11, SIG_INTEL, "Pentium III"},
    {0x28, SIG_INTEL, "Core Duo"},
    {0x2b, SIG_INTEL, "Atom"},
    {0x2c, SIG_INTEL, "Core M"},
    {0x66, SIG_AMD, "Athlon X4"},
    {0x67, SIG_AMD, "Opteron X1000"},
    {0x68, SIG_AMD, "Opteron X2000"},
    {0x69, SIG_AMD, "Opteron A-Series"},
    {0x6b, SIG_AMD, "Zen"},
    {0x83, SIG_AMD, "Athlon 64"},
    {0x84, SIG_AMD, "Opteron"},
    {0x86, SIG_AMD, "Turion 64"},
    {0x87, SIG_AMD, "Dual-Core Opteron"},
    {0x8a, SIG_AMD, "Quad-Core Opteron"},
    {0xa5, SIG_INTEL, "Dual-Core Xeon 5000"},
    {0xaa, SIG_INTEL, "Quad-Core Xeon"},
    {0xb0, SIG_INTEL, "Pentium III Xeon"},
    {0xb2, SIG_INTEL, "Pentium 4"},
    {0xb3, SIG_INTEL, "Xeon"},
    {0xb9, SIG_INTEL, "Pentium M"},
    {0xba, SIG_INTEL, "Celeron D"},
    {0xbb, SIG_INTEL, "Pentium D"},
    {0xbf, SIG_INTEL, "Core 2 Duo"},
    {0xc6, SIG_INTEL, "Core i7"},
    {0xcd, SIG_INTEL, "Core i5"},
    {0xce, SIG_INTEL, "Core i3"},
    {0xcf, SIG_INTEL, "Core i9"},
    {0xd6, SIG_INTEL, "Multi-Core Xeon"},
    {0x100, SIG_NONE, "ARMv7"},
    {0x101, SIG_NONE, "ARMv8"},
    {0x102, SIG_NONE, "ARMv9"},
};

static char *signature_text(SignatureKind kind, uint32_t id)
{
    unsigned family = (id >> 8) & 0xf, model = (id >> 4) & 0xf, ext_family = (id >> 20) & 0xff,
             ext_model = (id >> 12) & 0xf0;
    unsigned stepping = id & 0xf, type = (id >> 12) & 0x3;
    switch (kind) {
    case SIG_386:
        return g_strdup_printf("Type %u, Family %u, Major Stepping %u, Minor Stepping %u", (id >> 12) & 0xf, family,
                               model, stepping);
    case SIG_INTEL:
        return g_strdup_printf("Type %u, Family %u, Model %u, Stepping %u", type, family + ext_family,
                               model | ext_model, stepping);
    case SIG_AMD:
        if (family == 0xf) {
            family += ext_family;
            model |= ext_model;
        }
        return g_strdup_printf("Family %u, Model %u, Stepping %u", family, model, stepping);
    case SIG_NONE:
        break;
    }
    return NULL;
}

static char *frequency_text(unsigned mhz)
{
    return mhz ? g_strdup_printf("%u MHz", mhz) : g_strdup("Unknown");
}

static char *processor_status(unsigned status)
{
    static const char *const states[] = {"Unknown", "Enabled", "Disabled By User", "Disabled By BIOS", "Idle", NULL,
                                         NULL,      "Other"};
    if (!(status & 0x40))
        return g_strdup("Unpopulated");
    const char *state = states[status & 7];
    return g_strdup_printf("Populated%s%s", state ? ", " : "", state ? state : "");
}

static void write_processor(GString *out, const SmbiosStruct *s)
{
    static const char *const types[] = {
        NULL, "Other", "Unknown", "Central Processor", "Math Processor", "DSP Processor", "Video Processor"};
    static const StringField tail[] = {{"serial_number", 0x20}, {"part_number", 0x22}};
    Section sec = {out, "processor", false};
    entry_take(&sec, "socket_destination", smbios_string(s, 0x04));
    entry_named(&sec, "type", code_name(types, N_ELEMENTS(types), smbios_byte(s, 0x05, 0)));
    unsigned code = smbios_byte(s, 0x06, 0);
    if (code == 0xfe)
        code = smbios_word(s, 0x28, 0); /* numbers that do not fit into a byte */
    SignatureKind kind = SIG_NONE;
    for (size_t i = 0; i < N_ELEMENTS(families); i++) {
        if (families[i].code == code) {
            entry_named(&sec, "family", families[i].name);
            kind = families[i].signature;
        }
    }
    entry_take(&sec, "manufacturer", smbios_string(s, 0x07));
    if (s->len >= 0x10)
        entry_take(&sec, "signature", signature_text(kind, smbios_dword(s, 0x08, 0)));
    entry_take(&sec, "version", smbios_string(s, 0x10));
    entry_take(&sec, "external_clock", frequency_text(smbios_word(s, 0x12, 0)));
    entry_take(&sec, "max_speed", frequency_text(smbios_word(s, 0x14, 0)));
    if (s->len > 0x18)
        entry_take(&sec, "status", processor_status(smbios_byte(s, 0x18, 0)));
    entry_strings(&sec, s, tail, N_ELEMENTS(tail));
    section_close(&sec);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static char *memory_size(const SmbiosStruct *s)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    unsigned size = smbios_word(s, 0x0c, 0), unit = 1;
    uint64_t n = size;
    if (size == 0xffff)
        return g_strdup("Unknown");
    if (size == 0x7fff) {
        n = smbios_dword(s, 0x1c, 0) & 0x7fffffff;
    } else if (size & 0x8000) {
        n = size & 0x7fff;
        unit = 0;
    }
    while (n && n % 1024 == 0 && unit + 1 < N_ELEMENTS(units)) {
        n /= 1024;
        unit++;
    }
    return g_strdup_printf("%" PRIu64 " %s", n, units[unit]);
}

static char *memory_detail(unsigned bits)
{
    static const char *const names[] = {NULL,
                                        "Other",
                                        "Unknown",
                                        "Fast-paged",
                                        "Static Column",
                                        "Pseudo-static",
                                        "RAMBus",
                                        "Synchronous",
                                        "CMOS",
                                        "EDO",
                                        "Window DRAM",
                                        "Cache DRAM",
                                        "Non-Volatile",
                                        "Registered (Buffered)",
                                        "Unbuffered (Unregistered)",
                                        "LRDIMM"};
    GString *text = g_string_new(NULL);
    for (unsigned i = 1; i < N_ELEMENTS(names); i++) {
        if (bits & 1u << i)
            g_string_append_printf(text, "%s%s", text->len ? " " : "", names[i]);
    }
    if (!text->len)
        g_string_append(text, "None");
    return g_string_free(text, FALSE);
}

static char *memory_speed(const SmbiosStruct *s)
{
    uint32_t speed = smbios_word(s, 0x15, 0);
    if (speed == 0xffff)
        speed = smbios_dword(s, 0x54, 0) & 0x7fffffff;
    return speed ? g_strdup_printf("%u MT/s", speed) : g_strdup("Unknown");
}

static void write_memory_device(GString *out, const SmbiosStruct *s)
{
    static const char *const forms[] = {
        NULL,   "Other", "Unknown",      "SIMM", "SIP",    "Chip",  "DIP",     "ZIP", "Proprietary Card",
        "DIMM", "TSOP",  "Row Of Chips", "RIMM", "SODIMM", "SRIMM", "FB-DIMM", "Die"};
    static const char *const types[] = {
        NULL,    "Other", "Unknown", "DRAM",   "EDRAM",        "VRAM",   "SRAM",   "RAM",
        "ROM",   "Flash", "EEPROM",  "FEPROM", "EPROM",        "CDRAM",  "3DRAM",  "SDRAM",
        "SGRAM", "RDRAM", "DDR",     "DDR2",   "DDR2 FB-DIMM", NULL,     NULL,     NULL,
        "DDR3",  "FBD2",  "DDR4",    "LPDDR",  "LPDDR2",       "LPDDR3", "LPDDR4", "Logical non-volatile device",
        "HBM",   "HBM2",  "DDR5",    "LPDDR5"};
    static const StringField tail[] = {{"manufacturer", 0x17}, {"serial_number", 0x18}, {"part_number", 0x1a}};
    Section sec = {out, "memory_device", false};
    if (smbios_word(s, 0x0c, 0) == 0)
        return; /* an empty slot */
    entry_take(&sec, "size", memory_size(s));
    entry_named(&sec, "form_factor", code_name(forms, N_ELEMENTS(forms), smbios_byte(s, 0x0e, 0)));
    entry_take(&sec, "locator", smbios_string(s, 0x10));
    entry_take(&sec, "bank_locator", smbios_string(s, 0x11));
    entry_named(&sec, "type", code_name(types, N_ELEMENTS(types), smbios_byte(s, 0x12, 0)));
    if (s->len > 0x14)
        entry_take(&sec, "type_detail", memory_detail(smbios_word(s, 0x13, 0)));
    if (s->len > 0x16)
        entry_take(&sec, "speed", memory_speed(s));
    entry_strings(&sec, s, tail, N_ELEMENTS(tail));
    section_close(&sec);
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* In the order of the schema, which is the order of the types but for the strings of the maker. */
static void write_table(GString *out, const SmbiosTable *t)
{
    static const uint8_t order[] = {SMBIOS_BIOS,      SMBIOS_SYSTEM,        SMBIOS_BASE_BOARD, SMBIOS_CHASSIS,
                                    SMBIOS_PROCESSOR, SMBIOS_MEMORY_DEVICE, SMBIOS_OEM_STRINGS};
    for (size_t i = 0; i < N_ELEMENTS(order); i++) {
        Section oem = {out, "oemStrings", false};
        for (SmbiosStruct s = {0}; smbios_next(t, &s);) {
            if (s.type != order[i])
                continue;
            if (s.type == SMBIOS_PROCESSOR) {
                write_processor(out, &s);
            } else if (s.type == SMBIOS_BASE_BOARD) {
                write_base_board(out, &s);
            } else if (s.type == SMBIOS_MEMORY_DEVICE) {
                write_memory_device(out, &s);
            } else if (s.type == SMBIOS_OEM_STRINGS) {
                for (unsigned k = 1; k <= smbios_byte(&s, 0x04, 0); k++)
                    entry_take(&oem, NULL, smbios_string_at(&s, k));
            } else {
                /* one of a kind: a second one is not looked at */
                if (s.type == SMBIOS_BIOS)
                    write_bios(out, &s);
                else if (s.type == SMBIOS_SYSTEM)
                    write_system(out, &s, t->version);
                else
                    write_chassis(out, &s);
                break;
            }
        }
        section_close(&oem);
    }
}

/* What the kernel shows to everybody; serial numbers only to root. */
static void write_ids(GString *out)
{
    static const struct {
        const char *element, *name, *file;
    } rows[] = {
        {"bios", "vendor", "bios_vendor"},
        {"bios", "version", "bios_version"},
        {"bios", "date", "bios_date"},
        {"bios", "release", "bios_release"},
        {"system", "manufacturer", "sys_vendor"},
        {"system", "product", "product_name"},
        {"system", "version", "product_version"},
        {"system", "serial", "product_serial"},
        {"system", "uuid", "product_uuid"},
        {"system", "sku", "product_sku"},
        {"system", "family", "product_family"},
        {"baseBoard", "manufacturer", "board_vendor"},
        {"baseBoard", "product", "board_name"},
        {"baseBoard", "version", "board_version"},
        {"baseBoard", "serial", "board_serial"},
        {"baseBoard", "asset", "board_asset_tag"},
        {"chassis", "manufacturer", "chassis_vendor"},
        {"chassis", "version", "chassis_version"},
        {"chassis", "serial", "chassis_serial"},
        {"chassis", "asset", "chassis_asset_tag"},
    };
    Section sec = {out, "", false};
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        if (strcmp(sec.element, rows[i].element) != 0) {
            section_close(&sec);
            sec.element = rows[i].element;
        }
        g_autofree char *value = NULL;
        if (hostfs_read(&value, HOSTFS_SMALL, "/sys/class/dmi/id/%s", rows[i].file) < 0)
            continue;
        for (char *c = value; *c; c++) {
            if (*c < ' ' || *c > '~')
                *c = '.';
        }
        entry_named(&sec, rows[i].name, value);
    }
    section_close(&sec);
}

char *sysinfo_host_xml(Err *err)
{
    g_auto(SmbiosTable) t = {0};
    GString *out = g_string_new("<sysinfo type='smbios'>\n");
    size_t empty = out->len;
    int r = smbios_read(&t);
    if (r == 0)
        write_table(out, &t);
    if (out->len == empty)
        write_ids(out);
    if (out->len == empty) {
        g_string_free(out, TRUE);
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "the firmware of this host gives no SMBIOS information");
        return NULL;
    }
    g_string_append(out, "</sysinfo>\n");
    return g_string_free(out, FALSE);
}
