/* tests/unit/test_node.c - host facts from made-up /proc and /sys: regular, odd, broken, hostile */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/hostfs.h"
#include "host/node.h"
#include "host/private.h"
#include "util/uuid.h"
#include "tests/unit/fakeroot.h"

#define CPU  "/sys/devices/system/cpu"
#define NODE "/sys/devices/system/node"

static int setup(void **state)
{
    fakeroot_init();
    return 0;
}

static int teardown(void **state)
{
    fakeroot_done();
    return 0;
}

static void put_cpu(unsigned id, int socket, int die, int core, const char *siblings)
{
    g_autofree char *s = g_strdup_printf("%d\n", socket);
    g_autofree char *d = g_strdup_printf("%d\n", die);
    g_autofree char *c = g_strdup_printf("%d\n", core);
    fakeroot_file(s, CPU "/cpu%u/topology/physical_package_id", id);
    fakeroot_file(d, CPU "/cpu%u/topology/die_id", id);
    fakeroot_file(c, CPU "/cpu%u/topology/core_id", id);
    fakeroot_file(siblings, CPU "/cpu%u/topology/thread_siblings_list", id);
}

static void put_cell(unsigned id, const char *cpus, unsigned total, unsigned free_kib, const char *distance)
{
    g_autofree char *text = g_strdup_printf(
        "Node %u MemTotal:  %u kB\nNode %u MemFree:  %u kB\nNode %u SwapCached: 7 kB\n", id, total, id, free_kib, id);
    fakeroot_file(text, NODE "/node%u/meminfo", id);
    fakeroot_file(cpus, NODE "/node%u/cpulist", id);
    fakeroot_file(distance, NODE "/node%u/distance", id);
}

/* Two cells of one socket, two cores of two threads each. */
static void put_two_cells(void)
{
    fakeroot_file("0-7\n", CPU "/present");
    fakeroot_file("0-7\n", CPU "/online");
    fakeroot_file("0,2\n", NODE "/online");
    for (unsigned i = 0; i < 8; i++) {
        g_autofree char *siblings = g_strdup_printf("%u,%u\n", i & ~4u, i | 4u);
        put_cpu(i, (int)(i / 2 % 2), 0, (int)(i % 2), siblings);
    }
    put_cell(0, "0-1,4-5\n", 4000000, 1000, "10 21\n");
    put_cell(2, "2-3,6-7\n", 2000000, 3000, "21 10\n");
    fakeroot_file("processor\t: 0\ncpu MHz\t\t: 2596.134\n\nprocessor\t: 1\ncpu MHz\t\t: 800.1\n", "/proc/cpuinfo");
    fakeroot_file(
        "MemTotal:       9000000 kB\nMemFree:        5000 kB\nBuffers: 11 kB\nSwapCached: 1 kB\nCached:  12 kB\n",
        "/proc/meminfo");
}

static void test_info_of_two_cells(void **state)
{
    NodeInfo i;
    g_auto(Err) err = ERR_INIT;
    put_two_cells();
    assert_int_equal(node_info(&i, &err), 0);
    assert_int_equal(i.cpus, 8);
    assert_int_equal(i.nodes, 2);
    assert_int_equal(i.sockets, 1);
    assert_int_equal(i.cores, 2);
    assert_int_equal(i.threads, 2);
    assert_int_equal(i.mhz, 2596);
    assert_int_equal(i.memory_kib, 6000000);
    assert_string_equal(i.arch, node_arch());
    assert_int_equal(node_max_cpus(), 8);
}

static void test_info_with_cpus_offline(void **state)
{
    NodeInfo i;
    put_two_cells();
    fakeroot_file("0-6\n", CPU "/online");
    assert_int_equal(node_info(&i, NULL), 0);
    assert_int_equal(i.cpus, 7); /* but the machine as a whole still has the shape it has */
    assert_int_equal(i.nodes * i.sockets * i.cores * i.threads, 8);
    fakeroot_file("0,1,2\n", CPU "/online");
    assert_int_equal(node_info(&i, NULL), 0);
    assert_int_equal(i.cpus, 3);
    assert_int_equal(i.nodes, 1); /* 2 cells of 2 cores of 1 thread are not 8 cpus */
    assert_int_equal(i.sockets, 1);
    assert_int_equal(i.cores, 8);
    assert_int_equal(i.threads, 1);
}

