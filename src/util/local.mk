# util: knows nothing of virtual machines
noinst_LIBRARIES += libutil.a
libutil_a_SOURCES = \
	src/util/account.c src/util/account.h \
	src/util/arena.c src/util/arena.h \
	src/util/cert.c src/util/cert_check.c src/util/cert.h \
	src/util/closer.c src/util/closer.h \
	src/util/conf.c src/util/conf_doc.c src/util/conf.h \
	src/util/deadline.h \
	src/util/dirsync.c src/util/dirsync.h \
	src/util/err.c src/util/err.h \
	src/util/err_text.c \
	src/util/fault.c src/util/fault.h \
	src/util/fd.c src/util/fd.h \
	src/util/fdgroup.c src/util/fdgroup.h \
	src/util/file.c src/util/file.h \
	src/util/hash.c src/util/hash.h \
	src/util/intern.c src/util/intern.h \
	src/util/lock.c src/util/lock.h \
	src/util/log.c src/util/log.h \
	src/util/log_datagram.c src/util/log_datagram.h \
	src/util/mem.h \
	src/util/pool.c src/util/pool.h \
	src/util/spawn.c src/util/spawn.h \
	src/util/uuid.c src/util/uuid.h \
	src/util/xml.c src/util/xml.h
