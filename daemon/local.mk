# daemon: the only place where all layers meet
sbin_PROGRAMS += berthd
berthd_SOURCES = daemon/main.c
berthd_LDADD = libevent.a libutil.a $(SYSTEMD_LIBS) $(GLIB_LIBS)
berthd_SOURCES += daemon/config.c daemon/config.h daemon/config_libvirtd.c daemon/config_berthd.c