static void test_info_dies_count_as_cores(void **state)
{
    NodeInfo i;
    put_two_cells();
    fakeroot_file("0-3", CPU "/present");
    fakeroot_file("0-3", CPU "/online");
    fakeroot_file("0", NODE "/online");
    put_cell(0, "0-3", 4000, 10, "10");
    for (unsigned c = 0; c < 4; c++) /* core ids repeat in each die */
        put_cpu(c, 0, (int)c / 2, (int)c % 2, "");
    assert_int_equal(node_info(&i, NULL), 0);
    assert_int_equal(i.sockets, 1);
    assert_int_equal(i.cores, 4);
    assert_int_equal(i.threads, 1);
}

static void test_topology(void **state)
{
    put_two_cells();
    const unsigned sizes[] = {2048, 1048576};
    for (unsigned i = 0; i < 2; i++) {
        fakeroot_file("0\n", "/sys/kernel/mm/hugepages/hugepages-%ukB/free_hugepages", sizes[i]);
        fakeroot_file(i ? "1\n" : "100\n", NODE "/node0/hugepages/hugepages-%ukB/nr_hugepages", sizes[i]);
        fakeroot_file("3\n", NODE "/node0/hugepages/hugepages-%ukB/free_hugepages", sizes[i]);
    }
    fakeroot_file("junk", NODE "/node0/hugepages/hugepages-evil/nr_hugepages");
    fakeroot_file("3", CPU "/cpu0/cache/index0/level");
    fakeroot_file("5", CPU "/cpu0/cache/index0/id");
    fakeroot_file("Unified", CPU "/cpu0/cache/index0/type");
    fakeroot_file("32768K", CPU "/cpu0/cache/index0/size");
    fakeroot_file("0-1,4-5", CPU "/cpu0/cache/index0/shared_cpu_list");

    g_autoptr(NodeTopology) t = node_topology(NULL);
    assert_non_null(t);
    assert_int_equal(t->n_cells, 2);
    assert_true(t->numa);
    assert_int_equal(t->n_page_sizes, 3);
    assert_int_equal(t->page_sizes[1], 2048);
    const NodeCell *c = node_topology_cell(t, 0);
    assert_int_equal(c->n_pages, 3);
    assert_int_equal(c->pages[1].total, 100);
    assert_int_equal(c->pages[2].size_kib, 1048576);
    assert_int_equal(c->pages[2].total, 1);
    assert_int_equal(c->pages[0].total, (4000000 - 204800 - 1048576) / c->pages[0].size_kib);
    assert_int_equal(c->n_distances, 2);
    assert_int_equal(c->distances[1].cell, 2);
    assert_int_equal(c->distances[1].value, 21);
    assert_int_equal(c->n_cpus, 4);
    assert_int_equal(c->cpus[2].id, 4);
    assert_string_equal(c->cpus[2].siblings, "0,4");
    assert_null(node_topology_cell(t, 1));
    assert_int_equal(node_topology_cell(t, 2)->cpus[0].socket_id, 1);
    assert_int_equal(t->n_caches, 1);
    assert_int_equal(t->caches[0].id, 5);
    assert_int_equal(t->caches[0].size_kib, 32768);
    assert_string_equal(t->caches[0].cpus, "0-1,4-5");
}

static void test_topology_is_kept_and_renewed(void **state)
{
    put_two_cells();
    NodeTopology *a = node_topology(NULL), *b = node_topology(NULL);
    assert_ptr_equal(a, b);
    topology_forget();
    NodeTopology *c = node_topology(NULL);
    assert_ptr_not_equal(a, c);
    node_topology_unref(a);
    node_topology_unref(b);
    node_topology_unref(c);
}

static void test_topology_without_numa(void **state)
{
    put_two_cells();
    fakeroot_remove(NODE);
    g_autoptr(NodeTopology) t = node_topology(NULL);
    assert_non_null(t);
    assert_false(t->numa);
    assert_int_equal(t->n_cells, 1);
    assert_int_equal(t->cells[0].memory_kib, 9000000);
    assert_int_equal(t->cells[0].n_cpus, 8);
    assert_int_equal(t->cells[0].n_pages, 0);
    unsigned long long v;
    assert_int_equal(node_free_memory(&v, NULL), 0);
    assert_int_equal(v, 5000 * 1024);
    NodeMemoryStats s;
    assert_int_equal(node_memory_stats(0, &s, NULL), 0);
    assert_int_equal(node_memory_stats(1, &s, NULL), -1);
}

