/* qemu/firmware.c - firmware images the host has for guests
 *
 * Owns:    nothing beyond the lists it makes
 * Threads: any that may sleep on local files
 * Errors:  none: a broken descriptor costs itself only, with a warning in the log
 */
#define LOG_AREA "qemu.firmware"
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "util/err.h"
#include "util/file.h"
#include "util/log.h"
#include "qmp/codec.h"
#include "qemu/firmware.h"

#define DESCRIPTOR_MAX (256u << 10)
#define DESCRIPTORS_MAX 512u

static void firmware_free(void *p)
{
    Firmware *f = p;
    g_free(f->code);
    g_free(f->code_format);
    g_free(f->nvram);
    g_free(f->nvram_format);
    g_strfreev(f->machines);
    g_free(f);
}

static char *dup_of(json_t *obj, const char *key)
{
    return g_strdup(json_string_value(json_object_get(obj, key)));
}

static bool strings_have(json_t *list, const char *word)
{
    size_t i;
    json_t *el;
    json_array_foreach (list, i, el) {
        if (g_strcmp0(json_string_value(el), word) == 0)
            return true;
    }
    return false;
}

/* "mapping": where the image goes. */
static bool take_mapping(Firmware *f, json_t *mapping)
{
    const char *device = json_string_value(json_object_get(mapping, "device"));
    if (g_strcmp0(device, "flash") == 0) {
        json_t *code = json_object_get(mapping, "executable"), *vars = json_object_get(mapping, "nvram-template");
        f->pflash = true;
        f->code = dup_of(code, "filename");
        f->code_format = dup_of(code, "format");
        f->nvram = dup_of(vars, "filename");
        f->nvram_format = dup_of(vars, "format");
    } else if (g_strcmp0(device, "memory") == 0) {
        f->code = dup_of(mapping, "filename");
    }
    return f->code != NULL;
}

/* Patterns of the machines of one architecture; NULL when the descriptor is for others. */
static char **take_machines(json_t *targets, const char *arch)
{
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    bool any = false;
    size_t i, k;
    json_t *target, *machine;
    const char *qemu_arch = strcmp(arch, "i686") == 0 ? "i386" : strcmp(arch, "armv7l") == 0 ? "arm" : arch;
    json_array_foreach (targets, i, target) {
        if (g_strcmp0(json_string_value(json_object_get(target, "architecture")), qemu_arch) != 0)
            continue;
        json_array_foreach (json_object_get(target, "machines"), k, machine) {
            if (!json_is_string(machine))
                continue;
            any = true;
            g_strv_builder_add(b, json_string_value(machine));
        }
    }
    return any ? g_strv_builder_end(b) : NULL;
}

static bool fits_machine(const Firmware *f, const char *machine)
{
    for (unsigned i = 0; f->machines[i]; i++) {
        if (!machine || g_pattern_match_simple(f->machines[i], machine))
            return true;
    }
    return false;
}

static Firmware *parse(json_t *doc, const char *arch)
{
    Firmware *f = g_new0(Firmware, 1);
    json_t *interfaces = json_object_get(doc, "interface-types"), *features = json_object_get(doc, "features");
    f->uefi = strings_have(interfaces, "uefi");
    f->bios = strings_have(interfaces, "bios");
    f->secure_boot = strings_have(features, "secure-boot");
    f->enrolled_keys = strings_have(features, "enrolled-keys");
    f->requires_smm = strings_have(features, "requires-smm");
    f->machines = take_machines(json_object_get(doc, "targets"), arch);
    if ((f->uefi || f->bios) && f->machines && take_mapping(f, json_object_get(doc, "mapping")))
        return f;
    firmware_free(f);
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of descriptors in all directories -> path of the one that counts. */
static GHashTable *collect(const char *const *dirs)
{
    GHashTable *files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (unsigned i = 0; dirs[i]; i++) {
        g_autoptr(GDir) dir = g_dir_open(dirs[i], 0, NULL);
        const char *name;
        while (dir && (name = g_dir_read_name(dir)) && g_hash_table_size(files) < DESCRIPTORS_MAX) {
            if (name[0] != '.' && g_str_has_suffix(name, ".json"))
                g_hash_table_replace(files, g_strdup(name), g_build_filename(dirs[i], name, NULL));
        }
    }
    return files;
}

GPtrArray *firmware_list_in(const char *const *dirs, const char *arch, const char *machine)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(firmware_free);
    g_autoptr(GHashTable) files = collect(dirs);
    unsigned n;
    g_autofree char **names = (char **)g_hash_table_get_keys_as_array(files, &n);
    qsort(names, n, sizeof(*names), by_name);
    for (unsigned i = 0; i < n; i++) {
        const char *path = g_hash_table_lookup(files, names[i]);
        g_autofree char *text = NULL;
        size_t len;
        g_auto(Err) err = ERR_INIT;
        if (file_read(path, DESCRIPTOR_MAX, &text, &len) < 0 || len == 0)
            continue;
        json_t *doc = qmp_json_parse(text, len, QMP_MAX_DEPTH, &err);
        if (!doc)
            log_warning("firmware descriptor %s is not used: %s", path, err.detail);
        Firmware *f = doc ? parse(doc, arch) : NULL;
        json_decref(doc);
        if (f && fits_machine(f, machine) && access(f->code, R_OK) == 0)
            g_ptr_array_add(list, f);
        else if (f)
            firmware_free(f);
    }
    return list;
}

GPtrArray *firmware_list(const char *arch, const char *machine)
{
    static const char *const dirs[] = {"/usr/share/qemu/firmware", "/etc/qemu/firmware", NULL};
    return firmware_list_in(dirs, arch, machine);
}
