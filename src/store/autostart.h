/* store/autostart.h - which definitions start with the host: links DIR/NAME.xml to the definition */
#pragma once

#include <glib.h>

#include "util/err.h"

/* Names with a link that leads somewhere: a set of char* (free func set). */
GHashTable *autostart_names(const char *autostart_dir);
bool autostart_get(const char *autostart_dir, const char *name);
/* Durable.  Setting what is set already is no error; off removes the link. */
int autostart_set(const char *autostart_dir, const char *config_dir, const char *name, bool on, Err *err);
