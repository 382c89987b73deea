/* test_config.c - the rows of libvirtd.conf, qemu.conf and berthd.conf */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "qemu/conf.h"

#include "daemon/conf.h"

/* Every key libvirt 9.0 knows must have a row: a host that is switched over may use any of them. */
static const char libvirtd_names[] =
    "listen_tls listen_tcp tls_port tcp_port listen_addr unix_sock_group unix_sock_ro_perms unix_sock_rw_perms "
    "unix_sock_admin_perms unix_sock_dir auth_unix_ro auth_unix_rw auth_tcp auth_tls tcp_min_ssf key_file cert_file ca_file crl_file "
    "tls_no_verify_certificate tls_no_sanity_certificate tls_allowed_dn_list tls_priority sasl_allowed_username_list access_drivers "
    "min_workers max_workers max_clients max_queued_clients max_anonymous_clients max_client_requests prio_workers admin_min_workers "
    "admin_max_workers admin_max_clients admin_max_queued_clients admin_max_client_requests log_level log_filters log_outputs "
    "audit_level audit_logging keepalive_interval keepalive_count keepalive_required admin_keepalive_interval admin_keepalive_count "
    "admin_keepalive_required host_uuid host_uuid_source ovs_timeout";
static const char qemu_names[] =
    "default_tls_x509_cert_dir default_tls_x509_verify default_tls_x509_secret_uuid vnc_listen vnc_auto_unix_socket vnc_tls "
    "vnc_tls_x509_cert_dir vnc_tls_x509_secret_uuid vnc_tls_x509_verify vnc_password vnc_sasl vnc_sasl_dir vnc_allow_host_audio "
    "spice_listen spice_tls spice_tls_x509_cert_dir spice_auto_unix_socket spice_password spice_sasl spice_sasl_dir chardev_tls "
    "chardev_tls_x509_cert_dir chardev_tls_x509_verify chardev_tls_x509_secret_uuid migrate_tls_x509_cert_dir migrate_tls_x509_verify "
    "migrate_tls_x509_secret_uuid migrate_tls_force backup_tls_x509_cert_dir backup_tls_x509_verify backup_tls_x509_secret_uuid "
    "vxhs_tls vxhs_tls_x509_cert_dir vxhs_tls_x509_secret_uuid nbd_tls nbd_tls_x509_cert_dir nbd_tls_x509_secret_uuid "
    "nographics_allow_host_audio remote_display_port_min remote_display_port_max remote_websocket_port_min "
    "remote_websocket_port_max security_driver security_default_confined security_require_confined user group dynamic_ownership "
    "remember_owner cgroup_controllers cgroup_device_acl seccomp_sandbox namespaces save_image_format dump_image_format "
    "snapshot_image_format auto_dump_path auto_dump_bypass_cache auto_start_bypass_cache hugetlbfs_mount bridge_helper pr_helper "
    "slirp_helper dbus_daemon set_process_name max_processes max_files max_core dump_guest_core stdio_handler max_threads_per_process "
    "sched_core mac_filter relaxed_acs_check allow_disk_format_probing lock_manager max_queued keepalive_interval keepalive_count "
    "migration_address migration_port_min migration_port_max migration_host log_timestamp nvram gluster_debug_level virtiofsd_debug "
    "deprecation_behavior memory_backing_dir swtpm_user swtpm_group clear_emulator_capabilities capability_filters";

static const ConfKey *find(const ConfKey *keys, const char *name)
{
    for (; keys->name; keys++)
        if (strcmp(keys->name, name) == 0)
            return keys;
    return NULL;
}

static void check_rows(const ConfKey *keys, const char *names)
{
    g_auto(GStrv) list = g_strsplit(names, " ", -1);
    for (char **n = list; *n; n++)
        if (!find(keys, *n))
            fail_msg("no row for %s", *n);
    for (const ConfKey *k = keys; k->name; k++) {
        assert_ptr_equal(find(keys, k->name), k); /* no name twice */
        assert_non_null(k->text);
        if (k->flags & (CONF_FIXED | CONF_INERT))
            assert_non_null(k->refusal);
        if (k->type == CONF_ENUM)
            assert_non_null(k->words);
    }
}

static void test_rows(void **state)
{
    check_rows(libvirtd_config_keys, libvirtd_names);
    check_rows(qemu_config_keys, qemu_names);
    check_rows(berthd_config_keys, "long_workers");
    for (const ConfKey *k = berthd_config_keys; k->name; k++)
        assert_null(find(libvirtd_config_keys, k->name));
}

static QemuConfig *parse_qemu(const char *text, Err *err)
{
    return qemu_config_parse(text, strlen(text), "qemu.conf", err);
}

static void test_qemu_defaults(void **state)
{
    g_autoptr(QemuConfig) c = qemu_config_new();
    assert_string_equal(c->user, QEMU_USER);
    assert_string_equal(c->vnc_listen, "127.0.0.1");
    assert_int_equal(c->remote_display_port_min, 5900);
    assert_int_equal(c->seccomp_sandbox, -1);
    assert_int_equal(c->stdio_handler, STDIO_FILE);
    assert_true(c->max_core == UINT64_MAX);
    assert_null(c->vnc_password);
    g_autoptr(QemuConfig) other = qemu_config_ref(c);
    assert_ptr_equal(other, c);
}

