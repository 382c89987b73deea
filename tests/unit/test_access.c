/* test_access.c - rules of access control: reading them, what they decide; the permissions of the procedures' rows */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/access_rules.h"
#include "util/uuid.h"

static const uint8_t uuid_a[UUID_LEN] = {0xaa, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const gid_t alice_groups[] = {4, 27, 1000};
static const AccessIdentity alice = {.has_creds = true, .uid = 1000, .gid = 1000, .groups = alice_groups, .n_groups = 3};
static const AccessIdentity bob = {.has_creds = true, .uid = 1001, .gid = 1001};
static const AccessIdentity joe = {.sasl_user = "joe@EXAMPLE.COM"};
static const AccessIdentity host = {.x509_dname = "O=Example,CN=host1"};

static AccessRules *parse(const char *text)
{
    g_auto(Err) err = ERR_INIT;
    AccessRules *r = access_rules_parse("t.rules", text, strlen(text), NULL, NULL, &err);
    if (!r)
        fail_msg("%s", err.detail);
    return r;
}

/* Line of the rule that decided, negative when it refuses; 0: none. */
static int decide(const char *text, const AccessIdentity *who, Perm perm, const char *name)
{
    g_autoptr(AccessRules) r = parse(text);
    g_autoptr(AccessProfile) p = access_profile_new(r, who);
    const AccessObject o = {name, uuid_a};
    AccessDecision d = access_profile_decide(p, perm, name ? &o : NULL);
    assert_true(d.allow ? d.line > 0 : true);
    if (d.allow)
        assert_true(access_profile_may(p, perm));
    else
        assert_false(access_profile_always(p, perm));
    return d.allow ? (int)d.line : -(int)d.line;
}

static void test_decisions(void **state)
{
    static const char text[] = "# who may what\n"
                               "deny user 1001 to domain:start\n"
                               "allow group 27 to domain:start, domain:stop on name web-*\n"
                               "allow sasl *@EXAMPLE.COM to domain:read-secure on uuid AA01*\n"
                               "allow dn \"O=Example,CN=*\" to connect:*\n"
                               "deny anyone to domain:read on name \"secret vm\"\n"
                               "allow anyone to domain:read domain:getattr\n"
                               "allow anyone to domain:start on name shared\n";
    assert_int_equal(decide(text, &alice, PERM_DOMAIN_START, "web-1"), 3);
    assert_int_equal(decide(text, &alice, PERM_DOMAIN_START, "db"), 0);
    assert_int_equal(decide(text, &alice, PERM_DOMAIN_START, "shared"), 8);
    assert_int_equal(decide(text, &bob, PERM_DOMAIN_START, "shared"), -2);
    assert_int_equal(decide(text, &bob, PERM_DOMAIN_STOP, "web-1"), 0);
    assert_int_equal(decide(text, &joe, PERM_DOMAIN_READ_SECURE, "x"), 4);
    assert_int_equal(decide(text, &alice, PERM_DOMAIN_READ_SECURE, "x"), 0);
    assert_int_equal(decide(text, &host, PERM_CONNECT_WRITE, NULL), 5);
    assert_int_equal(decide(text, &joe, PERM_CONNECT_WRITE, NULL), 0);
    assert_int_equal(decide(text, &joe, PERM_DOMAIN_READ, "secret vm"), -6);
    assert_int_equal(decide(text, &joe, PERM_DOMAIN_READ, "other"), 7);
    assert_int_equal(decide(text, &joe, PERM_DOMAIN_READ, NULL), -6); /* which one is not known: a refusal fits */
    assert_int_equal(decide(text, &alice, PERM_DOMAIN_STOP, NULL), 0); /* and a permission does not */
    assert_int_equal(decide("", &alice, PERM_DOMAIN_READ, "x"), 0);
    assert_int_equal(decide("allow user 1000 group 4 to *", &alice, PERM_SECRET_WRITE, "x"), 1);
    assert_int_equal(decide("allow user 1000 group 5 to *", &alice, PERM_SECRET_WRITE, "x"), 0);
    assert_int_equal(decide("allow user 0 to *", &joe, PERM_DOMAIN_READ, "x"), 0); /* no uid is not uid 0 */
    assert_int_equal(decide("allow sasl * to *", &alice, PERM_DOMAIN_READ, "x"), 0);
    assert_int_equal(decide("allow anyone to * on name x", &alice, PERM_DOMAIN_READ, "x"), 1);
    assert_int_equal(decide("allow anyone to * on name x", &alice, PERM_CONNECT_READ, NULL), 0);
    assert_int_equal(decide("allow anyone to domain:* on name x uuid bb*", &alice, PERM_DOMAIN_READ, "x"), 0);
}

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } cases[] = {
        {"*", "", true},       {"*", "abc", true},      {"a?c", "abc", true},  {"a?c", "ac", false},   {"a*c", "abbbc", true},
        {"a*c", "abcd", false}, {"*a*b*", "xxaxxb", true}, {"", "", true},      {"abc", "ABC", false},  {"**", "x", true},
        {"a*b*c", "abc", true}, {"?", "", false},        {"a*", "ba", false},
        {"*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        if (!*cases[i].pattern)
            continue;
        g_autofree char *text = g_strdup_printf("allow anyone to domain:read on name \"%s\"", cases[i].pattern);
        if ((decide(text, &bob, PERM_DOMAIN_READ, cases[i].text) == 1) != cases[i].fits)
            fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].text);
    }
}

