# images of a running machine: names in a chain, nodes in a real QEMU
check_PROGRAMS += tests/unit/test_chain
TESTS += tests/unit/test_chain
tests_unit_test_chain_SOURCES = tests/unit/test_chain.c $(world_sources)
tests_unit_test_chain_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_chain_LDADD = $(tests_unit_test_domain_LDADD)
