/* daemon/access_rules.c - Berth's own rules of who may do what
 *
 * Owns:    compiled rules and what they decide; reading them is access_parse.c
 * Threads: any; everything is immutable once returned
 * Locks:   none; the counts of references are atomic
 * Errors:  none
 */
#include "config.h"

#include <string.h>

#include "daemon/access_rules_private.h"
#include "util/uuid.h"

AccessRules *access_rules_ref(AccessRules *r)
{
    g_atomic_int_inc(&r->refs);
    return r;
}

AccessRules *access_rules_unref(AccessRules *r)
{
    if (r && g_atomic_int_dec_and_test(&r->refs)) {
        g_ptr_array_unref(r->rules);
        g_ptr_array_unref(r->files);
        g_free(r);
    }
    return NULL;
}

unsigned access_rules_count(const AccessRules *r)
{
    return r->rules->len;
}

/* ---- does it fit? ---------------------------------------------------------------------------------------------------------- */

/* * stands for any number of characters, ? for one.  Going back to the last star only keeps it at worst the product of both lengths. */
static bool pattern_fits(const char *pattern, const char *text)
{
    const char *star = NULL, *mark = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            mark = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++mark;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

static bool in_group(const AccessIdentity *who, gid_t gid)
{
    bool in = who->gid == gid;
    for (size_t i = 0; i < who->n_groups && !in; i++)
        in = who->groups[i] == gid;
    return in;
}

static bool term_fits(const RuleTerm *t, const AccessIdentity *who)
{
    switch (t->kind) {
    case TERM_ANYONE:
        return true;
    case TERM_USER:
        return who->has_creds && t->known && who->uid == t->id;
    case TERM_GROUP:
        return who->has_creds && t->known && in_group(who, t->id);
    case TERM_SASL:
        return who->sasl_user && pattern_fits(t->pattern, who->sasl_user);
    case TERM_DN:
        return who->x509_dname && pattern_fits(t->pattern, who->x509_dname);
    case TERM_MAX:
        break;
    }
    return false;
}

static bool rule_fits_identity(const Rule *r, const AccessIdentity *who)
{
    for (unsigned i = 0; i < r->n_terms; i++)
        if (!term_fits(&r->terms[i], who))
            return false;
    return true;
}

/* What is not known fits a refusal and no permission. */
static bool rule_fits_object(const Rule *r, const AccessObject *o)
{
    char uuid[UUID_STRING_LEN];
    if (r->name && !(o && o->name ? pattern_fits(r->name, o->name) : !r->allow))
        return false;
    if (!r->uuid)
        return true;
    if (!o || !o->uuid)
        return !r->allow;
    uuid_format(o->uuid, uuid);
    return pattern_fits(r->uuid, uuid);
}

/* ---- profiles -------------------------------------------------------------------------------------------------------------- */

typedef enum {
    QUICK_NO,   /* whatever the object */
    QUICK_YES,
    QUICK_LOOK, /* it depends on the object */
} Quick;

struct AccessProfile {
    int refs; /* atomic */
    AccessRules *rules;
    uint8_t quick[PERM_MAX];
    unsigned n;
    const Rule *fit[]; /* in order */
};

static bool has_perm(const Rule *r, Perm perm)
{
    return r->perms[perm / 64] >> (perm % 64) & 1;
}

static Quick quick_of(const AccessProfile *p, Perm perm)
{
    bool some = false;
    for (unsigned i = 0; i < p->n; i++) {
        const Rule *r = p->fit[i];
        if (!has_perm(r, perm))
            continue;
        if (!r->name && !r->uuid && !some)
            return r->allow ? QUICK_YES : QUICK_NO;
        some = true;
    }
    return some ? QUICK_LOOK : QUICK_NO;
}

AccessProfile *access_profile_new(AccessRules *rules, const AccessIdentity *who)
{
    AccessProfile *p = g_malloc0(sizeof(*p) + rules->rules->len * sizeof(p->fit[0]));
    p->refs = 1;
    p->rules = access_rules_ref(rules);
    for (unsigned i = 0; i < rules->rules->len; i++) {
        const Rule *r = rules->rules->pdata[i];
        if (rule_fits_identity(r, who))
            p->fit[p->n++] = r;
    }
    for (Perm perm = PERM_NONE + 1; perm < PERM_MAX; perm++)
        p->quick[perm] = quick_of(p, perm);
    return p;
}

AccessProfile *access_profile_ref(AccessProfile *p)
{
    g_atomic_int_inc(&p->refs);
    return p;
}

AccessProfile *access_profile_unref(AccessProfile *p)
{
    if (p && g_atomic_int_dec_and_test(&p->refs)) {
        access_rules_unref(p->rules);
        g_free(p);
    }
    return NULL;
}

const AccessRules *access_profile_rules(const AccessProfile *p)
{
    return p->rules;
}

AccessDecision access_profile_decide(const AccessProfile *p, Perm perm, const AccessObject *o)
{
    for (unsigned i = 0; i < p->n; i++) {
        const Rule *r = p->fit[i];
        if (has_perm(r, perm) && rule_fits_object(r, o))
            return (AccessDecision){r->allow, r->file, r->line};
    }
    return (AccessDecision){false, NULL, 0};
}

bool access_profile_may(const AccessProfile *p, Perm perm)
{
    if (p->quick[perm] != QUICK_LOOK)
        return p->quick[perm] == QUICK_YES;
    for (unsigned i = 0; i < p->n; i++)
        if (p->fit[i]->allow && has_perm(p->fit[i], perm))
            return true;
    return false;
}

bool access_profile_always(const AccessProfile *p, Perm perm)
{
    return p->quick[perm] == QUICK_YES;
}
