/* daemon/confine.c - the privileges the daemon keeps
 *
 * Owns:    the list of capabilities, each with what it is for
 * Threads: the main thread, before there are others
 * Errors:  a kernel that refuses to take privileges away
 *
 * Children have less: those that run guests or look at images for them have another account, no capability and an empty bounding set
 * (util/spawn.c).  systemd/berthd.service.in has the same list; a test compares the two.
 */
#include "config.h"

#define ERR_FROM VIR_FROM_RPC
#define LOG_AREA "daemon.confine"
#include <cap-ng.h>
#include <errno.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daemon/confine.h"
#include "util/log.h"

static const struct {
    int cap;
    const char *name; /* for the test that compares lists */
} kept[] = {
#define KEEP(cap) {cap, #cap}
    /* Files. */
    KEEP(CAP_CHOWN),        /* a guest's own directory, sockets and logs become its account's; our sockets their group's */
    KEEP(CAP_FOWNER),       /* and are later chmod-ed and removed, when they are its account's */
    KEEP(CAP_DAC_OVERRIDE), /* images of any owner are opened here and handed to QEMU, which could not open them */
    /* Children. */
    KEEP(CAP_SETUID),       /* QEMU and those who probe it run under another account */
    KEEP(CAP_SETGID),       /* with its groups */
    KEEP(CAP_SETPCAP),      /* and with an empty bounding set, which takes this one to make */
    KEEP(CAP_SYS_RESOURCE), /* max_files and max_processes of qemu.conf may be above our own limits */
    KEEP(CAP_KILL),         /* destroying a guest signals a process of that other account */
    KEEP(CAP_SYS_PTRACE),   /* finding such a process again where /proc is mounted with hidepid */
    /* Network. */
    KEEP(CAP_NET_ADMIN),        /* taps, and making them ports of bridges */
    KEEP(CAP_NET_BIND_SERVICE), /* tls_port and tcp_port may be below 1024 */
#undef KEEP
};
/* What is not there is missed by nothing that is built yet.  Mount namespaces of guests will take CAP_SYS_ADMIN and CAP_MKNOD, pinning of
 * threads CAP_SYS_NICE, SCSI passthrough CAP_SYS_RAWIO. */

static bool is_kept(int cap)
{
    for (unsigned i = 0; i < N_ELEMENTS(kept); i++)
        if (kept[i].cap == cap)
            return true;
    return false;
}

int confine(Err *err)
{
    if (geteuid() != 0)
        return 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set_errno(err, errno, "setting no_new_privs");
    if (capng_get_caps_process() < 0)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "the capabilities of this process cannot be found out");
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
        if (!is_kept(cap))
            capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, (unsigned)cap);
        capng_update(CAPNG_DROP, CAPNG_INHERITABLE | CAPNG_AMBIENT, (unsigned)cap);
    }
    /* The bounding set first: shrinking it takes a capability that could have to go. */
    if (capng_apply(CAPNG_SELECT_BOUNDS) < 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
        return err_set_errno(err, errno, "shrinking the bounding set");
    if (capng_apply(CAPNG_SELECT_CAPS) < 0)
        return err_set_errno(err, errno, "giving up capabilities");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return err_set_errno(err, errno, "giving up ambient capabilities");
    for (unsigned i = 0; i < N_ELEMENTS(kept); i++)
        if (!capng_have_capability(CAPNG_EFFECTIVE, (unsigned)kept[i].cap))
            log_info("%s is missing: what takes it will fail", kept[i].name);
    return 0;
}
