/* daemon/access_rules_private.h - compiled rules, between their reader and their judge */
#pragma once

#include "daemon/access_rules.h"

typedef enum {
    TERM_ANYONE,
    TERM_USER,
    TERM_GROUP,
    TERM_SASL,
    TERM_DN,
    TERM_MAX,
} TermKind;

/* One word about the identity; all of a rule's must hold. */
typedef struct RuleTerm {
    TermKind kind;
    bool known;    /* USER, GROUP: there is such an account */
    uint32_t id;   /* USER, GROUP */
    char *pattern; /* SASL, DN */
} RuleTerm;

#define PERM_WORDS ((PERM_MAX + 63) / 64)

typedef struct Rule {
    bool allow;
    RuleTerm *terms;
    unsigned n_terms;
    uint64_t perms[PERM_WORDS]; /* bit of each Perm; a rule with an object has none of "connect" */
    char *name, *uuid;          /* patterns; NULL: any */
    const char *file;           /* in AccessRules.files */
    unsigned line;
} Rule;

struct AccessRules {
    int refs; /* atomic */
    GPtrArray *rules; /* Rule* */
    GPtrArray *files; /* char*: names the rules refer to */
};
