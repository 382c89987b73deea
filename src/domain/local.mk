# domain: machines, their jobs, events and life
noinst_LIBRARIES += libdomain.a
libdomain_a_SOURCES = \
	src/domain/block_ops.c src/domain/block_ops.h \
	src/domain/blockjob.c src/domain/blockjob_sync.c src/domain/blockjob.h src/domain/blockjob_private.h \
	src/domain/blockjob_kinds.h src/domain/blockjob_record.c \
	src/domain/blockjob_disk.c src/domain/blockjob_disk.h \
	src/domain/blockjob_commit.c src/domain/blockjob_control.c src/domain/blockjob_copy.c src/domain/blockjob_delete.c \
	src/domain/blockjob_relative.c \
	src/domain/blockjob_pull.c src/domain/blockjob_sweep.c src/domain/blockjob_verdict.c src/domain/blockjobs.h \
	src/domain/chain.c src/domain/chain_create.c src/domain/chain.h \
	src/domain/complete.c src/domain/complete.h \
	src/domain/console.c src/domain/console.h \
	src/domain/define.c src/domain/lifecycle.h \
	src/domain/disk_files.c src/domain/disk_files.h \
	src/domain/display.c src/domain/display.h \
	src/domain/domain.c src/domain/domain.h src/domain/domain_struct.h src/domain/private.h src/domain/forward.h \
	src/domain/driver.c src/domain/driver.h \
	src/domain/fd_groups.c src/domain/fd_groups.h \
	src/domain/flush.c \
	src/domain/event.c src/domain/events.c src/domain/events.h \
	src/domain/inbox.c src/domain/inbox.h \
	src/domain/blockjob_list.c src/domain/blockjob_list.h \
	src/domain/iotune.c src/domain/iotune.h \
	src/domain/job.c src/domain/job.h \
	src/domain/keys.c src/domain/keys_table.c src/domain/keys.h \
	src/domain/memory.c src/domain/memory.h \
	src/domain/monitor.c \
	src/domain/passthrough.c src/domain/passthrough.h \
	src/domain/power.c \
	src/domain/process.c \
	src/domain/roster.c src/domain/roster.h \
	src/domain/reconnect.c src/domain/reconnect.h \
	src/domain/snapshot.c src/domain/snapshot.h src/domain/snapshot_private.h \
	src/domain/snapshot_create.c \
	src/domain/snapshot_disks.c \
	src/domain/snapshot_live.c src/domain/snapshot_settle.c \
	src/domain/snapshot_list.c src/domain/snapshot_list.h \
	src/domain/snapshot_merge.c \
	src/domain/snapshot_offline.c \
	src/domain/snapshot_redefine.c \
	src/domain/start.c \
	src/domain/stats.c src/domain/stats.h \
	src/domain/stop.c \
	src/domain/taint.c src/domain/taint.h \
	src/domain/task.c \
	src/domain/view.c
libdomain_a_SOURCES += src/domain/native.c src/domain/native.h
