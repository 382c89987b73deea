/* include/base.h - what every file may assume
 *
 * Owns:    feature macros that differ between compilers, the reported libvirt version, array helpers
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <glib.h>

/* Version reported to clients by CONNECT_GET_LIB_VERSION: major * 1000000 + minor * 1000 + micro.  One constant (design.md 2). */
#define BERTH_LIBVIRT_VERSION 9000000UL

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
#define UUID_LEN 16
#define UUID_STRING_LEN 37 /* 36 characters and the NUL */

#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define MUST_CHECK __attribute__((warn_unused_result))
