/* daemon/domain_filter.c - which machines a list call means
 *
 * Owns:    the meaning of VIR_CONNECT_LIST_DOMAINS_*
 * Threads: any; views only
 */
#include "config.h"

#include "daemon/access.h"
#include "daemon/domain_filter.h"
#include "api_enums.h"
#include "domain/driver.h"
#include "domain/roster.h"

static bool group(unsigned flags, unsigned yes, bool is_yes, unsigned no)
{
    if (!(flags & (yes | no)))
        return true;
    return (is_yes && (flags & yes)) || (!is_yes && (flags & no));
}

bool domain_filter_match(const DomainView *v, unsigned flags)
{
    if (!flags)
        return true;
    if (!group(flags, VIR_CONNECT_LIST_DOMAINS_ACTIVE, v->live != NULL, VIR_CONNECT_LIST_DOMAINS_INACTIVE) ||
        !group(flags, VIR_CONNECT_LIST_DOMAINS_PERSISTENT, v->persistent, VIR_CONNECT_LIST_DOMAINS_TRANSIENT) ||
        !group(flags, VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE, v->managed_save, VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE) ||
        !group(flags, VIR_CONNECT_LIST_DOMAINS_AUTOSTART, v->autostart, VIR_CONNECT_LIST_DOMAINS_NO_AUTOSTART) ||
        !group(flags, VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, v->snapshots != NULL, VIR_CONNECT_LIST_DOMAINS_NO_SNAPSHOT) ||
        !group(flags, VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT, false, VIR_CONNECT_LIST_DOMAINS_NO_CHECKPOINT))
        return false;

    const unsigned states = VIR_CONNECT_LIST_DOMAINS_RUNNING | VIR_CONNECT_LIST_DOMAINS_PAUSED |
                            VIR_CONNECT_LIST_DOMAINS_SHUTOFF | VIR_CONNECT_LIST_DOMAINS_OTHER;
    if (!(flags & states))
        return true;
    switch (v->state) {
    case VIR_DOMAIN_RUNNING:
        return flags & VIR_CONNECT_LIST_DOMAINS_RUNNING;
    case VIR_DOMAIN_PAUSED:
        return flags & VIR_CONNECT_LIST_DOMAINS_PAUSED;
    case VIR_DOMAIN_SHUTOFF:
        return flags & VIR_CONNECT_LIST_DOMAINS_SHUTOFF;
    default:
        return flags & VIR_CONNECT_LIST_DOMAINS_OTHER;
    }
}

GPtrArray *domain_filter_list(Call *call, unsigned flags)
{
    g_autoptr(DomainRoster) all = domain_roster(call_domains(call));
    if (!flags && access_sees_all_domains(call))
        return g_ptr_array_ref(all->views);
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)domain_view_unref);
    for (unsigned i = 0; i < all->views->len; i++) {
        DomainView *v = all->views->pdata[i];
        if (domain_filter_match(v, flags) && access_domain_visible(call, v))
            g_ptr_array_add(out, domain_view_ref(v));
    }
    return out;
}
