/* conf/generate.c - writes sample files and man page sections from the rows of the configuration
 *
 * Owns:    the introductions; a developer's tool, run by `make update-generated`, never installed
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "qemu/conf.h"

#include "daemon/conf.h"

static const char libvirtd_intro[] =
    "libvirtd.conf - the daemon, as far as libvirt has keys for it\n"
    "\n"
    "Each key stands commented out at its default. berthd --check-config tells whether a file is understood; man berthd.conf has the "
    "syntax. This file is generated from the daemon's own table of keys.";
static const char qemu_intro[] =
    "qemu.conf - guests under QEMU\n"
    "\n"
    "Each key stands commented out at its default. berthd --check-config tells whether a file is understood; man berthd.conf has the "
    "syntax. A reload (SIGHUP) applies changes to guests that start afterwards. This file is generated from the daemon's own table of "
    "keys.";
static const char berthd_intro[] =
    "berthd.conf - the daemon, where libvirt has no key\n"
    "\n"
    "Each key stands commented out at its default. berthd --check-config tells whether a file is understood; man berthd.conf has the "
    "syntax. This file is generated from the daemon's own table of keys.";

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        const ConfKey *keys;
        const char *intro;
    } files[] = {
        {"libvirtd", libvirtd_config_keys, libvirtd_intro},
        {"qemu", qemu_config_keys, qemu_intro},
        {"berthd", berthd_config_keys, berthd_intro},
    };
    if (argc == 3) {
        for (size_t i = 0; i < N_ELEMENTS(files); i++) {
            if (strcmp(argv[2], files[i].name) != 0)
                continue;
            g_autofree char *text =
                strcmp(argv[1], "sample") == 0 ? conf_sample(files[i].keys, files[i].intro) : conf_man(files[i].keys);
            fputs(text, stdout);
            return fflush(stdout) == 0 ? 0 : 1;
        }
    }
    fprintf(stderr, "usage: generate sample|man libvirtd|qemu|berthd\n");
    return 2;
}
