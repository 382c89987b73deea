# unit tests of object, store, domain
dom_tests = tests/unit/test_object tests/unit/test_job
check_PROGRAMS += $(dom_tests)
TESTS += $(dom_tests)

tests_unit_test_object_SOURCES = tests/unit/test_object.c
tests_unit_test_object_LDADD = libobject.a libevent.a libutil.a $(GLIB_LIBS) $(SYSTEMD_LIBS) $(CMOCKA_LIBS)
tests_unit_test_job_SOURCES = tests/unit/test_job.c
tests_unit_test_job_LDADD = libdomain.a $(tests_unit_test_object_LDADD)
