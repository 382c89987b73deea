include tests/unit/qmp.mk
include tests/unit/launch.mk
include tests/unit/dom.mk
include tests/unit/ops.mk
include tests/unit/wire.mk
include tests/fuzz/local.mk
include tests/unit/rpc.mk
include tests/unit/node.mk
