/* qemu/caps_kvm.c - does KVM run guests here?
 *
 * Owns:    the verdict, reached once per process
 * Threads: any that may sleep; the first asks, others wait for it
 * Locks:   kvm_lock (leaf), held while a child of ours runs a guest of five instructions, two seconds at most
 * Errors:  none: anything that goes wrong means "not usable", with one line in the log
 *
 * That /dev/kvm opens says little: nested or emulated KVM may accept a machine and then never return from running it, and QEMU would
 * hang with it.  So a child, which can be killed, runs a real-mode guest that writes a byte to a port and halts.
 */
#define LOG_AREA "qemu.caps"
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __x86_64__
#include <linux/kvm.h>
#endif

#include "util/fd.h"
#include "util/lock.h"
#include "util/log.h"
#include "util/pool.h"
#include "qemu/caps_private.h"

#define KVM_TEST_MS 2000

typedef enum { VERDICT_UNKNOWN, VERDICT_NONE, VERDICT_DENIED, VERDICT_BROKEN, VERDICT_WORKS } Verdict;

#ifdef __x86_64__
/* Behind the code in the shared page: what the child learnt by the way. */
typedef struct Learnt {
    int64_t tsc_khz;
    int tsc_scaling;
} Learnt;
#define LEARNT_OFFSET 2048
static Learnt learnt; /* written once, before the verdict is known */

/* mov al,'B'; out 0x10,al; hlt */
static const uint8_t guest_code[] = {0xb0, 'B', 0xe6, 0x10, 0xf4};
#define GUEST_PORT 0x10
#define GUEST_ADDR 0x1000

/* Runs the guest.  In a child between fork and _exit: system calls only.  0: it wrote and halted. */
static int run_guest(int kvm, uint8_t *page, struct kvm_run *(*map)(int, size_t))
{
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0)
        return 10;
    struct kvm_userspace_memory_region mem = {
        .guest_phys_addr = GUEST_ADDR, .memory_size = 4096, .userspace_addr = (uint64_t)(uintptr_t)page};
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &mem) < 0)
        return 11;
    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (vcpu < 0 || size < (int)sizeof(struct kvm_run))
        return 12;
    struct kvm_run *run = map(vcpu, (size_t)size);
    Learnt *out = (Learnt *)(void *)(page + LEARNT_OFFSET);
    out->tsc_khz = ioctl(vcpu, KVM_GET_TSC_KHZ, 0);
    out->tsc_scaling = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL);
    struct kvm_sregs sregs;
    if (!run || ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
        return 13;
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    struct kvm_regs regs = {.rip = GUEST_ADDR, .rflags = 2};
    if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
        return 14;
    bool wrote = false;
    for (unsigned i = 0; i < 8; i++) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0 && errno != EINTR)
            return 15;
        if (run->exit_reason == KVM_EXIT_IO && run->io.port == GUEST_PORT)
            wrote = true;
        else if (run->exit_reason == KVM_EXIT_HLT)
            return wrote ? 0 : 16;
    }
    return 17;
}

static struct kvm_run *map_run(int vcpu, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Waits for the child, two seconds, then kills it.  True when it ended with 0. */
static bool await_child(pid_t pid, const char **ret_why)
{
    AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    Deadline d = deadline_in_ms(KVM_TEST_MS);
    int r;
    do
        r = poll(&p, 1, deadline_left_ms(d));
    while (r < 0 && errno == EINTR);
    if (r <= 0)
        kill(pid, SIGKILL); /* unreaped, so the number is still its own */
    int status = 0;
    /* A child stuck in the kernel for good would hold us here; WNOHANG leaves it to be reaped by nobody, once per process. */
    if (waitpid(pid, &status, r > 0 ? 0 : WNOHANG) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    *ret_why = r <= 0 ? "a test guest did not come to its end" : "a test guest did not run";
    return false;
}

static Verdict try_kvm(void)
{
    AUTO_CLOSE int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0)
        return errno == ENOENT || errno == ENODEV || errno == ENXIO ? VERDICT_NONE : VERDICT_DENIED;
    if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return VERDICT_BROKEN;
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return VERDICT_BROKEN;
    memcpy(page, guest_code, sizeof(guest_code));
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_guest(kvm, page, map_run));
    const char *why = "no test process could be made";
    bool ok = pid > 0 && await_child(pid, &why);
    if (ok)
        learnt = *(const Learnt *)(const void *)(page + LEARNT_OFFSET);
    munmap(page, 4096);
    if (!ok)
        log_warning("KVM is there but not usable: %s", why);
    return ok ? VERDICT_WORKS : VERDICT_BROKEN;
}

bool caps_kvm_tsc(uint64_t *ret_hz, bool *ret_scaling)
{
    if (!caps_kvm_works() || learnt.tsc_khz <= 0)
        return false;
    *ret_hz = (uint64_t)learnt.tsc_khz * 1000;
    *ret_scaling = learnt.tsc_scaling > 0;
    return true;
}
#else
bool caps_kvm_tsc(uint64_t *ret_hz, bool *ret_scaling)
{
    return false;
}

static Verdict try_kvm(void)
{
    /* Elsewhere QEMU's own word (query-kvm, and a machine that starts) has to do. */
    AUTO_CLOSE int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm >= 0)
        return VERDICT_WORKS;
    return errno == ENOENT || errno == ENODEV || errno == ENXIO ? VERDICT_NONE : VERDICT_DENIED;
}
#endif

static Verdict verdict(void)
{
    static pthread_mutex_t kvm_lock = PTHREAD_MUTEX_INITIALIZER;
    static Verdict known;
    pool_blocking_begin();
    pthread_mutex_lock(&kvm_lock);
    if (known == VERDICT_UNKNOWN)
        known = try_kvm();
    Verdict v = known;
    pthread_mutex_unlock(&kvm_lock);
    pool_blocking_end();
    return v;
}

bool caps_kvm_works(void)
{
    return verdict() == VERDICT_WORKS;
}

const char *caps_kvm_state(void)
{
    static const char *const words[] = {"unknown", "none", "denied", "broken", "works"};
    return words[verdict()];
}