static void test_qemu_values(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(QemuConfig) c = parse_qemu("security_driver = \"none\"\nnamespaces = [ ]\nmax_core = 0\nstdio_handler = \"logd\"\n"
                                         "nvram = [ \"/a:/b\" ]\nvnc_password = \"x\"",
                                         &err);
    assert_non_null(c);
    assert_string_equal(c->security_driver[0], "none");
    assert_non_null(c->namespaces);
    assert_null(c->namespaces[0]);
    assert_int_equal(c->max_core, 0);
    assert_int_equal(c->stdio_handler, STDIO_LOGD);
}

static void test_qemu_refusals(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"allow_disk_format_probing = 1", "allow_disk_format_probing is not supported: "},
        {"lock_manager = \"lockd\"", "lock_manager is not supported: "},
        {"vnc_tls = 1", "vnc_tls: only 0 is accepted, "},
        {"security_driver = \"selinux\"", "SELinux and AppArmor"},
        {"remote_display_port_min = 6000\nremote_display_port_max = 5950", "must not be above"},
        {"nvram = [ \"/a\" ]", "is not FIRMWARE:TEMPLATE"},
        {"namespaces = [ \"mount\" ]", "allowed: an empty list"},
        {"mac_filter = 1", "mac_filter: only 0 is accepted"},
        {"usr = \"x\"", "nearest is \"user\""},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        assert_null(parse_qemu(cases[i].text, &err));
        if (!strstr(err.detail, cases[i].words))
            fail_msg("'%s' gave '%s'", cases[i].text, err.detail);
    }
}

static void test_qemu_ids(void **state)
{
    g_auto(Err) err = ERR_INIT;
    uid_t uid = 1;
    gid_t gid = 1;
    g_autoptr(QemuConfig) root = parse_qemu("user = \"root\"\ngroup = \"+7\"", &err);
    assert_int_equal(qemu_config_ids(root, &uid, &gid, &err), 0);
    assert_int_equal(uid, 0);
    assert_int_equal(gid, 7);
    g_autoptr(QemuConfig) nobody = parse_qemu("user = \"no-such-account\"", &err);
    assert_int_equal(qemu_config_ids(nobody, &uid, &gid, &err), -1);
    assert_non_null(strstr(err.detail, "\"no-such-account\""));
}

static char *write_temp(const char *text)
{
    char *path = NULL;
    int fd = g_file_open_tmp("berth-conf-XXXXXX", &path, NULL);
    assert_true(fd >= 0);
    assert_true(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void test_daemon(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *a = write_temp("unix_sock_rw_perms = \"0770\"\nmax_clients = 70\n");
    g_autofree char *b = write_temp("job_timeout = 3\nmodular_sockets = 0\n");
    g_autoptr(DaemonConfig) plain = daemon_config_load(NULL, "/nonexistent", &err);
    g_autoptr(DaemonConfig) c = daemon_config_load(a, b, &err);
    assert_non_null(c);
    assert_int_equal(plain->job_timeout, 30);
    assert_int_equal(c->unix_sock_rw_perms, 0770);
    assert_int_equal(c->job_timeout, 3);
    g_auto(GStrv) restart = daemon_config_needs_restart(plain, c);
    assert_int_equal(g_strv_length(restart), 2);
    assert_string_equal(restart[0], "unix_sock_rw_perms");
    assert_string_equal(restart[1], "modular_sockets");
    unlink(a);
    unlink(b);
}

static void test_daemon_refusals(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"listen_tls = 2", "listen_tls is 2, must be from -1 to 1"},
        {"tls_no_verify_certificate = 1\ntls_allowed_dn_list = [ \"CN=*\" ]", "tls_allowed_dn_list cannot be kept"},
        {"tcp_port = \"0\"", "tcp_port takes a port number"},
        {"auth_tcp = \"polkit\"", "auth_tcp: \"polkit\" is not accepted, polkit knows local clients only"},
        {"host_uuid = \"11111111-1111-1111-1111-111111111111\"", "host_uuid"},
        {"max_clients = 10", "max_anonymous_clients is 20"},
        {"unix_sock_dir = \"run\"", "must start with /"},
        {"log_level = 5", "log_level is 5, must be from 1 to 4"},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        g_autofree char *path = write_temp(cases[i].text);
        assert_null(daemon_config_load(path, NULL, &err));
        if (!strstr(err.detail, cases[i].words))
            fail_msg("'%s' gave '%s'", cases[i].text, err.detail);
        unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),          cmocka_unit_test(test_qemu_defaults),   cmocka_unit_test(test_qemu_values),
        cmocka_unit_test(test_qemu_refusals), cmocka_unit_test(test_qemu_ids),        cmocka_unit_test(test_daemon),
        cmocka_unit_test(test_daemon_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
