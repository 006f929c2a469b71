#!/usr/bin/env bash
# C++ is formatted by clang-format 14 and .clang-format; shell scripts are clean for shellcheck.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

failed=0
find common runc-ext fs-emulator seccomp-notify mgr tests \( -name '*.cc' -o -name '*.h' \) -print0 |
  xargs -0 -r clang-format --dry-run -Werror 2>&1 | { grep -E 'error: code should' || :; } | cut -d: -f1 |
  sort | uniq -c | awk '{ print $2 ": " $1 " places are not formatted (clang-format -i)"; bad = 1 }
    END { exit bad }' || failed=1

mapfile -t scripts < <(
  find .ci packaging tests -type f \
    \( -name '*.sh' -o -name '*.bash' -o -name '*.bats' -o -perm /111 \) |
    while read -r file; do
      read -r first <"$file" || continue
      [[ $file = *.@(sh|bash|bats) || $first = '#!'*@(bash|/sh)* ]] && echo "$file"
    done
)
# SC2016: programs for an inner shell stand in single quotes. SC2012: ls of names that we made.
shellcheck --external-sources --exclude=SC2016,SC2012 "${scripts[@]}" || failed=1
exit "$failed"
