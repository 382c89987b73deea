# unit tests of object, store, domain
dom_tests = tests/unit/test_object tests/unit/test_job tests/unit/test_store tests/unit/test_defs_index
check_PROGRAMS += $(dom_tests)
TESTS += $(dom_tests)

dom_base_libs = libobject.a libevent.a libutil.a $(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
tests_unit_test_object_SOURCES = tests/unit/test_object.c
tests_unit_test_object_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_object_LDADD = $(dom_base_libs)
tests_unit_test_job_SOURCES = tests/unit/test_job.c
tests_unit_test_job_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_job_LDADD = libdomain.a $(dom_base_libs)
tests_unit_test_store_SOURCES = tests/unit/test_store.c
tests_unit_test_store_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_LDADD = libstore.a libmodel.a libutil.a $(CMOCKA_LIBS) $(LIBXML_LIBS) $(GLIB_LIBS) $(SYSTEMD_LIBS)
tests_unit_test_defs_index_SOURCES = tests/unit/test_defs_index.c
tests_unit_test_defs_index_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_defs_index_LDADD = $(tests_unit_test_store_LDADD)
check_PROGRAMS += tests/unit/test_domain
TESTS += tests/unit/test_domain
tests_unit_test_domain_SOURCES = tests/unit/test_domain.c
tests_unit_test_domain_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_domain_LDADD = libdomain.a libqemu.a libqmppeer.a libqmp.a libhost.a libobject.a libstore.a libmodel.a libevent.a libutil.a \
	$(CMOCKA_LIBS) $(LIBXML_LIBS) $(JANSSON_LIBS) $(LIBNL_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
check_PROGRAMS += tests/unit/test_domain_storm
TESTS += tests/unit/test_domain_storm
tests_unit_test_domain_storm_SOURCES = tests/unit/test_domain_storm.c
tests_unit_test_domain_storm_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_domain_storm_LDADD = $(tests_unit_test_domain_LDADD)
check_PROGRAMS += tests/unit/test_keys
TESTS += tests/unit/test_keys
tests_unit_test_keys_SOURCES = tests/unit/test_keys.c
tests_unit_test_keys_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_keys_LDADD = $(tests_unit_test_domain_LDADD)
