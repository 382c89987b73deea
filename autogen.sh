#!/bin/sh
# Makes ./configure from a fresh clone.
set -e
cd "$(dirname "$0")"
mkdir -p m4
exec autoreconf --install --warnings=all,no-obsolete
