#!/bin/sh
# The long forms of what test.sh runs short: `make soak`, as root, on a machine with the dependencies (build-aux/install-deps.sh).
# Builds three daemons (ThreadSanitizer, AddressSanitizer with UndefinedBehaviorSanitizer, neither) and runs each stage in all its length;
# ends with one line a stage, the exit status is 0 only if nothing failed.  Hours.
#
# BERTH_SOAK_BUILD   the directory of the builds (default: build-soak in the source tree)
# BERTH_SOAK_STAGES  names of the stages to run (default: all, in the order below)
# Counts, with what is the default here: BERTH_SOAK_CALLS 1000000, BERTH_SOAK_VALGRIND_CALLS 1000000, BERTH_SOAK_CLIENTS 64,
# BERTH_SOAK_GUESTS 4, BERTH_SOAK_CONNECTIONS 10000, BERTH_SOAK_SEED 1, BERTH_SOAK_KILLS 1000, BERTH_STRESS_SECONDS 600.
cd "$(dirname "$0")/.." || exit 1
src=$(pwd)
build=${BERTH_SOAK_BUILD:-$src/build-soak}
jobs=$(nproc)
stages=${BERTH_SOAK_STAGES:-tsan asan growth idle memcheck stress faults others}
failed=0
summary=

export BERTH_SOAK=1 BERTH_SOAK_PARTS=4 PYTHONDONTWRITEBYTECODE=1
export BERTH_SOAK_CALLS="${BERTH_SOAK_CALLS:-1000000}" BERTH_SOAK_VALGRIND_CALLS="${BERTH_SOAK_VALGRIND_CALLS:-1000000}"
export BERTH_SOAK_GROWTH_CALLS="${BERTH_SOAK_GROWTH_CALLS:-$BERTH_SOAK_CALLS}" BERTH_STRESS_SECONDS="${BERTH_STRESS_SECONDS:-600}"
export BERTH_LOAD="$build/plain/tests/soak/load" BERTH_HEAP="$build/plain/tests/soak/heap.so"

# build_in NAME CONFIGURE-ARGUMENT...
build_in() {
    name=$1
    shift
    mkdir -p "$build/$name" && (cd "$build/$name" && "$src/configure" --prefix=/usr --sysconfdir=/etc --localstatedir=/var --runstatedir=/run --enable-werror "$@" >configure.out 2>&1 && make -j"$jobs" all >make.out 2>&1 && make -j"$jobs" soak-programs >>make.out 2>&1) ||
        { for out in configure make; do tail -n 30 "$build/$name/$out.out"; done; return 1; }
}

# stage NAME BUILD FILE...: pytest of the files with that daemon
stage() {
    name=$1 daemon=$build/$2/berthd
    shift 2
    case " $stages " in *" $name "*) ;; *) return ;; esac
    printf '\n==== %s\n' "$name"
    from=$(date +%s)
    if BERTHD=$daemon /usr/bin/python3 -m pytest -p no:cacheprovider -q -s "$@"; then word=ok; else word=FAILED; failed=1; fi
    summary="$summary
$(printf '%-12s %-7s %6d s' "$name" "$word" $(($(date +%s) - from)))"
}

[ "$(id -u)" = 0 ] || { echo "soak.sh needs root, for the namespaces it runs in"; exit 1; }
[ -x configure ] || ./autogen.sh || exit 1
# configure builds elsewhere only from a source tree that is not itself configured.
[ ! -e config.status ] || { echo "soak.sh makes builds of its own, and $src is configured: run 'make distclean', then build-aux/soak.sh"; exit 1; }
build_in tsan CC=clang-14 --enable-tsan --enable-faults && build_in asan --enable-asan --enable-faults && build_in plain || exit 1

stage tsan tsan tests/soak/test_crowd.py
export ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1:quarantine_size_mb=16
stage asan asan tests/soak/test_crowd.py
unset ASAN_OPTIONS
stage growth plain tests/soak/test_growth.py
stage idle plain tests/soak/test_idle.py
stage memcheck plain tests/soak/test_valgrind.py
stage stress asan tests/integration/test_stress.py
stage faults asan tests/faults
others=$(ls tests/soak/test_*.py | grep -vE '/test_(crowd|growth|idle|valgrind)\.py$')
[ -z "$others" ] || stage others asan $others
printf '\n==== totals%s\n' "$summary"
exit $failed
