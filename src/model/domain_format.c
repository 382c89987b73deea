/* model/domain_format.c - a definition as text
 *
 * Owns:    nothing; the tables know the order
 * Threads: any
 * Errors:  none
 */
#include "config.h"

#include "model/complete.h"
#include "model/parts.h"

char *domain_def_format(const DomainDef *d, FormatFlags flags)
{
    g_autoptr(DomainDef) sorted = NULL;
    if (flags & FORMAT_MIGRATABLE) {
        /* Libvirt reads its own output once more for this form. */
        flags |= FORMAT_INACTIVE;
        d = sorted = domain_def_copy(d);
        domain_def_resort(sorted);
        chrs_drop_generated(sorted);
        for (unsigned i = 0; i < sorted->nets->len; i++)
            net_drop_generated(sorted->nets->pdata[i]);
    }
    FormatCtx c = {.flags = flags, .def = d};
    xml_writer_init(&c.w);
    table_format(&c, &domain_table, d);
    return xml_writer_steal(&c.w);
}
