/* model/forward.h - names of the model's types
 */
#pragma once

#include "base.h"
#include "util/err.h"

typedef struct DomainDef DomainDef;

typedef enum {
    TRI_ABSENT = 0,
    TRI_YES,
    TRI_NO,
} TriState;
