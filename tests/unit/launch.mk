# unit tests of spawn, src/host and of the command line and launch of QEMU
check_PROGRAMS += tests/unit/test_spawn
TESTS += tests/unit/test_spawn
tests_unit_test_spawn_SOURCES = tests/unit/test_spawn.c
tests_unit_test_spawn_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_spawn_LDADD = libutil.a $(CMOCKA_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
check_PROGRAMS += tests/unit/test_image
TESTS += tests/unit/test_image
tests_unit_test_image_SOURCES = tests/unit/test_image.c
tests_unit_test_image_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_image_LDADD = libhost.a libutil.a $(CMOCKA_LIBS) $(JANSSON_LIBS) $(LIBNL_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
QEMU_TEST_LIBS = libqemu.a libqmp.a libhost.a libmodel.a libevent.a libutil.a $(CMOCKA_LIBS) $(JANSSON_LIBS) $(LIBXML_LIBS) $(LIBNL_LIBS) \
	$(CAPNG_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
QEMU_TEST_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) -DGOLDEN_DIR='"$(abs_top_srcdir)/tests/golden/argv"'
noinst_HEADERS += tests/unit/golden.h
check_PROGRAMS += tests/unit/test_argv
TESTS += tests/unit/test_argv
tests_unit_test_argv_SOURCES = tests/unit/test_argv.c
tests_unit_test_argv_CPPFLAGS = $(QEMU_TEST_CPPFLAGS)
tests_unit_test_argv_LDADD = $(QEMU_TEST_LIBS)
EXTRA_DIST += \
	tests/golden/argv/i440fx-from-user.argv tests/golden/argv/i440fx-from-user.xml \
	tests/golden/argv/q35-from-user.argv tests/golden/argv/q35-from-user.xml \
	tests/golden/argv/i440fx-devices.argv tests/golden/argv/i440fx-devices.xml \
	tests/golden/argv/minimal.argv tests/golden/argv/minimal.xml \
	tests/golden/argv/q35-bridge-usb2.argv tests/golden/argv/q35-bridge-usb2.xml \
	tests/golden/argv/q35-devices.argv tests/golden/argv/q35-devices.xml
check_PROGRAMS += tests/unit/test_launch
TESTS += tests/unit/test_launch
tests_unit_test_launch_SOURCES = tests/unit/test_launch.c
tests_unit_test_launch_CPPFLAGS = $(QEMU_TEST_CPPFLAGS)
tests_unit_test_launch_LDADD = $(QEMU_TEST_LIBS)
check_PROGRAMS += tests/unit/test_hostdev
TESTS += tests/unit/test_hostdev
tests_unit_test_hostdev_SOURCES = tests/unit/test_hostdev.c
tests_unit_test_hostdev_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_hostdev_LDADD = libhost.a libutil.a $(CMOCKA_LIBS) $(JANSSON_LIBS) $(LIBNL_LIBS) $(SYSTEMD_LIBS) $(GLIB_LIBS)
