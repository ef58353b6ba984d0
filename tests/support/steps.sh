# Sourced by tests/run and tests/proof: steps that count, and what they have in common.
# shellcheck shell=bash

trap 'exit 130' INT # what ran has said so

passed=0 failed=0
say() { printf '\n== %s\n' "$*"; }

# step NAME COMMAND…: counts as one test
step() {
    local name=$1 began=$SECONDS; shift
    say "$name"
    if "$@"; then
        passed=$((passed + 1))
        echo "passed in $((SECONDS - began)) s"
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
    fi
}

# build PRESET: the program and its tests; ccache where it is installed
build() {
    local launcher=
    ! command -v ccache >/dev/null || launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache
    mkdir -p build
    { cmake --preset "$1" -DMOLECULE_TESTS=ON $launcher && cmake --build --preset "$1" -- -v; } >"build/$1.log" 2>&1 ||
        { tail -40 "build/$1.log"; return 1; }
}

# units PRESET: the C units; each program counts
units() {
    local log=build/units.log total bad
    say "C units"
    ctest --test-dir "build/$1" --output-on-failure --no-tests=error -j "$(nproc)" >"$log" 2>&1
    local result=$?
    # "98% tests passed, 1 tests failed out of 53"
    read -r bad total < <(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests failed out of ([0-9]+)$/\1 \2/p' "$log")
    if [ -z "${total:-}" ] || { [ "$result" -ne 0 ] && [ "$bad" -eq 0 ]; }; then tail -40 "$log"; failed=$((failed + 1)); return; fi
    [ "$bad" -eq 0 ] || cat "$log"
    echo "$((total - bad)) passed, $bad failed"
    passed=$((passed + total - bad)) failed=$((failed + bad))
}

# suite PRESET [WORD…]: the specs against that build; each test counts
suite() {
    local preset=$1 tally good=0 bad=0 began=$SECONDS; shift
    tally=$(mktemp)
    say "specs against build/$preset"
    MOLECULE=$PWD/build/$preset/molecule lua5.4 tests/support/specs.lua --tally "$tally" "$@" || true
    read -r good bad <"$tally" || good=0 bad=1
    rm -f "$tally"
    echo "$good passed, $bad failed in $((SECONDS - began)) s"
    passed=$((passed + good)) failed=$((failed + bad))
}

# finish: the last line, and the exit status
finish() {
    printf '\n%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
    exit
}
