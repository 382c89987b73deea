# Fault injection (--enable-faults): the daemon's own references to these go through util/fault_wrap.c.
EXTRA_DIST += src/util/fault_wrap.c
if FAULTS
FAULT_CALLS = mkdir g_mkdir_with_parents unlink unlinkat rmdir rename renameat2 symlink chmod chown fchownat mkostemp opendir fopen \
	read pread write fsync fdatasync ftruncate fchmod fchown bind listen connect accept4 send sendmsg recv recvmsg \
	json_loadb xmlCtxtReadMemory xdr_string xdr_bytes xdr_array \
	socket socketpair pipe2 eventfd pthread_create sd_event_add_io sd_event_add_time open openat fcntl ioctl syscall
berthd_SOURCES += src/util/fault_wrap.c
FAULT_LDFLAGS = $(FAULT_CALLS:%=-Wl,--wrap=%)
endif
# Outside of the condition: a program that has flags of its own under one gets none at all, not even AM_LDFLAGS, without it.
berthd_LDFLAGS = $(AM_LDFLAGS) $(FAULT_LDFLAGS)
