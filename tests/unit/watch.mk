# unit tests of the daemon's own parts: watchdog
check_PROGRAMS += tests/unit/test_watchdog
TESTS += tests/unit/test_watchdog
tests_unit_test_watchdog_SOURCES = tests/unit/test_watchdog.c daemon/watchdog.c daemon/watchdog.h
tests_unit_test_watchdog_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_watchdog_LDADD = libevent.a libutil.a $(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
