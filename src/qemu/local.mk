# qemu: command line, devices, launch; knows no locks and jobs
noinst_LIBRARIES += libqemu.a
libqemu_a_SOURCES =
libqemu_a_SOURCES += src/qemu/conf.c src/qemu/conf.h
