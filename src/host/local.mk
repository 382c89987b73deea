# host: the machine we run on; knows no domain
noinst_LIBRARIES += libhost.a
libhost_a_SOURCES =
libhost_a_SOURCES += src/host/hostfs.c src/host/hostfs.h src/host/private.h
libhost_a_SOURCES += src/host/node.c src/host/node.h
libhost_a_SOURCES += src/host/nodepages.c
libhost_a_SOURCES += src/host/nodestats.c
libhost_a_SOURCES += src/host/proc.c src/host/proc.h
libhost_a_SOURCES += src/host/topology.c
libhost_a_SOURCES += src/host/linkstat.c src/host/linkstat.h
libhost_a_SOURCES += src/host/smbios.c src/host/smbios.h
libhost_a_SOURCES += src/host/sysinfo.c src/host/sysinfo.h
libhost_a_SOURCES += src/host/hostcpu.c src/host/hostcpu.h
libhost_a_SOURCES += src/host/cgroup.c src/host/cgroup.h
libhost_a_SOURCES += src/host/image.c src/host/image.h
libhost_a_SOURCES += src/host/image_find.c src/host/image_find.h
libhost_a_SOURCES += src/host/image_header.c src/host/image_backing.c
libhost_a_SOURCES += src/host/tap.c src/host/tap.h src/host/rtlink.c src/host/rtlink.h
