/* util/intern.h - strings kept for ever
 *
 * For names out of a short list (paths of programs), never for what a client can vary.
 */
#pragma once

#include "base.h"

/* The one copy of `text`; equal texts give equal pointers.  Any thread. */
const char *str_intern(const char *text);
