# tests of src/rpc: the packet reader, client bytes into a real server
rpc_tests = tests/rpc/test_frame tests/rpc/test_server tests/rpc/test_stream tests/rpc/test_listen \
	tests/rpc/test_transport tests/rpc/test_turns tests/rpc/test_chaos tests/rpc/test_places
check_PROGRAMS += $(rpc_tests)
TESTS += $(rpc_tests)
check_LIBRARIES += librpctoy.a
librpctoy_a_SOURCES = tests/rpc/toy.c tests/rpc/toy.h
librpctoy_a_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
rpc_test_libs = librpctoy.a librpc.a libevent.a libutil.a $(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS) $(TIRPC_LIBS)

tests_rpc_test_frame_SOURCES = tests/rpc/test_frame.c
tests_rpc_test_frame_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_rpc_test_frame_LDADD = $(rpc_test_libs)
tests_rpc_test_server_SOURCES = tests/rpc/test_server.c
tests_rpc_test_server_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_rpc_test_server_LDADD = $(rpc_test_libs)
tests_rpc_test_listen_SOURCES = tests/rpc/test_listen.c daemon/listen.c daemon/listen.h daemon/listen_net.c daemon/listen_net.h \
	daemon/listen_role.c daemon/listen_role.h
tests_rpc_test_listen_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_rpc_test_listen_LDADD = $(rpc_test_libs)
tests_rpc_test_stream_SOURCES = tests/rpc/test_stream.c
tests_rpc_test_stream_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_rpc_test_stream_LDADD = $(rpc_test_libs)
tests_rpc_test_chaos_SOURCES = tests/rpc/test_chaos.c
tests_rpc_test_chaos_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_rpc_test_chaos_LDADD = $(rpc_test_libs)
tests_rpc_test_places_SOURCES = tests/rpc/test_places.c
tests_rpc_test_places_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_rpc_test_places_LDADD = $(rpc_test_libs)
tests_rpc_test_turns_SOURCES = tests/rpc/test_turns.c
tests_rpc_test_turns_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_rpc_test_turns_LDADD = $(rpc_test_libs)
tests_rpc_test_transport_SOURCES = tests/rpc/test_transport.c
tests_rpc_test_transport_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_rpc_test_transport_LDADD = $(rpc_test_libs)

check_PROGRAMS += tests/rpc/test_tls tests/rpc/test_tls_hostile tests/unit/test_cert
TESTS += tests/rpc/test_tls tests/rpc/test_tls_hostile tests/unit/test_cert
tls_world = tests/rpc/tls_world.c tests/rpc/tls_world.h tests/rpc/certs.c tests/rpc/certs.h
tests_rpc_test_tls_SOURCES = tests/rpc/test_tls.c $(tls_world)
tests_rpc_test_tls_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_rpc_test_tls_LDADD = $(rpc_test_libs) $(GNUTLS_LIBS)
tests_rpc_test_tls_hostile_SOURCES = tests/rpc/test_tls_hostile.c $(tls_world)
tests_rpc_test_tls_hostile_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_rpc_test_tls_hostile_LDADD = $(rpc_test_libs) $(GNUTLS_LIBS)
tests_unit_test_cert_SOURCES = tests/unit/test_cert.c tests/rpc/certs.c tests/rpc/certs.h
tests_unit_test_cert_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_cert_LDADD = libutil.a $(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GNUTLS_LIBS) $(GLIB_LIBS)
