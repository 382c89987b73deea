/* polkit/generate.c - writes polkit's actions files from the table of permissions
 *
 * Owns:    the two files' texts; a developer's tool, run by `make update-generated`, never installed
 *
 * What everybody may do by default is what libvirt's own files say, so that a host that is switched over keeps its rules' meaning: looking
 * at things, and finding them.  The rest is refused to everybody without a rule, root aside, whom polkit never refuses anything.
 */
#include <stdio.h>
#include <string.h>

#include "protocol/procs.h"

static const char head[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<!DOCTYPE policyconfig PUBLIC \"-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN\"\n"
    "    \"http://www.freedesktop.org/standards/PolicyKit/1/policyconfig.dtd\">\n"
    "<!-- %s  Generated from the daemon's table of permissions; edits are lost.  Rules of the host go to /etc/polkit-1/rules.d. -->\n"
    "<policyconfig>\n"
    "  <vendor>Berth</vendor>\n";

static void action(const char *id, const char *description, const char *message, const char *defaults)
{
    printf("  <action id=\"%s\">\n"
           "    <description>%s</description>\n"
           "    <message>%s</message>\n"
           "    <defaults>\n"
           "      <allow_any>%s</allow_any>\n"
           "      <allow_inactive>%s</allow_inactive>\n"
           "      <allow_active>%s</allow_active>\n"
           "    </defaults>\n"
           "  </action>\n",
           id, description, message, defaults, defaults, defaults);
}

static bool for_everybody(const PermInfo *p)
{
    if (strcmp(p->permission, "getattr") == 0)
        return true;
    if (strcmp(p->permission, "read") == 0)
        return strcmp(p->object, "node_device") != 0;
    return strcmp(p->object, "connect") == 0 && strncmp(p->permission, "search_", 7) == 0;
}

static void api_actions(void)
{
    printf(head, "What each single call may do, where access_drivers names polkit.");
    for (Perm perm = PERM_NONE + 1; perm < PERM_MAX; perm++) {
        const PermInfo *p = perm_info(perm);
        char description[128], message[192];
        snprintf(description, sizeof(description), "Virtual machines: %s of %s", p->permission, p->object);
        snprintf(message, sizeof(message), "Authenticate for the permission %s of the object %s", p->permission, p->object);
        action(p->action, description, message, for_everybody(p) ? "yes" : "no");
    }
    puts("</policyconfig>");
}

static void unix_actions(void)
{
    printf(head, "Who comes in by the local sockets, where auth_unix_rw or auth_unix_ro is polkit.");
    action("org.libvirt.unix.monitor", "Look at virtual machines of this host", "Authenticate to look at this host's virtual machines", "yes");
    action("org.libvirt.unix.manage", "Manage virtual machines of this host",
           "Authenticate to manage this host's virtual machines, which gives full control over the host", "auth_admin_keep");
    puts("</policyconfig>");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "api") == 0) {
        api_actions();
    } else if (argc == 2 && strcmp(argv[1], "unix") == 0) {
        unix_actions();
    } else {
        fprintf(stderr, "usage: generate api|unix\n");
        return 2;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
