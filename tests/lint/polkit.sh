#!/bin/sh
# polkit's actions files are what the table of permissions gives today.
set -e
: "${srcdir:=.}"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for what in api unix; do
    ./polkit/generate $what >"$out/$what"
    diff -u "$srcdir/polkit/org.libvirt.$what.policy" "$out/$what" ||
        { echo "stale: polkit/org.libvirt.$what.policy; run 'make update-generated' and commit"; exit 1; }
done
