# Sourced by the scripts here: checks that are named, and the packages that they are about.
# shellcheck shell=bash
failed=0

# check NAME COMMAND…: prints one line; what the command said only when it fails
check() {
    local name=$1 said; shift
    if said=$("$@" 2>&1); then
        echo "ok: $name"
    else
        echo "FAILED: $name"
        printf '%s\n' "$said" | tail -40 | sed 's/^/    /'
        failed=1
        return 1
    fi
}

finish() { exit "$failed"; }

quietly() { "$@"; }
# it succeeds and says nothing; what lintian says of root is not about the packages
nothing() {
    local said
    said=$("$@" 2>&1) || { printf '%s\n' "$said"; return 1; }
    said=$(grep -v '^running with root privileges is not recommended!$' <<<"$said")
    [ -z "$said" ] || { printf '%s\n' "$said"; return 1; }
}
# what it says matches, its lines as one
says() {
    local pattern=$1 said; shift
    said=$("$@" 2>&1)
    local result=$?
    printf '%s\n' "$said"
    [ "$result" -eq 0 ] && [[ ${said//$'\n'/ } =~ $pattern ]]
}

need() { # TOOL…
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { echo "$0 needs $tool: cmake/install-dependencies proof" >&2; exit 2; }
    done
}

# The folder with the packages: the given one, or build/packages, which is made again.
packages() {
    if [ -n "$1" ]; then
        [ -e "$1/SHA256SUMS" ] || { echo "$0: there are no packages in $1; dist/make makes them" >&2; return 1; }
        (cd "$1" && pwd)
        return
    fi
    tests/packages/make >&2 && (cd build/packages && pwd)
}
