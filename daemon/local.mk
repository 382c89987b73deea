# daemon: the only place where all layers meet
sbin_PROGRAMS += berthd
berthd_SOURCES = daemon/main.c
berthd_LDADD = libevent.a libutil.a $(SYSTEMD_LIBS) $(GLIB_LIBS)
