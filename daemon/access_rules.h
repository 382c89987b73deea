/* daemon/access_rules.h - Berth's own rules of who may do what
 *
 * Files NAME.rules of one directory, in the order of their names, make one list.  The first rule that fits identity, permission and object
 * decides; where none fits the answer is no.  docs/access.md has the language.
 *
 * A list is compiled once and immutable.  A profile is what of it concerns one identity; a decision is a walk over that, without lock, wait
 * or allocation.
 */
#pragma once

#include <sys/types.h>

#include "protocol/procs.h"
#include "util/err.h"

/* Who asks: what the kernel, SASL and TLS said.  Borrowed pointers. */
typedef struct AccessIdentity {
    bool has_creds; /* the next four are the kernel's word about the process at a UNIX socket */
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* supplementary */
    size_t n_groups;
    const char *sasl_user;  /* NULL: none */
    const char *x509_dname; /* NULL: none */
} AccessIdentity;

/* What is asked for, as the daemon knows it, never as the client calls it. */
typedef struct AccessObject {
    const char *name;    /* NULL: not known; no allowing rule with a name fits, every refusing one does */
    const uint8_t *uuid; /* NULL: the same for uuids */
} AccessObject;

typedef struct AccessRules AccessRules;
typedef struct AccessProfile AccessProfile;

/* Which rule decided; line 0: none did, so it is no.  `file` lives as long as the profile. */
typedef struct AccessDecision {
    bool allow;
    const char *file;
    unsigned line;
} AccessDecision;

/* Called for what is accepted but deserves a word. */
typedef void AccessNote(const char *text, void *arg);

/* All rules of a directory (or of one file, if `path` is one).  A missing one is an empty list.  NULL with "FILE:LINE: what, and what is
 * allowed there". */
AccessRules *access_rules_load(const char *path, AccessNote *note, void *arg, Err *err);
/* The same from text; `name` stands for the file. */
AccessRules *access_rules_parse(const char *name, const char *text, size_t len, AccessNote *note, void *arg, Err *err);
AccessRules *access_rules_ref(AccessRules *r);
AccessRules *access_rules_unref(AccessRules *r); /* NULL */
unsigned access_rules_count(const AccessRules *r);

/* The rules that fit `who`, which is not kept; takes a reference to `r`. */
AccessProfile *access_profile_new(AccessRules *r, const AccessIdentity *who);
AccessProfile *access_profile_ref(AccessProfile *p);
AccessProfile *access_profile_unref(AccessProfile *p); /* NULL */
const AccessRules *access_profile_rules(const AccessProfile *p);
AccessDecision access_profile_decide(const AccessProfile *p, Perm perm, const AccessObject *o);
/* Could any object be allowed this permission? */
bool access_profile_may(const AccessProfile *p, Perm perm);
/* Is every object allowed it? */
bool access_profile_always(const AccessProfile *p, Perm perm);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AccessRules, access_rules_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AccessProfile, access_profile_unref)
