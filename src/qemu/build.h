/* qemu/build.h - the command line while it is being made; inside src/qemu only
 */
#pragma once

#include "qemu/argv.h"
#include "qemu/conf.h"
#include "qemu/props.h"

/* fdsets of images have the number of the image's node; others are counted from here. */
#define FDSET_OTHERS 1000000000

typedef struct ArgvBuild {
    Argv *a;
    const DomainDef *def;
    const ArgvEnv *env;
    int next_fd;
    int next_fdset;
} ArgvBuild;

static inline bool build_native(const ArgvBuild *b)
{
    return b->env->flags & ARGV_NATIVE;
}

/* argv.c */
void argv_add(ArgvBuild *b, const char *option, const char *value); /* value NULL: none */
void argv_addf(ArgvBuild *b, const char *option, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Steals `props`; NULL adds nothing. */
void argv_add_json(ArgvBuild *b, const char *option, json_t *props);
/* Plans a descriptor and returns its number. path and alias are copied. */
int argv_plan_fd(ArgvBuild *b, ArgvFdKind kind, int flags, const char *path, const char *alias);
/* Plans a descriptor inside fdset `set`, with its -add-fd. */
int argv_plan_fdset(ArgvBuild *b, int set, int flags, const char *path, const char *opaque);
/* Appends `value` with its commas doubled, as QEMU's option parser wants it. */
void opts_escape(GString *s, const char *value);

/* the families, in the order they appear */
int argv_machine(ArgvBuild *b, Err *err);
int argv_clock(ArgvBuild *b, Err *err);
int argv_boot(ArgvBuild *b, Err *err);
int argv_controllers(ArgvBuild *b, Err *err);
int argv_disks(ArgvBuild *b, Err *err);
int argv_nets(ArgvBuild *b, Err *err);
int argv_chrs(ArgvBuild *b, Err *err);
int argv_graphics(ArgvBuild *b, Err *err);
int argv_misc(ArgvBuild *b, Err *err);
/* One -chardev (dev_chr.c), used by rng too. `id` without the "char" prefix. */
int argv_chardev(ArgvBuild *b, const ChrSource *src, const char *alias, Err *err);
