# qemu: command line, devices, launch; knows no locks and jobs
noinst_LIBRARIES += libqemu.a
libqemu_a_SOURCES =
libqemu_a_SOURCES += src/qemu/conf.c src/qemu/conf.h
libqemu_a_SOURCES += \
	src/qemu/argv.c src/qemu/argv.h \
	src/qemu/argv_machine.c \
	src/qemu/block_nodes.c \
	src/qemu/build.h \
	src/qemu/dev_chr.c \
	src/qemu/dev_controller.c \
	src/qemu/dev_disk.c \
	src/qemu/dev_graphics.c \
	src/qemu/dev_misc.c \
	src/qemu/dev_net.c \
	src/qemu/forward.h \
	src/qemu/launch.h \
	src/qemu/props.c src/qemu/props.h
libqemu_a_SOURCES += \
	src/qemu/caps.c src/qemu/caps.h src/qemu/caps_flags.def src/qemu/caps_private.h \
	src/qemu/caps_cache.c \
	src/qemu/caps_kvm.c \
	src/qemu/caps_probe.c \
	src/qemu/caps_session.c src/qemu/caps_session.h
libqemu_a_SOURCES += \
	src/qemu/capabilities.c src/qemu/caps_xml.h \
	src/qemu/cpu.c src/qemu/cpu.h src/qemu/cpu_features.def src/qemu/cpu_models.def \
	src/qemu/cpu_compute.c src/qemu/cpu_compute.h src/qemu/cpu_guest.c src/qemu/cpu_guest.h \
	src/qemu/domcaps.c \
	src/qemu/firmware.c src/qemu/firmware.h
libqemu_a_SOURCES += \
	src/qemu/launch.c \
	src/qemu/launch_fds.c \
	src/qemu/launch_log.c \
	src/qemu/launch_ports.c \
	src/qemu/launch_prepare.c \
	src/qemu/launch_private.h \
	src/qemu/launch_sweep.c \
	src/qemu/launch_settle.c
libqemu_a_SOURCES += src/qemu/image_chain.c src/qemu/image_chain.h src/qemu/image_writable.c src/qemu/image_writable.h
