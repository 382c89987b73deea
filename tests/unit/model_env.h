/* tests/unit/model_env.h - the facts of the QEMU that the goldens were recorded with
 */
#pragma once

#include <string.h>

#include "model/domain_def.h"

static inline const char *env_emulator(void *ud, const char *arch, VirtType virt)
{
    return strcmp(arch, "x86_64") == 0 && virt == VIRT_QEMU ? "/usr/bin/qemu-system-x86_64" : NULL;
}

static inline const char *env_machine_default(void *ud, const char *emulator)
{
    return "pc-i440fx-7.2";
}

static inline const char *env_machine_canonical(void *ud, const char *emulator, const char *machine)
{
    static const char *const known[] = {"pc-i440fx-7.2", "pc-q35-7.2", "pc-i440fx-2.9", "pc-q35-2.9", "isapc", "microvm"};
    if (strcmp(machine, "pc") == 0)
        return known[0];
    if (strcmp(machine, "q35") == 0)
        return known[1];
    for (size_t i = 0; i < N_ELEMENTS(known); i++) {
        if (strcmp(machine, known[i]) == 0)
            return known[i];
    }
    return NULL;
}

static inline const char *env_machine_cpu(void *ud, const char *emulator, const char *machine, VirtType virt)
{
    return "qemu64";
}

static inline const CompleteEnv *model_env(void)
{
    static const uint8_t prefix[3] = {0x52, 0x54, 0x00};
    static const CompleteEnv env = {.emulator_for = env_emulator,
                                    .machine_default = env_machine_default,
                                    .machine_canonical = env_machine_canonical,
                                    .machine_default_cpu = env_machine_cpu,
                                    .host_arch = "x86_64",
                                    .mac_prefix = prefix};
    return &env;
}

/* Parse, complete, validate: what define does. */
static inline DomainDef *model_define(const char *xml, ParseFlags flags, Err *err)
{
    DomainDef *d = domain_def_parse(xml, flags | PARSE_INACTIVE, NULL, err);
    if (d && (domain_def_complete(d, model_env(), err) < 0 || domain_def_validate(d, err) < 0)) {
        domain_def_unref(d);
        return NULL;
    }
    return d;
}
