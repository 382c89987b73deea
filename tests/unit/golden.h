/* unit/golden.h - the golden definitions of tests/golden/argv and what tests of the QEMU layer share
 */
#pragma once

#include <stdio.h>
#include <string.h>

#include "model/domain_def.h"
#include "qemu/caps.h"

#define GOLDEN_QEMU "/usr/bin/qemu-system-x86_64"

static inline int golden_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of all "*.xml" in the folder, without the suffix, sorted; NULL-ended.  Caller frees with g_strfreev. */
static inline char **golden_names(void)
{
    GPtrArray *a = g_ptr_array_new();
    g_autoptr(GDir) d = g_dir_open(GOLDEN_DIR, 0, NULL);
    const char *n;
    while (d && (n = g_dir_read_name(d))) {
        if (g_str_has_suffix(n, ".xml"))
            g_ptr_array_add(a, g_strndup(n, strlen(n) - 4));
    }
    g_ptr_array_sort(a, golden_compare);
    g_ptr_array_add(a, NULL);
    return (char **)g_ptr_array_free(a, FALSE);
}

static inline char *golden_read(const char *name, const char *suffix)
{
    g_autofree char *path = g_strdup_printf("%s/%s%s", GOLDEN_DIR, name, suffix);
    char *text = NULL;
    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

/* What completion asks; ud is the QemuCaps. */
static const char *golden_emulator(void *ud, const char *arch, VirtType virt)
{
    return GOLDEN_QEMU;
}

static const char *golden_default(void *ud, const char *emulator)
{
    return qemu_caps_default_machine(ud);
}

static const char *golden_canonical(void *ud, const char *emulator, const char *machine)
{
    return qemu_caps_machine_canonical(ud, machine);
}

static const char *golden_default_cpu(void *ud, const char *emulator, const char *machine, VirtType virt)
{
    const QemuMachine *m = qemu_caps_machine(ud, machine);
    return m ? m->default_cpu : NULL;
}

/* Parses a golden definition: a live one as it is; one as users write it (no aliases in it) is completed first.  NULL with Err. */
static inline DomainDef *golden_parse(const char *xml, QemuCaps *caps, Err *err)
{
    static const uint8_t prefix[3] = {0x52, 0x54, 0x00};
    if (strstr(xml, "<alias name="))
        return domain_def_parse(xml, 0, NULL, err);
    g_autoptr(DomainDef) d = domain_def_parse(xml, PARSE_INACTIVE, NULL, err);
    CompleteEnv env = {golden_emulator, golden_default, golden_canonical, golden_default_cpu, "x86_64", prefix, caps};
    if (d == NULL || domain_def_complete(d, &env, err) < 0 || domain_def_validate(d, err) < 0)
        return NULL;
    domain_def_assign_aliases(d);
    return g_steal_pointer(&d);
}
