/* test_procs - every row of procs.def and events.def is whole, and says what it should for known calls */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "api_enums.h"
#include "base.h"
#include "protocol/events.h"
#include "protocol/keepalive_protocol.h"
#include "protocol/berth_protocol.h"
#include "protocol/lxc_protocol.h"
#include "protocol/procs.h"
#include "protocol/qemu_protocol.h"
#include "protocol/remote_protocol.h"

static const ProcInfo *remote(int nr)
{
    const ProcInfo *p = proc_lookup(REMOTE_PROGRAM, nr);
    assert_non_null(p);
    return p;
}

static bool is_event(uint32_t prog, int nr)
{
    size_t n;
    const EventInfo *e = event_table(&n);
    for (size_t i = 0; i < n; i++)
        if (e[i].prog == prog && (e[i].proc == nr || e[i].legacy_proc == nr))
            return true;
    return false;
}

static void each_number_is_a_call_or_an_event(void **state)
{
    const struct {
        uint32_t prog;
        int last;
    } programs[] = {{REMOTE_PROGRAM, REMOTE_PROC_DOMAIN_ANNOUNCE_INTERFACE},
                    {QEMU_PROGRAM, QEMU_PROC_DOMAIN_MONITOR_COMMAND_WITH_FILES},
                    {LXC_PROGRAM, LXC_PROC_DOMAIN_OPEN_NAMESPACE}};

    for (size_t i = 0; i < N_ELEMENTS(programs); i++) {
        for (int nr = 1; nr <= programs[i].last; nr++) {
            const ProcInfo *p = proc_lookup(programs[i].prog, nr);
            if ((p != NULL) == is_event(programs[i].prog, nr))
                fail_msg("program %x number %d: %s", programs[i].prog, nr, p ? "both call and event" : "neither call nor event");
            if (p) {
                assert_int_equal(p->nr, nr);
                assert_int_equal(p->prog, programs[i].prog);
            }
        }
        assert_null(proc_lookup(programs[i].prog, 0));
        assert_null(proc_lookup(programs[i].prog, -1));
        assert_null(proc_lookup(programs[i].prog, programs[i].last + 1));
        assert_null(proc_lookup(programs[i].prog, INT32_MAX));
        assert_null(proc_lookup(programs[i].prog, INT32_MIN));
    }
    assert_null(proc_lookup(KEEPALIVE_PROGRAM, 1));
    assert_null(proc_lookup(0, 1));
}

static void rows_are_whole(void **state)
{
    size_t n;
    const ProcInfo *procs = proc_table(&n);

    for (size_t i = 0; i < n; i++) {
        const ProcInfo *p = &procs[i];
        bool domain_object = p->object != OBJ_CONN;

        assert_int_equal(p->index, i);
        assert_true(strlen(p->name) > 3);
        assert_true(g_str_has_prefix(p->api, p->prog == BERTH_PROGRAM ? "berth" : "vir") || p->preauth);
        assert_int_equal(p->args.size != 0, p->args.filter != NULL);
        assert_int_equal(p->ret.size != 0, p->ret.filter != NULL);
        assert_int_equal(domain_object, p->key != KEY_NONE);
        if (p->key > KEY_LATE)
            assert_true(p->key_at < p->args.size);
        assert_true(p->flags_width == 0 || p->flags_width == 4 || p->flags_width == 8);
        if (p->flags_width)
            assert_true(p->flags_at + (size_t)p->flags_width <= p->args.size);
        if (p->flags_width != 8)
            assert_true(p->flags_mask <= UINT32_MAX);
        /* what decides by flags must be among the flags */
        assert_int_equal(p->ro_mask & ~p->flags_mask, 0);
        assert_int_equal(p->sparse_flag & ~p->flags_mask, 0);
        if (p->scope != SCOPE_CONN)
            assert_true(p->key > KEY_LATE);
        if (p->state != STATE_ANY)
            assert_int_equal(p->object, OBJ_DOMAIN);
        if (p->lane <= LANE_FAST)
            assert_true(p->scope != SCOPE_QUERY && p->scope != SCOPE_MODIFY && p->scope != SCOPE_ABORT && p->scope != SCOPE_ASYNC);
        /* whoever needs no permission is one of the few before or beside any object */
        if (p->perms[0] == PERM_NONE)
            assert_true(p->preauth || p->nr == REMOTE_PROC_CONNECT_CLOSE || p->nr == REMOTE_PROC_CONNECT_IS_SECURE);
        /* permissions are on the row's object */
        for (size_t k = 0; k < N_ELEMENTS(p->perms) && p->perms[k] != PERM_NONE; k++) {
            const char *on = perm_info(p->perms[k])->object;
            if (p->key != KEY_NONE && strcmp(on, proc_object_name(p->object)) != 0)
                assert_true(strstr(p->name, "storage_vol") || strstr(p->name, "network_port") || strstr(p->name, "lookup_by_volume"));
        }
        /* a call that changes something is refused on a read-only connection */
        if (p->scope == SCOPE_MODIFY || p->scope == SCOPE_DESTROY || p->scope == SCOPE_ASYNC || p->scope == SCOPE_ABORT)
            if (p->ro != READONLY_REFUSED)
                fail_msg("%s changes things but is allowed read-only", p->name);
    }
}

