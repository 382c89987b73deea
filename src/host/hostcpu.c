/* host/hostcpu.c - the processor of this machine, as the kernel tells it
 *
 * Owns:    nothing beyond the objects it makes
 * Threads: any; one small read
 * Errors:  none: a line that is missing or odd is as if the kernel did not know
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/fd.h"
#include "host/hostcpu.h"

/* One processor's lines are about 2 KiB; all of a big machine's are not needed. */
#define CPUINFO_MAX (32u << 10)

/* Value of "key<blanks>: value" lines; NULL when the line has another key. */
static const char *value_of(const char *line, const char *key)
{
    size_t len = strlen(key);
    if (strncmp(line, key, len) != 0)
        return NULL;
    line += len;
    while (*line == ' ' || *line == '\t')
        line++;
    if (*line != ':')
        return NULL;
    line++;
    while (*line == ' ')
        line++;
    return line;
}

static void take_number(const char *line, const char *key, unsigned *ret)
{
    const char *v = value_of(line, key);
    if (v)
        *ret = (unsigned)g_ascii_strtoull(v, NULL, 10);
}

static void take_flags(HostCpu *h, const char *list)
{
    g_auto(GStrv) words = g_strsplit(list, " ", 1024);
    for (unsigned i = 0; words[i]; i++) {
        if (*words[i])
            g_hash_table_add(h->flags, g_strdup(words[i]));
    }
}

HostCpu *host_cpu_parse(const char *cpuinfo)
{
    HostCpu *h = g_new0(HostCpu, 1);
    h->flags = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) lines = g_strsplit(cpuinfo, "\n", 256);
    for (unsigned i = 0; lines[i] && *lines[i]; i++) { /* an empty line ends the first processor */
        const char *v;
        take_number(lines[i], "cpu family", &h->family);
        take_number(lines[i], "model", &h->model);
        take_number(lines[i], "stepping", &h->stepping);
        if ((v = value_of(lines[i], "vendor_id")))
            g_strlcpy(h->vendor, v, sizeof(h->vendor));
        else if ((v = value_of(lines[i], "microcode")))
            h->microcode = g_ascii_strtoull(v, NULL, 0);
        else if ((v = value_of(lines[i], "address sizes")))
            h->phys_bits = (unsigned)g_ascii_strtoull(v, NULL, 10);
        else if ((v = value_of(lines[i], "flags")))
            take_flags(h, v);
    }
    return h;
}

HostCpu *host_cpu_new(void)
{
    g_autofree char *text = g_malloc(CPUINFO_MAX + 1);
    size_t len = 0;
    AUTO_CLOSE int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    while (fd >= 0 && len < CPUINFO_MAX && (n = read(fd, text + len, CPUINFO_MAX - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return host_cpu_parse(text);
}

void *host_cpu_free(HostCpu *h)
{
    if (!h)
        return NULL;
    g_hash_table_unref(h->flags);
    g_free(h);
    return NULL;
}
