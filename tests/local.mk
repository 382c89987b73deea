# The first is for --enable-tsan alone.  GLib's slices would hide from TSan and ASan who frees what: plain malloc instead.
EXTRA_DIST += tests/tsan.supp
AM_TESTS_ENVIRONMENT = G_SLICE=always-malloc; export G_SLICE; TSAN_OPTIONS="suppressions=$(abs_top_srcdir)/tests/tsan.supp $$TSAN_OPTIONS"; export TSAN_OPTIONS;

include tests/unit/qmp.mk
include tests/unit/launch.mk
include tests/unit/dom.mk
include tests/unit/ops.mk
include tests/unit/wire.mk
include tests/fuzz/local.mk
include tests/lint/local.mk
include tests/unit/rpc.mk
include tests/unit/sasl.mk
include tests/unit/model.mk
include tests/unit/node.mk
include tests/bench/local.mk
include tests/unit/util.mk
include tests/unit/watch.mk
include tests/soak/local.mk
include tests/unit/blockjob.mk
include tests/unit/chain.mk
include tests/unit/definition.mk
include tests/unit/snapshot.mk
include tests/unit/access.mk
