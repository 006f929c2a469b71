#!/usr/bin/env bash
# Who may include whom. The components are programs and libraries that can be understood alone:
#   common <- seccomp-notify <- fs-emulator;  common <- mgr;
#   runc-ext: common, seccomp-notify/filter.h, and the api*.h of fs-emulator and mgr.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

failed=0
complain() {
  failed=1
  printf '%s\n' "$@"
}

declare -A may=(
  [common]='^common/'
  [seccomp-notify]='^(common|seccomp-notify)/'
  [fs-emulator]='^(common|seccomp-notify|fs-emulator)/'
  [mgr]='^(common|mgr)/'
  [runc-ext]='^(common|runc-ext)/|^seccomp-notify/filter\.h$|^(fs-emulator|mgr)/api[a-z_]*\.h$'
)
# fs-emulator parks its descriptors with sysbox-mgr, and sysbox-mgr asks for them back, by their APIs.
api='^(fs-emulator|mgr)/api[a-z_]*\.h$'

for component in "${!may[@]}"; do
  while IFS=: read -r file line text; do
    included=${text#*\"}
    included=${included%%\"*}
    if [[ $included != */* ]]; then
      complain "$file:$line: \"$included\": include by the path from the project's root"
    elif [[ ! $included =~ ${may[$component]} && ! ($component = @(fs-emulator|mgr) && $included =~ $api) ]]; then
      complain "$file:$line: $component may not include \"$included\""
    fi
  done < <(grep -rn --include='*.cc' --include='*.h' '^#include "' "$component")
done

while read -r file; do
  [[ $(grep -m 1 -v -e '^//' -e '^$' "$file") = '#pragma once' ]] || complain "$file: begins with #pragma once"
done < <(find common runc-ext fs-emulator seccomp-notify mgr tests -name '*.h')

# Past the parsers nothing sees JSON; a header needs its forward declarations at most.
while read -r file; do
  [[ $file = common/@(json_fields|varlink).h ]] || complain "$file: a header includes nlohmann/json_fwd.hpp at most"
done < <(grep -rl --include='*.h' '^#include <nlohmann/json.hpp>' common runc-ext fs-emulator seccomp-notify mgr)

while read -r lines file; do
  [[ $file = total ]] || ((lines <= 500)) || complain "$file: $lines lines; past 500 it is two files"
done < <(find common runc-ext fs-emulator seccomp-notify mgr \( -name '*.cc' -o -name '*.h' \) -exec wc -l {} +)
exit "$failed"
