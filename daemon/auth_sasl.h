/* daemon/auth_sasl.h - SASL while the daemon comes up and goes down; its procedures are handlers like others
 */
#pragma once

#include "daemon/server.h"

/* Makes SASL ready when a socket asks for it: plain TCP ones, others.  Before clients come; may wait for files and name servers. */
int auth_sasl_up(Server *s, bool over_tcp, bool over_others, Err *err);
/* When no connection is left. */
void auth_sasl_down(void);
