# Tests of src/qmp and the scripted peer others use (tests/qmp/peer.h; link libqmppeer.a before libqmp.a).
check_LIBRARIES += libqmppeer.a
libqmppeer_a_SOURCES = tests/qmp/peer.c tests/qmp/peer.h tests/qmp/peer_schema.c

check_PROGRAMS += tests/unit/test_qmp_client
TESTS += tests/unit/test_qmp_client
tests_unit_test_qmp_client_SOURCES = tests/unit/test_qmp_client.c
tests_unit_test_qmp_client_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_qmp_client_LDADD = libqmppeer.a libqmp.a libevent.a libutil.a \
	$(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS) $(JANSSON_LIBS)

check_PROGRAMS += tests/unit/test_caps
TESTS += tests/unit/test_caps
tests_unit_test_caps_SOURCES = tests/unit/test_caps.c
tests_unit_test_caps_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_caps_LDADD = libqemu.a libhost.a libqmp.a libmodel.a libevent.a libutil.a \
	$(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS) $(JANSSON_LIBS) $(LIBXML_LIBS)

check_PROGRAMS += tests/unit/test_caps_xml
TESTS += tests/unit/test_caps_xml
tests_unit_test_caps_xml_SOURCES = tests/unit/test_caps_xml.c
tests_unit_test_caps_xml_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_caps_xml_LDADD = libqemu.a libhost.a libqmp.a libmodel.a libevent.a libutil.a \
	$(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS) $(JANSSON_LIBS) $(LIBXML_LIBS)
