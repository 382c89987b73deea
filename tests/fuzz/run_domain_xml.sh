#!/bin/sh
# Replays the golden inputs through fuzz_domain_xml.  Run by make check in the build directory.
exec ./tests/fuzz/fuzz_domain_xml "${srcdir:-.}"/tests/golden/xml/virt-install-*.xml "${srcdir:-.}"/tests/golden/xml/q35-typical.xml
