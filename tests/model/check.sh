#!/bin/sh
# Checks the model with spin: as it is, with a job that waits for its finalization and goes by itself, with one that waits and has to be dismissed, and
# each of them with a daemon that is killed; then that it can fail: with a broadcast left out, with a repetition applied, with a region that takes no
# notice of what was lost before it, and with a finalization and a dismissal left out.
model=${srcdir:-.}/tests/model/blockjob.pml
command -v spin >/dev/null || { echo "spin is not installed (build-aux/install-deps.sh)"; exit 1; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# verify FILE SPIN-OPTION...: 0 when spin finds no error.  Optimizing what spin writes takes far longer than it saves.
verify() {
    cp "$1" "$dir/model.pml" && shift || return 2
    (cd "$dir" && rm -f pan* model.pml.trail && spin -a "$@" model.pml >spin.out && cc -O0 -DSAFETY -o pan pan.c && ./pan -m1000000 >pan.out) ||
        return 2
    grep -E 'errors:|states, stored|pan:1' "$dir/pan.out"
    grep -q 'errors: 0' "$dir/pan.out" && ! grep -q 'search not completed\|max search depth' "$dir/pan.out"
}

# must_fail SED-EXPRESSION WHAT SPIN-OPTION...
must_fail() {
    sed "$1" "$model" >"$dir/broken.pml"
    cmp -s "$model" "$dir/broken.pml" && { echo "'$1' changes nothing"; exit 1; }
    what=$2
    shift 2
    verify "$dir/broken.pml" "$@"
    [ $? = 1 ] || { echo "a model with $what passes: it proves nothing"; exit 1; }
}

verify "$model" || exit 1
verify "$model" -DPULL || exit 1
verify "$model" -DCOMMIT || exit 1
verify "$model" -DRESTART || exit 1
verify "$model" -DRESTART -DPULL || exit 1
verify "$model" -DRESTART -DCOMMIT || exit 1
must_fail 's/broadcast(); kick()/kick()/; s/broadcast(); scheduled/scheduled/' "a lost wake-up" # either of the two would do
must_fail 's/exists \&\& !said \&\& !over -> said = true/exists \&\& !over -> said = true/' "news that is applied twice"
must_fail 's/resynced = resync_queued/resynced = false/' "a region that does not ask"
must_fail 's/q_finalized = true :: q_dead fi;   /skip :: q_dead fi;   /' "a job that is not finalized" -DCOMMIT
must_fail 's/q_dismissed = true :: q_dead fi;   /skip :: q_dead fi;   /' "a job that is not dismissed" -DCOMMIT
