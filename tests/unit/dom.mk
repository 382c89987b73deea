# unit tests of object, store, domain
dom_tests = tests/unit/test_object
check_PROGRAMS += $(dom_tests)
TESTS += $(dom_tests)

tests_unit_test_object_SOURCES = tests/unit/test_object.c
tests_unit_test_object_LDADD = libobject.a libevent.a libutil.a $(GLIB_LIBS) $(SYSTEMD_LIBS) $(CMOCKA_LIBS)
