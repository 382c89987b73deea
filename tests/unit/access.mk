# unit tests of access control
access_tests = tests/unit/test_access
check_PROGRAMS += $(access_tests)
TESTS += $(access_tests)

tests_unit_test_access_SOURCES = tests/unit/test_access.c daemon/access_rules.c daemon/access_parse.c daemon/access_rules_private.h
tests_unit_test_access_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_access_LDADD = libprotocol.a libutil.a $(SYSTEMD_LIBS) $(TIRPC_LIBS) $(GLIB_LIBS) $(CMOCKA_LIBS)

TESTS += tests/lint/polkit.sh
EXTRA_DIST += tests/lint/polkit.sh
check_PROGRAMS += polkit/generate
