# daemon: the only place where all layers meet
sbin_PROGRAMS += berthd
berthd_SOURCES = daemon/main.c
berthd_LDADD = librpc.a libevent.a libutil.a $(SYSTEMD_LIBS) $(GLIB_LIBS) $(TIRPC_LIBS)
berthd_SOURCES += daemon/conf.c daemon/conf.h daemon/conf_libvirtd.c daemon/conf_berthd.c
berthd_SOURCES += daemon/listen.c daemon/listen.h
