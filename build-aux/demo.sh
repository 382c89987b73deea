#!/bin/sh
# Bare Debian 12, root: installs what is needed, builds the daemon, starts it in namespaces of its own, boots a real Linux guest with stock
# virsh, shows it in `virsh list`, and asks its console something.  Nothing of the host's libvirt directories is touched.
# BERTH_DEMO_BUILD names the build directory (default: build-demo in the source tree); BERTH_SKIP_DEPS=1 leaves apt alone.
set -e
cd "$(dirname "$0")/.."
src=$(pwd)
build=${BERTH_DEMO_BUILD:-$src/build-demo}
[ "$(id -u)" = 0 ] || { echo "demo.sh needs root: for apt, and for namespaces of its own"; exit 1; }
[ -n "$BERTH_SKIP_DEPS" ] || ./build-aux/install-deps.sh
[ -x configure ] || ./autogen.sh
mkdir -p "$build"
cd "$build"
[ -e config.status ] || "$src/configure" --prefix=/usr --sysconfdir=/etc --localstatedir=/var --runstatedir=/run
make -j"$(nproc)"
BERTHD=$build/berthd PYTHONPATH=$src/tests exec /usr/bin/python3 "$src/tests/lib/demo.py"
