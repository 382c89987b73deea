/* model/domain_format.c - a definition as text
 *
 * Owns:    nothing; the tables know the order
 * Threads: any
 * Errors:  none
 */
#include "config.h"

#include "model/parts.h"

char *domain_def_format(const DomainDef *d, FormatFlags flags)
{
    if (flags & FORMAT_MIGRATABLE)
        flags |= FORMAT_INACTIVE;
    FormatCtx c = {.flags = flags, .def = d};
    xml_writer_init(&c.w);
    table_format(&c, &domain_table, d);
    return xml_writer_steal(&c.w);
}
