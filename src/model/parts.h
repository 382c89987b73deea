/* model/parts.h - tables of the parts of <domain> (dom_os.c, dom_cpu.c, dom_devices.c)
 */
#pragma once

#include "model/field.h"
#include "model/units.h"

extern const Table os_table, features_table, cpu_table, clock_table, devices_table;
