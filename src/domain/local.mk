# domain: machines, their jobs, events and life
noinst_LIBRARIES += libdomain.a
libdomain_a_SOURCES = \
	src/domain/job.c src/domain/job.h
