/* tests/rpc/sasl_env.h - a SASL configuration of a program's own, with one user, in a directory that goes with the process
 */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>
#include <sasl/sasl.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/sasl.h"

#define SASL_ENV_USER     "fred"
#define SASL_ENV_PASSWORD "sekrit"

static char *sasl_env_dir;

static void sasl_env_remove(void)
{
    g_autofree char *conf = g_build_filename(sasl_env_dir, "libvirt.conf", NULL), *db = g_build_filename(sasl_env_dir, "db", NULL);
    g_unlink(conf);
    g_unlink(db);
    g_rmdir(sasl_env_dir);
    g_clear_pointer(&sasl_env_dir, g_free);
}

/* Before the library is used.  Aborts when it cannot. */
static void sasl_env_make(const char *mechs, bool with_user)
{
    sasl_env_dir = g_dir_make_tmp("berth-sasl-XXXXXX", NULL);
    g_autofree char *conf = g_build_filename(sasl_env_dir, "libvirt.conf", NULL);
    g_autofree char *text = g_strdup_printf("mech_list: %s\nsasldb_path: %s/db\n", mechs, sasl_env_dir);
    g_assert_true(g_file_set_contents(conf, text, -1, NULL));
    g_setenv("SASL_CONF_PATH", sasl_env_dir, TRUE);
    atexit(sasl_env_remove);
    g_assert_cmpint(rpc_sasl_init(NULL), ==, 0);
    sasl_conn_t *c = NULL;
    g_assert_cmpint(sasl_server_new("libvirt", NULL, NULL, NULL, NULL, NULL, 0, &c), ==, SASL_OK);
    if (with_user)
        g_assert_cmpint(sasl_setpass(c, SASL_ENV_USER, SASL_ENV_PASSWORD, (unsigned)strlen(SASL_ENV_PASSWORD), NULL, 0, SASL_SET_CREATE), ==,
                        SASL_OK);
    sasl_dispose(&c);
}

/* The library's DIGEST-MD5 loses what it takes of OpenSSL with each layer; it stays loaded, so that this has a name. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libcrypto.so\nleak:libdigestmd5.so\n";
}
