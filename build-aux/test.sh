#!/bin/sh
# Bare Debian 12, root: installs what is needed, then compiles with clang and with gcc, both with -Werror, runs every test under
# AddressSanitizer and UndefinedBehaviorSanitizer, those of the concurrent parts under ThreadSanitizer, each fuzz target for a minute, and the integration tests with real QEMU, a real kernel and stock clients.
# Ends with one line of totals a stage; the exit status is 0 only if nothing failed.
# BERTH_TEST_BUILD names the directory of the builds (default: build-test in the source tree); BERTH_SKIP_DEPS=1 leaves apt alone.
cd "$(dirname "$0")/.." || exit 1
src=$(pwd)
build=${BERTH_TEST_BUILD:-$src/build-test}
jobs=$(nproc)
failed=0
summary=
last= # what a failed stage wants read first: it is printed last

say() { printf '\n==== %s\n' "$*"; }

# stage NAME COMMAND...: runs it, keeps its end for the summary
stage() {
    name=$1
    shift
    say "$name"
    from=$(date +%s)
    if "$@"; then word=ok; else word=FAILED; failed=1; fi
    summary="$summary
$(printf '%-34s %-7s %5d s  %s' "$name" "$word" $(($(date +%s) - from)) "$detail")"
    detail=
}

configure_in() {
    dir=$1
    shift
    mkdir -p "$dir" && cd "$dir" || return 1
    "$src/configure" --enable-werror "$@" >configure.out 2>&1 || { tail -30 configure.out; return 1; }
}

# What depends on the compiler's choice of registers runs too: the child that becomes QEMU is made by a few lines of assembler.
compile_clang() {
    (configure_in "$build/clang" CC=clang-14 && make -j"$jobs" all && make -j"$jobs" tests/unit/test_hostdev >/dev/null && tests/unit/test_hostdev)
}

compile_gcc() {
    (configure_in "$build/gcc" --prefix=/usr --sysconfdir=/etc --localstatedir=/var --runstatedir=/run && make -j"$jobs" all &&
        make install DESTDIR="$build/root" >install.out 2>&1 || { tail -30 install.out; exit 1; })
}

# check_in DIR MAKE-ARGUMENT...: `make check` there; totals into $detail, what failed onto the terminal
check_in() {
    dir=$1
    shift
    make -C "$dir" -j"$jobs" check "$@" >"$dir/check.out" 2>&1
    rc=$?
    for kind in TOTAL PASS SKIP XFAIL FAIL XPASS ERROR; do
        n=$(sed -n "s/^# $kind: *//p" "$dir/check.out" | tail -1)
        case $kind in TOTAL | PASS) detail="$detail$kind $n  " ;; *) [ "${n:-0}" = 0 ] || detail="$detail$kind $n  " ;; esac
    done
    grep -E '^(FAIL|ERROR|SKIP):' "$dir/check.out"
    if [ $rc != 0 ]; then
        [ -e "$dir/test-suite.log" ] && tail -200 "$dir/test-suite.log"
        tail -50 "$dir/check.out"
    fi
    echo "$detail"
    return $rc
}

unit_tests() {
    (configure_in "$build/asan" --prefix=/usr --sysconfdir=/etc --localstatedir=/var --runstatedir=/run --enable-asan --enable-faults) && check_in "$build/asan"
}

# The parts where threads meet; integration tests cover the same under AddressSanitizer with real clients.
thread_tests="tests/unit/test_util tests/unit/test_object tests/unit/test_job tests/unit/test_domain tests/unit/test_domain_restart tests/unit/test_domain_storm
    tests/unit/test_qmp_client tests/unit/test_store tests/unit/test_log tests/rpc/test_server tests/rpc/test_stream tests/rpc/test_chaos
    tests/rpc/test_listen tests/rpc/test_transport tests/rpc/test_turns tests/unit/test_blockjob
    tests/unit/test_blockjob_storm tests/unit/test_definition tests/unit/test_defs_index tests/rpc/test_sasl tests/rpc/test_tls tests/rpc/test_tls_hostile tests/unit/test_watchdog"

race_tests() {
    (configure_in "$build/tsan" CC=clang-14 --enable-tsan --enable-faults) && check_in "$build/tsan" TESTS="$(echo $thread_tests)"
}

crowd_once() {
    BERTHD=$build/tsan/berthd BERTH_LOAD=$build/gcc/tests/soak/load BERTH_SOAK_CALLS=5000 PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 -m pytest -p no:cacheprovider -q "$src/tests/soak/test_crowd.py" >"$build/crowd.out" 2>&1
}

