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
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

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

/* The kernel shows what Intel and AMD have under different bits by one word ("ibrs", "stibp", "ssbd"), which says what it makes use of, and
 * some bits not at all.  Guests are told by the bits: these are their names here. */
void host_cpu_add_hidden(HostCpu *h, const HostCpuid *id)
{
    const struct {
        uint32_t reg;
        unsigned bit;
        const char *name, *shown; /* counts only beside this flag of the kernel; NULL: always */
    } hidden[] = {
        {id->r7_edx, 26, "spec_ctrl", "ibrs"},
        {id->r7_edx, 27, "intel_stibp", "stibp"},
        {id->r7_edx, 30, "core_capability", NULL},
        {id->r7_edx, 31, "intel_ssbd", "ssbd"},
        {id->rd_eax, 4, "xfd", "amx_tile"},
        {id->r8_ebx, 12, "amd_ibpb", "ibpb"},
        {id->r8_ebx, 14, "amd_ibrs", "ibrs"},
        {id->r8_ebx, 15, "amd_stibp", "stibp"},
        {id->r8_ebx, 24, "amd_ssbd", "ssbd"},
        {id->r8_ebx, 26, "amd_no_ssb", NULL},
        {id->ra_edx, 28, "svme_addr_chk", "svm"},
    };
    for (unsigned i = 0; i < N_ELEMENTS(hidden); i++) {
        if ((hidden[i].reg >> hidden[i].bit & 1) && (!hidden[i].shown || g_hash_table_contains(h->flags, hidden[i].shown)))
            g_hash_table_add(h->flags, g_strdup(hidden[i].name));
    }
}

static HostCpuid read_cpuid(void)
{
    HostCpuid id = {0};
#if defined(__x86_64__) || defined(__i386__)
    unsigned a, b, c, d;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        id.r7_edx = d;
    if (__get_cpuid_count(0xd, 1, &a, &b, &c, &d))
        id.rd_eax = a;
    if (__get_cpuid(0x80000008u, &a, &b, &c, &d))
        id.r8_ebx = b;
    if (__get_cpuid(0x8000000au, &a, &b, &c, &d))
        id.ra_edx = d;
#endif
    return id;
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
    HostCpu *h = host_cpu_parse(text);
    HostCpuid id = read_cpuid();
    host_cpu_add_hidden(h, &id);
    return h;
}

void *host_cpu_free(HostCpu *h)
{
    if (!h)
        return NULL;
    g_hash_table_unref(h->flags);
    g_free(h);
    return NULL;
}