/* The short cuts must say what the walk says. */
static void test_short_cuts(void **state)
{
    static const struct {
        const char *text;
        bool may, always;
    } cases[] = {
        {"", false, false},
        {"allow anyone to domain:read", true, true},
        {"allow user 7 to domain:read", false, false},
        {"allow anyone to domain:start", false, false},
        {"allow anyone to domain:read on name x", true, false},
        {"deny anyone to domain:read on name x\nallow anyone to domain:read", true, false},
        {"deny anyone to domain:read\nallow anyone to domain:read", false, false},
        {"deny anyone to domain:read on name x", false, false},
        {"allow anyone to domain:read on name x\ndeny anyone to domain:read", true, false},
        {"allow anyone to domain:read on name x\nallow anyone to domain:read", true, false},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        g_autoptr(AccessRules) r = parse(cases[i].text);
        g_autoptr(AccessProfile) p = access_profile_new(r, &alice);
        if (access_profile_may(p, PERM_DOMAIN_READ) != cases[i].may || access_profile_always(p, PERM_DOMAIN_READ) != cases[i].always)
            fail_msg("'%s'", cases[i].text);
    }
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"permit anyone to *", "t.rules:1: \"permit\" begins no rule; allowed: allow, deny"},
        {"\n\nallow everybody to *", "t.rules:3: \"everybody\" is not understood; allowed here: anyone, user NAME"},
        {"allow anyone *", "and then \"to\""},
        {"allow", "the end of the line is not understood"},
        {"allow to *", "\"to\" is not understood"},
        {"allow anyone to", "at least one permission"},
        {"allow anyone to domain", "\"domain\" is no permission; it is OBJECT:PERMISSION"},
        {"allow anyone to machine:read", "\"machine\" is no kind of object; allowed: *, connect, domain, "},
        {"allow anyone to domain:look", "\"look\" is no permission of domain; allowed: *, getattr, read, write, read_secure, "},
        {"allow anyone to domain:read on", "behind \"on\" comes"},
        {"allow anyone to domain:read on x", "\"x\" is not understood; allowed here: name PATTERN, uuid PATTERN"},
        {"allow anyone to domain:read on name", "\"name\" wants a value"},
        {"allow anyone to domain:read on name a name b", "stands here twice"},
        {"allow anyone to domain:read on uuid xyz", "can be no UUID"},
        {"allow anyone to connect:read on name x", "cannot be limited"},
        {"allow user to *", "\"*\" is not understood"},
        {"deny user no-such-account to *", "there is no user no-such-account, so this refuses nobody"},
        {"deny group no-such-account to *", "there is no group no-such-account"},
        {"allow user 99999999999 to *", "is no account's number"},
        {"allow user \"a to *", "a quote is not closed"},
        {"allow user a\"b\" to *", "a quote stands in the middle"},
        {"allow sasl \"a\"b to *", "a blank is missing"},
        {"allow sasl \xff to *", "not UTF-8"},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        AccessRules *r = access_rules_parse("t.rules", cases[i].text, strlen(cases[i].text), NULL, NULL, &err);
        if (r || !strstr(err.detail, cases[i].words))
            fail_msg("'%s' gave '%s'", cases[i].text, r ? "rules" : err.detail);
        assert_int_equal(err.code, VIR_ERR_CONF_SYNTAX);
    }
}

static void count(const char *text, void *arg)
{
    ++*(int *)arg;
}

static void test_unknown_account_that_allows(void **state)
{
    static const char text[] = "allow user no-such-account to *\nallow user root to domain:read\n";
    g_auto(Err) err = ERR_INIT;
    int notes = 0;
    g_autoptr(AccessRules) r = access_rules_parse("t.rules", text, strlen(text), count, &notes, &err);
    assert_non_null(r);
    assert_int_equal(notes, 1);
    g_autoptr(AccessProfile) p = access_profile_new(r, &(AccessIdentity){.has_creds = true});
    assert_true(access_profile_always(p, PERM_DOMAIN_READ));
    assert_false(access_profile_may(p, PERM_DOMAIN_WRITE));
}

static void write_rules(const char *dir, const char *name, const char *text, mode_t mode)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    assert_true(g_file_set_contents(path, text, -1, NULL));
    assert_int_equal(chmod(path, mode), 0);
}

