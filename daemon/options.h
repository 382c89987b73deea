/* daemon/options.h - the command line
 */
#pragma once

#include "daemon/conf.h"

typedef struct Options {
    ConfigDirs dirs;
    char *libvirtd_conf, *berthd_conf, *qemu_conf; /* absolute paths */
    bool named_libvirtd_conf, named_berthd_conf, named_qemu_conf; /* on the command line: then the file must be there */
    char *pid_file; /* absolute */
    bool check_config, daemonize, verbose, listen;
    int idle_timeout; /* seconds; -1: as configured */
} Options;

/* Fills *ret.  Returns -1 to go on, else the exit status (after --help, --version, or a mistake that was reported). */
int options_parse(int argc, char **argv, bool privileged, Options *ret);
void options_done(Options *o);
