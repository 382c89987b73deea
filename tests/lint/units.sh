#!/bin/sh
# The units, as made for this build, are what systemd accepts.  Their program need not be installed for that.
set -e
command -v systemd-analyze >/dev/null || exit 77
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for unit in systemd/berthd*.service systemd/berthd*.socket; do
    sed -e "s|^ExecStart=.*|ExecStart=/bin/true|" "$unit" >"$dir/${unit##*/}"
done
if grep -n '@[a-z_]*@' systemd/berthd*.service systemd/berthd*.socket systemd/berthd.sysusers systemd/berthd.tmpfiles; then
    echo "a placeholder was left unfilled"; exit 1
fi
# Units that other packages have are not looked for, but a key or section that does not exist is an error.
SYSTEMD_UNIT_PATH=$dir: systemd-analyze --man=no verify "$dir"/berthd*.service "$dir"/berthd*.socket >"$dir/out" 2>&1 || status=$?
if grep -q 'Failed to connect\|Host is down\|not been booted' "$dir/out"; then
    cat "$dir/out"; exit 77
fi
if grep "^$dir/\|berthd" "$dir/out"; then exit 1; fi
[ "${status:-0}" = 0 ] || { cat "$dir/out"; exit 1; }
if command -v systemd-sysusers >/dev/null; then
    mkdir -p "$dir/root/etc"
    cp systemd/berthd.sysusers "$dir/sysusers.conf"
    systemd-sysusers --root="$dir/root" - <"$dir/sysusers.conf" >"$dir/out" 2>&1 || { cat "$dir/out"; exit 1; }
    grep -q '^libvirt:' "$dir/root/etc/group" || { echo "sysusers made no group"; exit 1; }
fi