static void test_directory(void **state)
{
    g_auto(Err) err = ERR_INIT;
    int notes = 0;
    g_autofree char *dir = g_dir_make_tmp("berth-rules-XXXXXX", NULL);
    g_autofree char *none = g_build_filename(dir, "none", NULL);
    g_autoptr(AccessRules) empty = access_rules_load(none, NULL, NULL, &err);
    assert_int_equal(access_rules_count(empty), 0);
    write_rules(dir, "20-b.rules", "allow anyone to domain:read\n", 0644);
    write_rules(dir, "10-a.rules", "deny user 1001 to domain:read", 0600);
    write_rules(dir, "10-a.rules~", "not a rule", 0644);
    write_rules(dir, ".hidden.rules", "not a rule", 0644);
    g_autoptr(AccessRules) r = access_rules_load(dir, count, &notes, &err);
    assert_int_equal(access_rules_count(r), 2);
    assert_int_equal(notes, 1);
    g_autoptr(AccessProfile) p = access_profile_new(r, &bob);
    AccessDecision d = access_profile_decide(p, PERM_DOMAIN_READ, NULL);
    assert_false(d.allow);
    assert_true(g_str_has_suffix(d.file, "/10-a.rules"));
    write_rules(dir, "30-c.rules", "allow anyone to *\n", 0664);
    assert_null(access_rules_load(dir, NULL, NULL, &err));
    assert_non_null(strstr(err.detail, "others than its owner may write"));
    static const char *const names[] = {"10-a.rules", "10-a.rules~", "20-b.rules", "30-c.rules", ".hidden.rules"};
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(dir, names[i], NULL);
        unlink(path);
    }
    rmdir(dir);
}

/* ---- the rows -------------------------------------------------------------------------------------------------------------- */

/* Every permission there is, by object. */
static const char known[] =
    "connect: getattr read write search_domains search_networks search_storage_pools search_node_devices"
    " search_interfaces search_secrets search_nwfilters search_nwfilter_bindings detect_storage_pools pm_control"
    " interface_transaction; "
    "domain: getattr read write read_secure start stop reset save delete migrate checkpoint snapshot suspend"
    " hibernate core_dump pm_control init_control inject_nmi send_input send_signal fs_trim fs_freeze block_read"
    " block_write mem_read open_graphics open_device screenshot open_namespace set_time set_password; "
    "interface: getattr read write save delete start stop; "
    "network: getattr read write save delete start stop search_ports; "
    "network_port: getattr read write create delete; "
    "node_device: getattr read write start stop detach delete save; "
    "nwfilter: getattr read write save delete; "
    "nwfilter_binding: getattr read create delete; "
    "secret: getattr read write read_secure save delete; "
    "storage_pool: getattr read write save delete start stop refresh search_storage_vols format; "
    "storage_vol: getattr read create delete format resize data_read data_write; "
    "";

static bool is_known(const PermInfo *info)
{
    g_autofree char *head = g_strdup_printf("%s: ", info->object);
    g_autofree char *word = g_strdup_printf(" %s ", info->permission);
    g_auto(GStrv) objects = g_strsplit(known, "; ", -1);
    for (char **o = objects; *o; o++) {
        g_autofree char *line = g_strdup_printf("%s ", *o);
        if (g_str_has_prefix(line, head) && strstr(line, word))
            return true;
    }
    return false;
}

static void test_permissions_are_known(void **state)
{
    unsigned n = 0;
    for (Perm p = PERM_NONE + 1; p < PERM_MAX; p++, n++) {
        const PermInfo *info = perm_info(p);
        g_autofree char *dashed = g_strdup(info->permission);
        g_strdelimit(dashed, "_", '-');
        g_autofree char *object = g_strdup(info->object);
        g_strdelimit(object, "_", '-');
        g_autofree char *action = g_strdup_printf("org.libvirt.api.%s.%s", object, dashed);
        if (!is_known(info))
            fail_msg("%s:%s is no permission", info->object, info->permission);
        assert_string_equal(info->action, action);
    }
    assert_int_equal(n, 106);
}

/* What needs no permission is said on purpose, and only that. */
static void test_rows(void **state)
{
    static const char *const free_for_all[] = {"connect_close", "auth_list", "auth_sasl_init", "auth_sasl_start", "auth_sasl_step",
                                               "auth_polkit", "connect_is_secure", NULL};
    size_t n;
    const ProcInfo *rows = proc_table(&n);
    for (size_t i = 0; i < n; i++) {
        const ProcInfo *r = &rows[i];
        bool none = g_strv_contains(free_for_all, r->name);
        if ((r->perms[0] == PERM_NONE) != none)
            fail_msg("%s %s", r->name, none ? "asks for a permission" : "asks for none");
        for (size_t k = 0; k < N_ELEMENTS(r->perms) && r->perms[k] != PERM_NONE; k++) {
            const char *object = perm_info(r->perms[k])->object;
            const char *kind = proc_object_name(r->object);
            bool close = (g_str_has_prefix(object, "storage_") && g_str_has_prefix(kind, "storage_")) || /* a volume in a pool */
                         (g_str_has_prefix(object, "network") && g_str_has_prefix(kind, "network"));    /* a port of a network */
            if (strcmp(object, "connect") != 0 && strcmp(object, kind) != 0 && !close)
                fail_msg("%s asks for a permission of %s, its object is %s", r->name, object, proc_object_name(r->object));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decisions),  cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_short_cuts), cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_directory),  cmocka_unit_test(test_unknown_account_that_allows),
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_permissions_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
