include tests/unit/launch.mk
include tests/unit/dom.mk
include tests/unit/ops.mk
