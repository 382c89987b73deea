# model: a definition as data; no process, no QMP
noinst_LIBRARIES += libmodel.a
libmodel_a_SOURCES = \
	src/model/addr_other.c \
	src/model/addr_pci.c \
	src/model/alias.c \
	src/model/chain_find.c src/model/chain_find.h \
	src/model/chr_xml.h \
	src/model/complete.c src/model/complete.h \
	src/model/controllers.c \
	src/model/dev_chr.c \
	src/model/dev_chr_source.c \
	src/model/dev_controller.c \
	src/model/dev_disk.c \
	src/model/dev_graphics.c \
	src/model/dev_info.c \
	src/model/dev_input.c \
	src/model/dev_misc.c \
	src/model/dev_net.c \
	src/model/dev_mirror.c \
	src/model/dev_storage.c \
	src/model/dev_video.c \
	src/model/devices.def \
	src/model/diff.c \
	src/model/dom_cpu.c \
	src/model/dom_devices.c \
	src/model/dom_os.c \
	src/model/domain_def.c src/model/domain_def.h \
	src/model/domain_format.c \
	src/model/domain_parse.c \
	src/model/enums.c src/model/enums.h \
	src/model/field.h \
	src/model/field_format.c \
	src/model/field_memory.c \
	src/model/field_parse.c \
	src/model/forward.h \
	src/model/iotune.c src/model/iotune.h \
	src/model/metadata.c src/model/metadata.h \
	src/model/parts.h \
	src/model/snapshot_def.c src/model/snapshot_def.h \
	src/model/storage_xml.h \
	src/model/stored_def.c src/model/stored_def.h \
	src/model/support.c \
	src/model/units.c src/model/units.h \
	src/model/validate.c