static void rules_belong_to_their_rows(void **state)
{
    size_t n, n_rules, total = 0;
    const ProcInfo *procs = proc_table(&n);

    for (size_t i = 0; i < n; i++) {
        const AclRule *r = proc_acl_rules(&procs[i], &n_rules);
        for (size_t k = 0; k < n_rules; k++) {
            assert_int_equal(r[k].row, i);
            assert_non_null(perm_info(r[k].perm));
            if (r[k].kind == ACL_RULE_IF)
                assert_true(r[k].mask != 0 && !(r[k].mask & ~procs[i].flags_mask));
            if (r[k].kind == ACL_RULE_CONFIG)
                assert_true((procs[i].flags_mask & 3) == 3);
        }
        assert_true(n_rules + 3 <= PROC_PERMS_MAX);
        total += n_rules;
    }
    assert_true(total > 30);
}

static void permissions_follow_flags(void **state)
{
    Perm perms[PROC_PERMS_MAX];
    remote_domain_get_xml_desc_args xml = {.flags = 0};
    const ProcInfo *p = remote(REMOTE_PROC_DOMAIN_GET_XML_DESC);

    assert_int_equal(proc_perms_needed(p, &xml, perms), 1);
    assert_int_equal(perms[0], PERM_DOMAIN_READ);
    assert_false(proc_readonly_refused(p, &xml));
    xml.flags = VIR_DOMAIN_XML_SECURE;
    assert_int_equal(proc_perms_needed(p, &xml, perms), 2);
    assert_int_equal(perms[1], PERM_DOMAIN_READ_SECURE);
    assert_true(proc_readonly_refused(p, &xml));

    remote_domain_attach_device_flags_args attach = {.flags = VIR_DOMAIN_AFFECT_LIVE};
    p = remote(REMOTE_PROC_DOMAIN_ATTACH_DEVICE_FLAGS);
    assert_int_equal(proc_perms_needed(p, &attach, perms), 1);
    attach.flags = 0;
    assert_int_equal(proc_perms_needed(p, &attach, perms), 2);
    assert_int_equal(perms[1], PERM_DOMAIN_SAVE);
    attach.flags = VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG;
    assert_int_equal(proc_perms_needed(p, &attach, perms), 2);

    remote_domain_interface_addresses_args addrs = {.source = VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE};
    p = remote(REMOTE_PROC_DOMAIN_INTERFACE_ADDRESSES);
    assert_int_equal(proc_perms_needed(p, &addrs, perms), 1);
    assert_false(proc_readonly_refused(p, &addrs));
    addrs.source = VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT;
    assert_int_equal(proc_perms_needed(p, &addrs, perms), 2);
    assert_true(proc_readonly_refused(p, &addrs));
}

static void flags_of_both_widths(void **state)
{
    const remote_domain_migrate_prepare2_args wide = {.flags = VIR_MIGRATE_LIVE | ((u_quad_t)1 << 40)};
    const remote_domain_reboot_args narrow = {.flags = VIR_DOMAIN_REBOOT_GUEST_AGENT};
    const remote_domain_suspend_args none = {.dom = {.id = -1}};

    assert_true(proc_flags(remote(REMOTE_PROC_DOMAIN_MIGRATE_PREPARE2), &wide) == (VIR_MIGRATE_LIVE | (uint64_t)1 << 40));
    assert_true(proc_flags(remote(REMOTE_PROC_DOMAIN_REBOOT), &narrow) == VIR_DOMAIN_REBOOT_GUEST_AGENT);
    assert_true(proc_flags(remote(REMOTE_PROC_DOMAIN_SUSPEND), &none) == 0);
}

