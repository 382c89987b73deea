/* daemon/options.c - the command line
 *
 * Owns:    names and meaning of options; the man page berthd(8) says the same at length
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/options.h"

enum {
    OPT_BERTHD_CONFIG = 256,
    OPT_QEMU_CONFIG,
    OPT_CHECK,
    OPT_SYSCONF,
    OPT_STATE,
    OPT_RUN,
    OPT_LOG,
    OPT_CACHE,
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'f'},
    {"berthd-config", required_argument, NULL, OPT_BERTHD_CONFIG},
    {"qemu-config", required_argument, NULL, OPT_QEMU_CONFIG},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"daemon", no_argument, NULL, 'd'},
    {"listen", no_argument, NULL, 'l'},
    {"timeout", required_argument, NULL, 't'},
    {"verbose", no_argument, NULL, 'v'},
    {"pid-file", required_argument, NULL, 'p'},
    {"sysconfdir", required_argument, NULL, OPT_SYSCONF},
    {"statedir", required_argument, NULL, OPT_STATE},
    {"rundir", required_argument, NULL, OPT_RUN},
    {"logdir", required_argument, NULL, OPT_LOG},
    {"cachedir", required_argument, NULL, OPT_CACHE},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char help[] =
    "usage: berthd [option...]\n"
    "Manages QEMU machines and serves libvirt's remote protocol.\n\n"
    "  -f, --config FILE         libvirtd.conf to read (SYSCONFDIR/libvirtd.conf)\n"
    "      --berthd-config FILE  berthd.conf to read (SYSCONFDIR/berthd.conf)\n"
    "      --qemu-config FILE    qemu.conf to read (SYSCONFDIR/qemu.conf)\n"
    "      --check-config        read the configuration, say what is wrong with it, end\n"
    "  -d, --daemon              go to the background once ready\n"
    "  -l, --listen              listen for TLS too, unless listen_tls is 0\n"
    "  -t, --timeout SECONDS     end when idle for so long\n"
    "  -v, --verbose             log from level info on\n"
    "  -p, --pid-file FILE       write the process id there\n"
    "      --sysconfdir DIR      instead of /etc/libvirt\n"
    "      --statedir DIR        instead of /var/lib/libvirt\n"
    "      --rundir DIR          instead of /run/libvirt\n"
    "      --logdir DIR          instead of /var/log/libvirt\n"
    "      --cachedir DIR        instead of /var/cache/libvirt\n"
    "  -V, --version             version\n"
    "  -h, --help                this text\n";

/* A path given on the command line, made absolute: the daemon changes to / when it goes to the background. */
static void set_path(char **slot, const char *value)
{
    g_free(*slot);
    *slot = g_canonicalize_filename(value, NULL);
}

static void set_conf(char **slot, bool *named, const char *value)
{
    set_path(slot, value);
    *named = true;
}

static int parse_seconds(const char *text, int *ret)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno || *end || end == text || n < 0 || n > 86400 * 365) {
        fprintf(stderr, "berthd: --timeout takes a number of seconds from 0 to %d, not '%s'\n", 86400 * 365, text);
        return -1;
    }
    *ret = (int)n;
    return 0;
}

int options_parse(int argc, char **argv, bool privileged, Options *o)
{
    *o = (Options){.idle_timeout = -1};
    config_dirs_init(&o->dirs, privileged);
    for (int c; (c = getopt_long(argc, argv, "f:dlt:vp:Vh", long_options, NULL)) != -1;) {
        switch (c) {
        case 'f':
            set_conf(&o->libvirtd_conf, &o->named_libvirtd_conf, optarg);
            break;
        case OPT_BERTHD_CONFIG:
            set_conf(&o->berthd_conf, &o->named_berthd_conf, optarg);
            break;
        case OPT_QEMU_CONFIG:
            set_conf(&o->qemu_conf, &o->named_qemu_conf, optarg);
            break;
        case OPT_CHECK:
            o->check_config = true;
            break;
        case 'd':
            o->daemonize = true;
            break;
        case 'l':
            o->listen = true;
            break;
        case 't':
            if (parse_seconds(optarg, &o->idle_timeout) < 0)
                return 2;
            break;
        case 'v':
            o->verbose = true;
            break;
        case 'p':
            set_path(&o->pid_file, optarg);
            break;
        case OPT_SYSCONF:
            set_path(&o->dirs.sysconf, optarg);
            break;
        case OPT_STATE:
            set_path(&o->dirs.state, optarg);
            break;
        case OPT_RUN:
            set_path(&o->dirs.run, optarg);
            break;
        case OPT_LOG:
            set_path(&o->dirs.log, optarg);
            break;
        case OPT_CACHE:
            set_path(&o->dirs.cache, optarg);
            break;
        case 'V':
            puts(PACKAGE_STRING);
            return 0;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            fputs("berthd: --help shows the options\n", stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "berthd: what is '%s' for?  Only options are taken; --help shows them\n", argv[optind]);
        return 2;
    }
    if (!o->libvirtd_conf)
        o->libvirtd_conf = g_build_filename(o->dirs.sysconf, "libvirtd.conf", NULL);
    if (!o->berthd_conf)
        o->berthd_conf = g_build_filename(o->dirs.sysconf, "berthd.conf", NULL);
    if (!o->qemu_conf)
        o->qemu_conf = g_build_filename(o->dirs.sysconf, "qemu.conf", NULL);
    return -1;
}

void options_done(Options *o)
{
    config_dirs_done(&o->dirs);
    g_free(o->libvirtd_conf);
    g_free(o->berthd_conf);
    g_free(o->qemu_conf);
    g_free(o->pid_file);
}
