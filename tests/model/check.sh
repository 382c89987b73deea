#!/bin/sh
# Checks the model with spin, as it is and with a daemon that is killed; then that it can fail: with a broadcast left out.
model=${srcdir:-.}/tests/model/blockjob.pml
command -v spin >/dev/null || { echo "spin is not installed (build-aux/install-deps.sh)"; exit 1; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# verify FILE SPIN-OPTION...: 0 when spin finds no error
verify() {
    cp "$1" "$dir/model.pml" && shift || return 2
    (cd "$dir" && rm -f pan* model.pml.trail && spin -a "$@" model.pml >spin.out && cc -O1 -DSAFETY -o pan pan.c && ./pan -m1000000 >pan.out) ||
        return 2
    grep -E 'errors:|states, stored|pan:1' "$dir/pan.out"
    grep -q 'errors: 0' "$dir/pan.out" && ! grep -q 'search not completed\|max search depth' "$dir/pan.out"
}

verify "$model" || exit 1
verify "$model" -DRESTART || exit 1
sed 's/news_concluded = true; broadcast(); kick()/news_concluded = true; kick()/' "$model" >"$dir/broken.pml"
verify "$dir/broken.pml"
[ $? = 1 ] || { echo "a model with a lost wake-up passes: it proves nothing"; exit 1; }