static void known_rows(void **state)
{
    const ProcInfo *p = remote(REMOTE_PROC_DOMAIN_DESTROY);
    assert_string_equal(p->name, "domain_destroy");
    assert_string_equal(p->api, "virDomainDestroy");
    assert_int_equal(p->scope, SCOPE_DESTROY);
    assert_int_equal(p->lane, LANE_FAST);
    assert_int_equal(p->perms[0], PERM_DOMAIN_STOP);
    assert_int_equal(p->key, KEY_REF);
    assert_int_equal(p->key_at, offsetof(remote_domain_destroy_args, dom));

    p = remote(REMOTE_PROC_DOMAIN_SNAPSHOT_DELETE);
    assert_int_equal(p->object, OBJ_DOMAIN);
    assert_int_equal(p->key_at, offsetof(remote_domain_snapshot_delete_args, snap.dom));

    p = remote(REMOTE_PROC_DOMAIN_OPEN_CONSOLE);
    assert_int_equal(p->stream, STREAM_BOTH);
    p = remote(REMOTE_PROC_STORAGE_VOL_DOWNLOAD);
    assert_int_equal(p->stream, STREAM_READ);
    assert_true(p->sparse_flag == VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM);
    p = remote(REMOTE_PROC_DOMAIN_OPEN_GRAPHICS);
    assert_int_equal(p->fds_in_min, 1);
    assert_int_equal(p->fds_in_max, 1);
    p = remote(REMOTE_PROC_AUTH_LIST);
    assert_true(p->preauth && p->preopen);
    p = remote(REMOTE_PROC_CONNECT_SUPPORTS_FEATURE);
    assert_true(p->preopen && !p->preauth);
    p = remote(REMOTE_PROC_CONNECT_LIST_ALL_DOMAINS);
    assert_int_equal(p->filter, PERM_DOMAIN_GETATTR);

    assert_string_equal(perm_info(PERM_DOMAIN_READ_SECURE)->action, "org.libvirt.api.domain.read-secure");
    assert_null(perm_info(PERM_NONE));
    assert_null(perm_info(PERM_MAX));
}

static void programs(void **state)
{
    assert_true(proc_program_known(REMOTE_PROGRAM, 1));
    assert_true(proc_program_known(QEMU_PROGRAM, 1));
    assert_true(proc_program_known(LXC_PROGRAM, 1));
    assert_true(proc_program_known(BERTH_PROGRAM, 1));
    assert_false(proc_program_known(BERTH_PROGRAM, 2));
    assert_true(proc_program_known(KEEPALIVE_PROGRAM, 1));
    assert_false(proc_program_known(REMOTE_PROGRAM, 2));
    assert_false(proc_program_known(0x6900690, 1));
}

static void events(void **state)
{
    size_t n;
    const EventInfo *all = event_table(&n);

    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(event_lookup(all[i].class, all[i].id), &all[i]);
        assert_true(all[i].proc > 0 && all[i].msg.size > 0);
        assert_int_equal(all[i].legacy_proc != 0, all[i].legacy.size != 0);
        assert_int_equal(all[i].class == EVENT_CLASS_CONNECTION, all[i].filter == PERM_NONE);
        /* the older generation ended with id 15 */
        assert_int_equal(all[i].legacy_proc != 0, all[i].class == EVENT_CLASS_DOMAIN && all[i].id <= 15);
    }
    assert_int_equal(event_lookup(EVENT_CLASS_DOMAIN, VIR_DOMAIN_EVENT_ID_LIFECYCLE)->proc, REMOTE_PROC_DOMAIN_EVENT_CALLBACK_LIFECYCLE);
    assert_int_equal(event_lookup(EVENT_CLASS_DOMAIN, VIR_DOMAIN_EVENT_ID_LIFECYCLE)->legacy_proc, REMOTE_PROC_DOMAIN_EVENT_LIFECYCLE);
    assert_null(event_lookup(EVENT_CLASS_DOMAIN, 30));
    assert_null(event_lookup(EVENT_CLASS_DOMAIN, -1));
    assert_int_equal(event_lookup(EVENT_CLASS_QEMU, 0)->prog, QEMU_PROGRAM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_number_is_a_call_or_an_event),
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(rules_belong_to_their_rows),
        cmocka_unit_test(permissions_follow_flags),
        cmocka_unit_test(flags_of_both_widths),
        cmocka_unit_test(known_rows),
        cmocka_unit_test(programs),
        cmocka_unit_test(events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