static void test_topology_from_nonsense(void **state)
{
    put_two_cells();
    /* each of them alone costs only the fact itself */
    fakeroot_file("-5\n", CPU "/cpu0/topology/physical_package_id");
    fakeroot_file("99999999999999999999\n", CPU "/cpu0/topology/core_id");
    fakeroot_file("1-0\n", CPU "/cpu0/topology/thread_siblings_list");
    fakeroot_file("0-9999999", CPU "/cpu1/topology/thread_siblings_list");
    fakeroot_file("10 99999999999\n", NODE "/node0/distance");
    fakeroot_file("10 21 30\n", NODE "/node2/distance");
    fakeroot_file("Node 2 MemTotal: lots\n", NODE "/node2/meminfo");
    fakeroot_file("99999999999", NODE "/node0/hugepages/hugepages-2048kB/nr_hugepages");
    fakeroot_file("\n", NODE "/node0/hugepages/hugepages-18446744073709551615kB/nr_hugepages");
    g_autoptr(NodeTopology) t = node_topology(NULL);
    assert_non_null(t);
    const NodeCpu *c = &t->cells[0].cpus[0];
    assert_int_equal(c->socket_id, 0);
    assert_int_equal(c->core_id, 0);
    assert_string_equal(c->siblings, "0");
    assert_string_equal(t->cells[0].cpus[1].siblings, "1");
    assert_int_equal(t->cells[0].n_distances, 0);
    assert_int_equal(t->cells[1].n_distances, 0);
    assert_int_equal(t->cells[1].memory_kib, 0);
    assert_int_equal(t->cells[0].n_pages, 2);
    assert_true(t->cells[0].pages[1].total <= 4000000 / 2048);
}

static void test_topology_cpu_in_two_cells(void **state)
{
    g_auto(Err) err = ERR_INIT;
    put_two_cells();
    fakeroot_file("0-3", NODE "/node2/cpulist");
    assert_null(node_topology(&err));
    assert_int_equal(err.code, VIR_ERR_INTERNAL_ERROR);
}

