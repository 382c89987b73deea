/* tests/qmp/peer_schema.c - the schema of the QEMU that is installed
 *
 * Owns:    one QmpSchema for the life of the process
 * Errors:  a note on stderr; commands then go unchecked
 */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "util/fd.h"
#include "tests/qmp/peer.h"

#define QEMU "/usr/bin/qemu-system-x86_64"

static QmpSchema *schema;

static char *dump_schema(void)
{
    static const char commands[] = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"query-qmp-schema\",\"id\":1}\n"
                                   "{\"execute\":\"quit\"}\n";
    int in[2], out[2];
    if (pipe(in) < 0 || pipe(out) < 0)
        return NULL;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        execl(QEMU, QEMU, "-M", "none", "-display", "none", "-nodefaults", "-S", "-qmp", "stdio", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    char *text = NULL;
    size_t len;
    if (pid > 0) {
        if (write(in[1], commands, sizeof(commands) - 1) > 0)
            fd_read_all(out[0], 8u << 20, &text, &len);
        waitpid(pid, NULL, 0);
    }
    close(in[1]);
    close(out[0]);
    return text;
}

static void load(void)
{
    g_autofree char *text = dump_schema();
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (unsigned i = 0; lines[i] && !schema; i++) {
        json_t *msg = json_loads(lines[i], 0, NULL);
        if (json_integer_value(json_object_get(msg, "id")) == 1)
            schema = qmp_schema_new(json_object_get(msg, "return"), NULL);
        json_decref(msg);
    }
    if (!schema)
        fprintf(stderr, "no QMP schema from " QEMU ": commands are not checked\n");
}

const QmpSchema *peer_schema(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return schema;
}
