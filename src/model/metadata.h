/* model/metadata.h - <metadata>: whatever applications keep with a definition
 */
#pragma once

#include "util/xml.h"

/* The element as text, first line without indentation; NULL when it holds no element. */
char *metadata_from_node(xmlNode *node);
void metadata_write(XmlWriter *w, const char *metadata);
