/* tests/fuzz/fuzz_caps.h - a QEMU that a target knows, without one
 */
#pragma once

#include <jansson.h>

#include "fuzz.h"
#include "qemu/caps_private.h"

/* What the document of a binary says, made once; `made` is the target's own, NULL at first. */
static inline QemuCaps *fuzz_caps(QemuCaps **made, const char *document)
{
    if (!*made) {
        json_t *doc = json_loads(document, 0, NULL);
        *made = caps_from_document("/x", doc, NULL);
        json_decref(doc);
        fuzz_check(*made != NULL, "the binary");
    }
    return *made;
}
