# Sourced by the scripts below tests/, before they do anything: with --help or -h among its words a script prints the comment
# that it begins with.
# shellcheck shell=bash

for word in "$@"; do
    case $word in
        --help | -h) sed -n '2,${/^#/!q; s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    esac
done
unset word
