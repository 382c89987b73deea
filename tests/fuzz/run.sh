#!/bin/sh
# run.sh WORK TARGET...: runs libFuzzer programs, FUZZ_JOBS at a time, FUZZ_SECONDS each, from their files and seeds on and from what earlier runs
# in WORK found.  One line a target: what was found, executions, edges covered, inputs kept.  Fails when anything was found; the input is then
# named, and belongs into tests/fuzz/corpus with the fix.  FUZZ_SEED makes the search repeatable (as far as time allows): CI is to judge a change,
# not its luck; long runs are left to chance.
work=$1
shift
seconds=${FUZZ_SECONDS:-60} jobs=${FUZZ_JOBS:-2} seed=${FUZZ_SEED:-0} # 0: chance
mkdir -p "$work" || exit 1

# run_one TARGET: to its end; the last line of its log tells how it went
run_one() {
    dir=$work/${1##*fuzz_}
    mkdir -p "$dir/corpus" "$dir/found"
    {
        BERTH_FUZZ_UNPACK=$dir "$1"
        [ -s "$dir/dict" ] && dict=-dict=$dir/dict || dict=
        G_SLICE=always-malloc "$1" -seed="$seed" -max_total_time="$seconds" -max_len=65536 -timeout=60 -report_slow_units=60 -rss_limit_mb=2048 \
            -print_final_stats=1 $dict -artifact_prefix="$dir/found/" "$dir/corpus"
        echo "exit $?"
    } >"$dir/log" 2>&1 </dev/null
}

# report TARGET: its line; fails unless the run was clean
report() {
    name=${1##*fuzz_} dir=$work/${1##*fuzz_}
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/log")
    edges=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$dir/log" | tail -1)
    if [ "$(tail -1 "$dir/log")" = "exit 0" ]; then word=clean; else word=FOUND; fi
    printf '%-12s %-6s %10s runs %6s edges %6s inputs\n' "$name" "$word" "${runs:-?}" "${edges:-?}" "$(ls "$dir/corpus" | wc -l)"
    [ $word = clean ] && return 0
    tail -40 "$dir/log"
    for input in "$dir/found/"*; do
        [ -e "$input" ] || continue
        echo "$input ($(wc -c <"$input") bytes), its first 6,000 in base64:"
        head -c 6000 "$input" | base64 -w 0
        echo
    done
    return 1
}

for lane in $(seq "$jobs"); do
    n=0
    for target; do
        n=$((n + 1))
        [ $(((n - 1) % jobs + 1)) = "$lane" ] && run_one "$target"
    done &
done
wait
failed=0
for target; do
    report "$target" || failed=1
done
exit $failed
