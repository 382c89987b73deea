#!/bin/sh
# What is generated from the tables of configuration keys and committed is what the generator writes today.
set -e
: "${srcdir:=.}"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$srcdir/conf/generate.sh" ./conf/generate "$srcdir" "$out"
for file in conf/libvirtd.conf conf/qemu.conf conf/berthd.conf docs/berthd.conf.5; do
    diff -u "$srcdir/$file" "$out/$file" || { echo "stale: $file; run 'make update-generated' and commit"; exit 1; }
done
