/* qemu/forward.h - names of the QEMU layer's types, and of those it uses from elsewhere
 */
#pragma once

#include "model/forward.h"

typedef struct QemuCaps QemuCaps;
typedef struct QemuConfig QemuConfig;
typedef struct QmpClient QmpClient;
typedef struct Argv Argv;
