# unit tests of host facts (src/host)
node_tests = tests/unit/test_node tests/unit/test_sysinfo tests/unit/test_proc
check_PROGRAMS += $(node_tests)
TESTS += $(node_tests)
node_test_libs = libhost.a libutil.a $(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)

tests_unit_test_node_SOURCES = tests/unit/test_node.c tests/unit/fakeroot.c tests/unit/fakeroot.h
tests_unit_test_node_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_node_LDADD = $(node_test_libs)
tests_unit_test_sysinfo_SOURCES = tests/unit/test_sysinfo.c tests/unit/fakeroot.c tests/unit/fakeroot.h
tests_unit_test_sysinfo_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sysinfo_LDADD = $(node_test_libs)
tests_unit_test_proc_SOURCES = tests/unit/test_proc.c tests/unit/fakeroot.c tests/unit/fakeroot.h
tests_unit_test_proc_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_proc_LDADD = $(node_test_libs)
