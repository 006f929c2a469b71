#!/usr/bin/env bash
# The project speaks of itself only: no path of a workplace, no issue number, no note to a reader
# of today.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

found=$(
  grep -rnIE --exclude-dir=.git --exclude=.git --exclude-dir='build*' --exclude-dir=.cache \
    --exclude=own_words.sh --exclude-dir=.ci \
    -e '(\.\./|/work/|^)shared/(DESIGN|STYLE|reference|vm|workloads|prototypes|perf)' -e '/work/(main|shared)' \
    -e '\b(TODO|FIXME|XXX|HACK)\b' -e '\b(issue|session) #?[0-9]+\b' . || :
)
[[ -z $found ]] || { printf '%s\n' "$found" && exit 1; }
