# block jobs: the object and the region
check_PROGRAMS += tests/unit/test_blockjob
TESTS += tests/unit/test_blockjob
world_sources = tests/unit/domain_world.c tests/unit/domain_world.h
tests_unit_test_blockjob_SOURCES = tests/unit/test_blockjob.c $(world_sources)
tests_unit_test_blockjob_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_blockjob_LDADD = $(tests_unit_test_domain_LDADD)
# thousands of regions against a QEMU at its worst
check_PROGRAMS += tests/unit/test_blockjob_storm
TESTS += tests/unit/test_blockjob_storm
tests_unit_test_blockjob_storm_SOURCES = tests/unit/test_blockjob_storm.c $(world_sources)
tests_unit_test_blockjob_storm_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_blockjob_storm_LDADD = $(tests_unit_test_domain_LDADD)