# The whole daemon with 64 clients of all manners and guests that are killed meanwhile; its long form, and more, is `make soak`.
# The clients are a plain build: one that decodes in 64 threads meets a buffer of libtirpc's own, into which padding is read.
race_daemon() {
    make -C "$build/tsan" -j"$jobs" berthd >"$build/tsan/soak.out" 2>&1 && make -C "$build/gcc" soak-programs >>"$build/tsan/soak.out" 2>&1 ||
        { tail -30 "$build/tsan/soak.out"; return 1; }
    crowd_once
    rc=$?
    # clang 14's runtime can fail one of its own checks and lock up while it says so; that is no report about us.
    if [ $rc != 0 ] && ! grep -q "WARNING: ThreadSanitizer" "$build/crowd.out" && grep -q "CHECK failed: tsan_" "$build/crowd.out"; then
        echo "the sanitizer's runtime failed, once more"
        crowd_once
        rc=$?
    fi
    detail=$(tail -1 "$build/crowd.out")
    if [ $rc != 0 ]; then
        last=$(grep -E -A24 'WARNING: ThreadSanitizer' "$build/crowd.out" | head -60)
        tail -200 "$build/crowd.out"
    fi
    return $rc
}

# Each fuzz target for FUZZ_SECONDS, two at a time; the corpus is replayed by the unit tests besides.
fuzz_runs() {
    (configure_in "$build/fuzz" CC=clang-14 --enable-asan --enable-fuzz) &&
        make -C "$build/fuzz" -j"$jobs" fuzz FUZZ_SECONDS="${FUZZ_SECONDS:-60}" FUZZ_JOBS=2 FUZZ_SEED=1 >"$build/fuzz.out" 2>&1
    rc=$?
    detail=$(awk '$2 == "clean" || $2 == "FOUND" { n[$2]++; runs += $3 }
        END { printf "%d targets clean, %d with findings, %d runs", n["clean"], n["FOUND"], runs }' "$build/fuzz.out")
    if [ $rc = 0 ]; then grep -E ' runs .* edges ' "$build/fuzz.out"; else
        last=$(grep -E -A3 '^(SUMMARY|==[0-9]+== *ERROR|.*runtime error|.*DEDUP_TOKEN)| FOUND | in base64:' "$build/fuzz.out" | cut -c 1-8300)
        tail -200 "$build/fuzz.out"
    fi
    return $rc
}

integration_tests() {
    BERTHD=$build/asan/berthd PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 -m pytest -p no:cacheprovider -q --durations=5 "$src/tests/integration" >"$build/integration.out" 2>&1
    rc=$?
    detail=$(tail -1 "$build/integration.out")
    tail -n "$([ $rc = 0 ] && echo 15 || echo 400)" "$build/integration.out"
    return $rc
}

# Each point where something can fail, in the cheap scenarios; a sample in those with a QEMU; directories that are full or read-only.
fault_tests() {
    BERTHD=$build/asan/berthd PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 -m pytest -p no:cacheprovider -q "$src/tests/faults" >"$build/faults.out" 2>&1
    rc=$?
    detail=$(tail -1 "$build/faults.out")
    [ $rc = 0 ] || tail -n 400 "$build/faults.out"
    return $rc
}

[ "$(id -u)" = 0 ] || { echo "test.sh needs root: for apt, and for the namespaces the integration tests run in"; exit 1; }
if [ -z "$BERTH_SKIP_DEPS" ]; then
    stage "dependencies" ./build-aux/install-deps.sh
    [ $failed = 0 ] || exit 1
fi
[ -x configure ] || stage "autogen" ./autogen.sh
mkdir -p "$build"
stage "compile, clang 14 -Werror" compile_clang
stage "compile and install, gcc -Werror" compile_gcc
stage "unit tests, gcc ASan+UBSan" unit_tests
stage "thread tests, clang TSan" race_tests
stage "64 clients, daemon with TSan" race_daemon
stage "fuzzing, clang libFuzzer ASan+UBSan" fuzz_runs
if [ -x "$build/asan/berthd" ]; then
    stage "integration tests and tour" integration_tests
    stage "fault injection" fault_tests
else
    say "no daemon, no integration tests"
    failed=1
fi
[ -z "$last" ] || say "what was found
$last"
say "totals$summary"
if [ $failed = 0 ]; then
    printf '\nPASSED\n'
else
    printf '\nFAILED\n'
fi
exit $failed
