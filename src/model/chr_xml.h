/* model/chr_xml.h - the host side of a character device in XML (dev_chr_source.c)
 */
#pragma once

#include "model/field.h"

extern const Table chr_source_doc_table;
/* `node` is the device element: reads its type, <source>, <protocol>, <log>. */
int chr_source_parse(ParseCtx *c, xmlNode *node, ChrSource *s);
int chr_source_validate(const ChrSource *s, Err *err);
/* type= and, for a console on a pty of a running guest, tty= */
void chr_type_format(FormatCtx *c, const ChrSource *s, bool tty);
void chr_source_format(FormatCtx *c, const ChrSource *s);
