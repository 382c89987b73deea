# tests of who a client is: the kernel's answers, SASL and its security layer
sasl_tests = tests/rpc/test_peer tests/rpc/test_sasl
check_PROGRAMS += $(sasl_tests)
TESTS += $(sasl_tests)

tests_rpc_test_peer_SOURCES = tests/rpc/test_peer.c
tests_rpc_test_peer_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_rpc_test_peer_LDADD = librpc.a libutil.a $(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)

tests_rpc_test_sasl_SOURCES = tests/rpc/test_sasl.c tests/rpc/sasl_env.h
tests_rpc_test_sasl_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_rpc_test_sasl_LDADD = $(rpc_test_libs) $(SASL_LIBS) $(GNUTLS_LIBS)
