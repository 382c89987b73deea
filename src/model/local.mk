# model: a definition as data; no process, no QMP
noinst_LIBRARIES += libmodel.a
libmodel_a_SOURCES = \
	src/model/devices.def \
	src/model/domain_def.h \
	src/model/enums.c src/model/enums.h \
	src/model/forward.h
