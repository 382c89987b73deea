#!/bin/sh
# Checks the model with spin: as it is, with a job that waits for its finalization, and either with a daemon that is killed; then that it can
# fail: with a broadcast left out, with a repetition applied, and with a region that takes no notice of what was lost before it.
model=${srcdir:-.}/tests/model/blockjob.pml
command -v spin >/dev/null || { echo "spin is not installed (build-aux/install-deps.sh)"; exit 1; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# verify FILE SPIN-OPTION...: 0 when spin finds no error
verify() {
    cp "$1" "$dir/model.pml" && shift || return 2
    (cd "$dir" && rm -f pan* model.pml.trail && spin -a "$@" model.pml >spin.out && cc -O2 -DSAFETY -o pan pan.c && ./pan -m1000000 >pan.out) ||
        return 2
    grep -E 'errors:|states, stored|pan:1' "$dir/pan.out"
    grep -q 'errors: 0' "$dir/pan.out" && ! grep -q 'search not completed\|max search depth' "$dir/pan.out"
}

# must_fail SED-EXPRESSION WHAT
must_fail() {
    sed "$1" "$model" >"$dir/broken.pml"
    cmp -s "$model" "$dir/broken.pml" && { echo "'$1' changes nothing"; exit 1; }
    verify "$dir/broken.pml"
    [ $? = 1 ] || { echo "a model with $2 passes: it proves nothing"; exit 1; }
}

verify "$model" || exit 1
verify "$model" -DPULL || exit 1
verify "$model" -DRESTART || exit 1
verify "$model" -DRESTART -DPULL || exit 1
must_fail 's/broadcast(); kick()/kick()/; s/broadcast(); scheduled/scheduled/' "a lost wake-up" # either of the two would do
must_fail 's/exists \&\& !said \&\& !over -> said = true/exists \&\& !over -> said = true/' "news that is applied twice"
must_fail 's/resynced = resync_queued/resynced = false/' "a region that does not ask"
