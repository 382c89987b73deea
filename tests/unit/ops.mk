# unit tests of configuration and logging, and of what is generated from tables
check_PROGRAMS += tests/unit/test_conf tests/unit/test_config
TESTS += tests/unit/test_conf tests/unit/test_config tests/lint/generated.sh tests/lint/units.sh
tests_unit_test_conf_SOURCES = tests/unit/test_conf.c
tests_unit_test_conf_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_conf_LDADD = libutil.a $(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
tests_unit_test_config_SOURCES = tests/unit/test_config.c daemon/conf.c daemon/conf_libvirtd.c daemon/conf_berthd.c
tests_unit_test_config_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_config_LDADD = libqemu.a libutil.a $(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
EXTRA_DIST += tests/lint/generated.sh tests/lint/units.sh docs/berthd.conf.5.in
check_PROGRAMS += conf/generate
check_PROGRAMS += tests/unit/test_log
TESTS += tests/unit/test_log
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_log_LDADD = libutil.a $(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
EXTRA_DIST += tests/integration tests/lib
dist-hook: dist-no-caches
.PHONY: dist-no-caches
dist-no-caches:
	find $(distdir)/tests -name __pycache__ -exec rm -rf {} +
