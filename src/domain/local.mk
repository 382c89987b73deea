# domain: machines, their jobs, events and life
noinst_LIBRARIES += libdomain.a
libdomain_a_SOURCES = \
	src/domain/job.c src/domain/job.h \
	src/domain/stats.c src/domain/stats.h \
	src/domain/console.c src/domain/console.h \
	src/domain/display.c src/domain/display.h \
	src/domain/keys.c src/domain/keys.h \
	src/domain/memory.c src/domain/memory.h \
	src/domain/passthrough.c src/domain/passthrough.h
