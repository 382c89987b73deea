# qmp: sockets that speak JSON; knows no domain
noinst_LIBRARIES += libqmp.a
libqmp_a_SOURCES = \
	src/qmp/client.c src/qmp/client.h src/qmp/client_private.h \
	src/qmp/client_io.c \
	src/qmp/codec.c src/qmp/codec.h \
	src/qmp/command.c src/qmp/command.h src/qmp/commands.def \
	src/qmp/commands.c src/qmp/commands.h \
	src/qmp/schema.c src/qmp/schema.h
