#!/bin/sh
# usage: generate.sh GENERATOR SOURCE-DIR OUTPUT-DIR
# Writes the sample files and berthd.conf(5) of SOURCE-DIR's template into OUTPUT-DIR.
set -e
generator=$1 src=$2 out=$3
mkdir -p "$out/conf" "$out/docs"
for name in libvirtd qemu berthd; do
    "$generator" sample $name >"$out/conf/$name.conf.new"
    mv "$out/conf/$name.conf.new" "$out/conf/$name.conf"
done
while IFS= read -r line; do
    case $line in
    @*@) name=${line#@}; "$generator" man "${name%@}" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$src/docs/berthd.conf.5.in" >"$out/docs/berthd.conf.5.new"
mv "$out/docs/berthd.conf.5.new" "$out/docs/berthd.conf.5"
