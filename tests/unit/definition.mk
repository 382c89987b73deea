# what is stored of a machine
check_PROGRAMS += tests/unit/test_definition
TESTS += tests/unit/test_definition
tests_unit_test_definition_SOURCES = tests/unit/test_definition.c $(world_sources)
tests_unit_test_definition_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_definition_LDADD = $(tests_unit_test_domain_LDADD)
