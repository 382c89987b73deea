include tests/unit/launch.mk