static void test_memory(void **state)
{
    NodeMemoryStats s;
    unsigned long long v, cells[8];
    unsigned n;
    put_two_cells();
    assert_int_equal(node_memory_stats(NODE_ALL, &s, NULL), 0);
    assert_true(s.whole);
    assert_int_equal(s.total, 9000000);
    assert_int_equal(s.buffers, 11);
    assert_int_equal(s.cached, 12); /* not SwapCached's */
    assert_int_equal(node_memory_stats(2, &s, NULL), 0);
    assert_false(s.whole);
    assert_int_equal(s.free, 3000);
    assert_int_equal(node_free_memory(&v, NULL), 0);
    assert_int_equal(v, 4000 * 1024);

    assert_int_equal(node_cells_free_memory(0, 8, cells, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_int_equal(cells[0], 1000 * 1024);
    assert_int_equal(cells[1], 0); /* no such cell */
    assert_int_equal(cells[2], 3000 * 1024);
    assert_int_equal(node_cells_free_memory(1, 1, cells, &n, NULL), 0);
    assert_int_equal(n, 1);
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(node_cells_free_memory(3, 1, cells, &n, &err), -1);
    assert_int_equal(err.code, VIR_ERR_INTERNAL_ERROR);

    fakeroot_file("MemTotal: 5 kB\n", "/proc/meminfo");
    assert_int_equal(node_memory_stats(NODE_ALL, &s, NULL), -1);
}

static void test_free_pages(void **state)
{
    unsigned long long v;
    unsigned base = (unsigned)sysconf(_SC_PAGESIZE) / 1024;
    g_auto(Err) err = ERR_INIT;
    put_two_cells();
    fakeroot_file("3\n", NODE "/node0/hugepages/hugepages-2048kB/free_hugepages");
    fakeroot_file("4\n", "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    assert_int_equal(node_free_pages(2048, 0, &v, NULL), 0);
    assert_int_equal(v, 3);
    assert_int_equal(node_free_pages(2048, NODE_ALL, &v, NULL), 0);
    assert_int_equal(v, 4);
    assert_int_equal(node_free_pages(base, 2, &v, NULL), 0);
    assert_int_equal(v, 3000 / base);
    assert_int_equal(node_free_pages(base, NODE_ALL, &v, NULL), 0);
    assert_int_equal(v, 4000 / base);
    assert_int_equal(node_free_pages(3, 0, &v, &err), -1);
    assert_int_equal(err.code, VIR_ERR_OPERATION_FAILED);
    err_clear(&err);
    assert_int_equal(node_free_pages(base, 1, &v, &err), -1);
    assert_int_equal(err.code, VIR_ERR_INTERNAL_ERROR);
    fakeroot_file("-3\n", NODE "/node0/hugepages/hugepages-2048kB/free_hugepages");
    assert_int_equal(node_free_pages(2048, 0, &v, NULL), -1);
}

static void test_alloc_pages(void **state)
{
    unsigned long long v;
    g_auto(Err) err = ERR_INIT;
    put_two_cells();
    fakeroot_file("10\n", NODE "/node2/hugepages/hugepages-2048kB/nr_hugepages");
    assert_int_equal(node_alloc_pages(2048, 2, 5, true, NULL), 0);
    assert_int_equal(hostfs_number(&v, NODE "/node2/hugepages/hugepages-2048kB/nr_hugepages"), 0);
    assert_int_equal(v, 15);
    assert_int_equal(node_alloc_pages(2048, 2, 1, false, NULL), 0);
    assert_int_equal(hostfs_number(&v, NODE "/node2/hugepages/hugepages-2048kB/nr_hugepages"), 0);
    assert_int_equal(v, 1);
    assert_int_equal(node_alloc_pages(2048, 2, UINT64_MAX, true, &err), -1);
    assert_int_equal(err.code, VIR_ERR_OVERFLOW);
    err_clear(&err);
    assert_int_equal(node_alloc_pages(2048, 0, 1, true, &err), -1); /* that cell has no such pool */
    assert_int_equal(err.code, VIR_ERR_OPERATION_FAILED);
    err_clear(&err);
    assert_int_equal(node_alloc_pages((unsigned)sysconf(_SC_PAGESIZE) / 1024, 2, 1, true, &err), -1);
    assert_int_equal(err.code, VIR_ERR_OPERATION_INVALID);
}

static void test_cpu_stats(void **state)
{
    NodeCpuStats s;
    unsigned long long tick = 1000000000ULL / (unsigned long long)sysconf(_SC_CLK_TCK);
    fakeroot_file("cpu  10 1 20 300 5 6 7 8 9 0\ncpu0 1 2 3 4 5 6 7 8\ncpu10 5 0 0 9\nintr 1\n", "/proc/stat");
    assert_int_equal(node_cpu_stats(NODE_ALL, &s, NULL), 0);
    assert_int_equal(s.user, 11 * tick);
    assert_int_equal(s.kernel, 33 * tick);
    assert_int_equal(s.idle, 300 * tick);
    assert_int_equal(s.iowait, 5 * tick);
    assert_int_equal(node_cpu_stats(0, &s, NULL), 0);
    assert_int_equal(s.kernel, 16 * tick);
    assert_int_equal(node_cpu_stats(10, &s, NULL), 0); /* an old kernel's short line */
    assert_int_equal(s.idle, 9 * tick);
    assert_int_equal(s.iowait, 0);
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(node_cpu_stats(1, &s, &err), -1); /* cpu10 is another one */
    assert_int_equal(err.code, VIR_ERR_INVALID_ARG);
    assert_int_equal(node_cpu_stats(-2, &s, NULL), -1);
    assert_int_equal(node_cpu_stats(INT32_MAX, &s, NULL), -1);
    fakeroot_file("cpu0 1 2 x 4\n", "/proc/stat");
    assert_int_equal(node_cpu_stats(0, &s, NULL), -1);
    fakeroot_file("", "/proc/stat");
    assert_int_equal(node_cpu_stats(NODE_ALL, &s, NULL), -1);
}

static void test_cpu_map(void **state)
{
    g_auto(NodeCpuMap) m = {0};
    fakeroot_file("0-9\n", CPU "/present");
    fakeroot_file("0-1,8\n", CPU "/online");
    assert_int_equal(node_cpu_map(&m, NULL), 0);
    assert_int_equal(m.n, 10);
    assert_int_equal(m.online, 3);
    assert_int_equal(m.bits[0], 3);
    assert_int_equal(m.bits[1], 1);
    NodeCpuMap other;
    fakeroot_file("0-99999\n", CPU "/online");
    assert_int_equal(node_cpu_map(&other, NULL), -1);
}

static void test_ksm(void **state)
{
    NodeKsmParam p[NODE_KSM_PARAMS];
    unsigned n;
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(node_ksm_get(p, &n, NULL), 0);
    assert_int_equal(n, 0);
    fakeroot_file("100\n", "/sys/kernel/mm/ksm/pages_to_scan");
    fakeroot_file("5000000000\n", "/sys/kernel/mm/ksm/full_scans");
    assert_int_equal(node_ksm_get(p, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_string_equal(p[0].field, "shm_pages_to_scan");
    assert_false(p[0].wide);
    assert_int_equal(p[1].value, 5000000000);
    assert_int_equal(node_ksm_set("shm_pages_to_scan", 7, NULL), 0);
    assert_int_equal(node_ksm_get(p, &n, NULL), 0);
    assert_int_equal(p[0].value, 7);
    assert_int_equal(node_ksm_set("shm_full_scans", 7, &err), -1);
    assert_int_equal(err.code, VIR_ERR_ARGUMENT_UNSUPPORTED);
    assert_int_equal(node_ksm_set("shm_merge_across_nodes", 1, NULL), -1); /* not in this kernel */
    assert_int_equal(node_ksm_set("../../../etc/passwd", 1, NULL), -1);
    fakeroot_file("5000000000\n", "/sys/kernel/mm/ksm/pages_to_scan");
    assert_int_equal(node_ksm_get(p, &n, NULL), -1);
}

static void test_uuid(void **state)
{
    uint8_t a[UUID_LEN], b[UUID_LEN];
    char path[4200];
    g_auto(Err) err = ERR_INIT;
    fakeroot_file("", "/var/x");
    g_strlcpy(path, fakeroot_path("/var/host-uuid"), sizeof(path));
    fakeroot_file("ffffffff-ffff-ffff-ffff-ffffffffffff\n",
                  "/sys/class/dmi/id/product_uuid"); /* firmware that has none */
    assert_int_equal(node_uuid(path, a, NULL), 0);
    node_uuid_forget();
    assert_int_equal(node_uuid(path, b, NULL), 0);
    assert_memory_equal(a, b, UUID_LEN); /* kept */
    node_uuid_forget();
    fakeroot_file("00112233-4455-6677-8899-AABBCCDDEEFF\n", "/sys/class/dmi/id/product_uuid");
    assert_int_equal(node_uuid(path, b, NULL), 0);
    char text[UUID_STRING_LEN];
    uuid_format(b, text);
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
    node_uuid_forget();
    fakeroot_remove("/sys/class/dmi/id/product_uuid");
    fakeroot_file("not a uuid\n", "/var/host-uuid"); /* somebody's file: not overwritten */
    assert_int_equal(node_uuid(path, b, &err), -1);
    assert_int_equal(err.code, VIR_ERR_CONFIG_UNSUPPORTED);
}

static void test_suspend_and_devices(void **state)
{
    assert_int_equal(node_suspend_targets(), 0);
    fakeroot_file("freeze mem disk\n", "/sys/power/state");
    assert_int_equal(node_suspend_targets(), NODE_SUSPEND_MEM);
    fakeroot_file("[platform] shutdown reboot suspend test_resume\n", "/sys/power/disk");
    assert_int_equal(node_suspend_targets(), NODE_SUSPEND_MEM | NODE_SUSPEND_DISK | NODE_SUSPEND_HYBRID);
    fakeroot_file("[disabled]\n", "/sys/power/disk");
    assert_int_equal(node_suspend_targets(), NODE_SUSPEND_MEM);
    fakeroot_file("memory\n", "/sys/power/state");
    assert_int_equal(node_suspend_targets(), 0);

    assert_false(node_iommu());
    fakeroot_file("", "/sys/kernel/iommu_groups/0/x");
    assert_true(node_iommu());
    assert_int_equal(node_kvm(), NODE_KVM_MISSING);
    fakeroot_file("", "/dev/kvm");
    assert_int_equal(node_kvm(), NODE_KVM_BROKEN);
    assert_int_equal(node_kvm_max_vcpus(), 0);
}

static void test_hostname(void **state)
{
    char name[256];
    gethostname(name, sizeof(name));
    g_autofree char *plain = node_hostname(NULL);
    assert_string_equal(plain, name);
    if (strchr(name, '.') || g_str_has_prefix(name, "localhost"))
        return;
    g_autofree char *hosts = g_strdup_printf(
        "127.0.0.1 localhost\n# 10.0.0.9 no.example %s\n10.0.0.1\thost.example.org alias %s # x\n", name, name);
    fakeroot_file(hosts, "/etc/hosts");
    g_autofree char *full = node_hostname(NULL);
    assert_string_equal(full, "host.example.org");
    g_autofree char *local = g_strdup_printf("127.0.0.1 localhost.localdomain %s\n", name);
    fakeroot_file(local, "/etc/hosts");
    g_autofree char *again = node_hostname(NULL);
    assert_string_equal(again, name);
}

static void test_files_that_are_none(void **state)
{
    char *text;
    unsigned long long v;
    fakeroot_file("", "/proc/x");
    assert_int_equal(mkfifo(fakeroot_path("/proc/fifo"), 0644), 0);
    assert_int_equal(hostfs_read(&text, 100, "/proc/fifo"), -EINVAL); /* and does not wait for a writer */
    assert_int_equal(hostfs_read(&text, 100, "/proc"), -EINVAL);
    fakeroot_bytes("1\0002", 3, "/proc/nul");
    assert_int_equal(hostfs_number(&v, "/proc/nul"), -EBADMSG);
    char *big = g_strnfill(10000, 'x');
    memcpy(big + 5, "\n", 1);
    fakeroot_file(big, "/proc/big");
    assert_int_equal(hostfs_read(&text, 9999, "/proc/big"), -EFBIG);
    assert_int_equal(hostfs_read_head(&text, 9000, "/proc/big"), 0);
    assert_string_equal(text, "xxxxx");
    g_free(text);
    assert_int_equal(hostfs_read(&text, 10000, "/proc/big"), 0);
    assert_int_equal(strlen(text), 10000);
    g_free(text);
    g_free(big);
    fakeroot_file("18446744073709551615\n", "/proc/n");
    assert_int_equal(hostfs_number(&v, "/proc/n"), 0);
    assert_true(v == UINT64_MAX);
    const char *const bad[] = {"", " ", "18446744073709551616", "1 2", "0x10", "-1", "+1", "1\n2"};
    for (unsigned i = 0; i < N_ELEMENTS(bad); i++) {
        fakeroot_file(bad[i], "/proc/n");
        assert_int_equal(hostfs_number(&v, "/proc/n"), -EBADMSG);
    }
}

static void test_idset(void **state)
{
    static const struct {
        const char *in, *out;
    } good[] = {{"", ""},           {"0", "0"},       {"0-3,5", "0-3,5"},  {"5,4,3", "3-5"},
                {"63-64", "63-64"}, {"8191", "8191"}, {"0-8191", "0-8191"}};
    static const char *const bad[] = {"8192", "0-8192", "1-", "-1",  "3-1",   "0,",
                                      ",0",   "0,,1",   "a",  "0 1", "0-1-2", "99999999999999999999"};
    IdSet s;
    for (unsigned i = 0; i < N_ELEMENTS(good); i++) {
        assert_int_equal(idset_parse(good[i].in, IDSET_MAX, &s), 0);
        g_autofree char *out = idset_format(&s);
        assert_string_equal(out, good[i].out);
    }
    for (unsigned i = 0; i < N_ELEMENTS(bad); i++)
        assert_int_equal(idset_parse(bad[i], IDSET_MAX, &s), -EBADMSG);
    assert_int_equal(idset_parse("4", 4, &s), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_info_of_two_cells, setup, teardown),
        cmocka_unit_test_setup_teardown(test_info_with_cpus_offline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_info_dies_count_as_cores, setup, teardown),
        cmocka_unit_test_setup_teardown(test_topology, setup, teardown),
        cmocka_unit_test_setup_teardown(test_topology_is_kept_and_renewed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_topology_without_numa, setup, teardown),
        cmocka_unit_test_setup_teardown(test_topology_from_nonsense, setup, teardown),
        cmocka_unit_test_setup_teardown(test_topology_cpu_in_two_cells, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alloc_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cpu_stats, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cpu_map, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ksm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uuid, setup, teardown),
        cmocka_unit_test_setup_teardown(test_suspend_and_devices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostname, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_that_are_none, setup, teardown),
        cmocka_unit_test(test_idset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
