/* daemon/support_table.c - prints docs/support.md: what this daemon answers, from the tables it answers by
 *
 * Owns:    main() of a program used by the build only (make update-support)
 * Threads: one
 * Locks:   none
 * Errors:  exit status 1 if the output cannot be written
 *
 * Linked with all objects of the daemon but main.o, so that a handler counts as present exactly if the daemon has it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/proctable.h"
#include "protocol/admin_procs.h"
#include "protocol/events.h"
#include "protocol/flag_masks.h"
#include "protocol/berth_protocol.h"
#include "protocol/lxc_protocol.h"
#include "protocol/procs.h"
#include "protocol/qemu_protocol.h"
#include "protocol/remote_protocol.h"

/* Prints the table of XML elements.  Weak: without it the page has the procedures only. */
void model_support_print(FILE *out) __attribute__((weak));

/* Masks as text: the names in flag_masks.h are macros, the flags themselves are not, so a mask expands to the list of its flags. */
#define TEXT(...) TEXT_(__VA_ARGS__)
#define TEXT_(...) #__VA_ARGS__
#define FLAGS__
#define FLAGS_NO_FLAGS
#define FLAGS_FLAGS(mask) mask
#define READONLY_RO yes
#define READONLY_RW no
#define READONLY_RW_IF(mask) without mask
#define READONLY_RW_PARAM(field, value) unless field is value

/* What a handler does instead of what its call is for (API_INSTEAD). */
#define INSTEAD(name) extern const char *const api_instead_##name __attribute__((weak));
#define PROC(nr, NAME, name, ...) INSTEAD(name)
#define QEMU_PROC(nr, NAME, name, ...) INSTEAD(qemu_##name)
#define LXC_PROC(nr, NAME, name, ...) INSTEAD(lxc_##name)
#define BERTH_PROC(nr, NAME, name, ...) INSTEAD(berth_##name)
#include "protocol/procs.def"

static const struct {
    const char *flags, *readonly;
    const char *const *instead; /* NULL: nothing */
} texts[] = {
#define ROW(name, flags, ro) {TEXT(FLAGS_##flags), TEXT(READONLY_##ro), &api_instead_##name},
#define PROC(nr, NAME, name, a, r, perm, obj, scope, state, lane, flags, ro, ...) ROW(name, flags, ro)
#define QEMU_PROC(nr, NAME, name, a, r, perm, obj, scope, state, lane, flags, ro, ...) ROW(qemu_##name, flags, ro)
#define LXC_PROC(nr, NAME, name, a, r, perm, obj, scope, state, lane, flags, ro, ...) ROW(lxc_##name, flags, ro)
#define BERTH_PROC(nr, NAME, name, a, r, perm, obj, scope, state, lane, flags, ro, ...) ROW(berth_##name, flags, ro)
#include "protocol/procs.def"
};

/* In the order of the rules. */
static const char *const rule_texts[] = {
#define ACL_IF(NAME, perm, mask) "with " #mask,
#define ACL_CONFIG(NAME, perm) "for the persistent definition",
#define ACL_PARAM(NAME, perm, field, value) "if " #field " is " #value,
#include "protocol/procs.def"
};

/* "yes", "no", or what it is instead. */
static const char *supported(const ProcInfo *p)
{
    if (!proc_handler(p))
        return "no";
    return texts[p->index].instead ? *texts[p->index].instead : "yes";
}

/* "(A | B)" as "A, B": a bar would end the cell. */
static void print_text(const char *s)
{
    for (; *s; s++) {
        if (g_str_has_prefix(s, " | ")) {
            fputs(", ", stdout);
            s += 2;
        } else if (*s != '(' && *s != ')') {
            putchar(*s);
        }
    }
}

static void print_perm(Perm perm, const char **sep)
{
    const PermInfo *info = perm_info(perm);
    printf("%s%s:%s", *sep, info->object, info->permission);
    *sep = ", ";
}

static void print_perms(const ProcInfo *p)
{
    const char *sep = "";
    size_t n;
    const AclRule *first_rule = proc_acl_rules(proc_table(&n), &n);
    const AclRule *rules = proc_acl_rules(p, &n);

    for (size_t i = 0; i < N_ELEMENTS(p->perms) && p->perms[i] != PERM_NONE; i++)
        print_perm(p->perms[i], &sep);
    for (size_t i = 0; i < n; i++) {
        print_perm(rules[i].perm, &sep);
        putchar(' ');
        print_text(rule_texts[rules + i - first_rule]);
    }
    if (sep[0] == '\0')
        fputs("none", stdout);
}

static void print_program(const char *title, uint32_t prog)
{
    size_t n, calls = 0, done = 0;
    const ProcInfo *procs = proc_table(&n);

    for (size_t i = 0; i < n; i++) {
        if (procs[i].prog != prog)
            continue;
        calls++;
        if (strcmp(supported(&procs[i]), "yes") == 0)
            done++;
    }
    printf("## %s: %zu of %zu calls\n\n", title, done, calls);
    puts("| nr | function | supported | read-only | flags accepted | permission |");
    puts("|---:|---|---|---|---|---|");
    for (size_t i = 0; i < n; i++) {
        const ProcInfo *p = &procs[i];
        if (p->prog != prog)
            continue;
        printf("| %d | %s | %s | ", p->nr, p->api, supported(p));
        print_text(texts[i].readonly);
        fputs(" | ", stdout);
        print_text(texts[i].flags);
        fputs(" | ", stdout);
        print_perms(p);
        puts(" |");
    }
    puts("");
}

/* Its rows all have a handler, or it would not link. */
static void print_admin(void)
{
    size_t n;
    const AdminProcInfo *procs = admin_proc_table(&n);
    printf("## Admin program (on its own socket, for root alone): %zu of %zu calls\n\n", n, n);
    puts("| nr | function | on | changes something |");
    puts("|---:|---|---|---|");
    for (size_t i = 0; i < n; i++) {
        static const char *const objects[] = {[ADMIN_ON_CONN] = "daemon", [ADMIN_ON_SERVER] = "server", [ADMIN_ON_CLIENT] = "client"};
        printf("| %d | %s | %s | %s |\n", procs[i].nr, procs[i].api, objects[procs[i].object], procs[i].changes ? "yes, logged" : "no");
    }
    puts("");
}

int main(void)
{
    puts("# What is supported\n\n"
         "Made by `make update-support` from the tables the daemon runs by; edits are lost.\n\n"
         "A call that is not supported is answered with error 3 (VIR_ERR_NO_SUPPORT) and its name; \"refused\": with another error, whatever\n"
         "its arguments; \"no agent\": as libvirt answers for a machine whose guest runs no agent, since agents are not spoken to yet; \"none\n"
         "yet\": truly, that there is none, for nothing makes any yet. The calls counted do what they are for. \"Flags accepted\" are those the\n"
         "daemon lets through; what a call does not do yet it refuses by name. \"Read-only\" says whether a read-only connection may\n"
         "make the call. Permissions are those of libvirt's access control.\n");
    print_program("Main program", REMOTE_PROGRAM);
    print_program("QEMU program", QEMU_PROGRAM);
    print_program("LXC program", LXC_PROGRAM);
    print_program("Berth's own program", BERTH_PROGRAM);
    print_admin();
    if (model_support_print)
        model_support_print(stdout);
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
