/* daemon/host.c - who this host is
 *
 * Owns:    which source counts; the firmware's and the kept one are host/node.h's
 */
#include "config.h"

#include <string.h>

#include "daemon/host.h"
#include "host/node.h"
#include "util/file.h"
#include "util/uuid.h"

static bool read_uuid(const char *path, uint8_t ret[UUID_LEN])
{
    g_autofree char *text = NULL;
    return file_read(path, 256, &text, NULL) == 0 && uuid_parse(text, ret) && !uuid_is_trivial(ret);
}

int host_uuid_find(const DaemonConfig *c, const char *state_dir, uint8_t ret[UUID_LEN], Err *err)
{
    if (c->host_uuid)
        return uuid_parse(c->host_uuid, ret) ? 0 : err_set(err, VIR_ERR_CONF_SYNTAX, "host_uuid '%s' is not a UUID", c->host_uuid);
    if (c->host_uuid_source == HOST_UUID_MACHINE_ID && read_uuid("/etc/machine-id", ret))
        return 0;
    g_autofree char *path = g_build_filename(state_dir, "host-uuid", NULL);
    return node_uuid(path, ret, err);
}
