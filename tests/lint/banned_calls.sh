#!/usr/bin/env bash
# Calls that this project does not make, each with the reason. A line that has to make one says
# so in the table below, not in the code.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

sources=(common runc-ext fs-emulator seccomp-notify mgr)
failed=0

# Finds REGEX outside comments and string literals, but in the files EXCEPT (a regex of paths).
banned() { # REGEX REASON [EXCEPT]
  local found
  found=$(
    grep -rnP --include='*.cc' --include='*.h' "$1" "${sources[@]}" |
      grep -vE "^(${3:-none}):" |
      grep -vP '^[^:]*:\d+:\s*(//|\*)' |
      grep -P "^[^:]*:\d+:(?:[^\"/]|\"(?:[^\"\\\\]|\\\\.)*\"|/(?!/))*?$1" || :
  )
  [[ -z $found ]] && return
  failed=1
  printf '%s\n' "$found" | sed "s|\$|   <- $2|"
}

# A call is a name with a bracket, not a member, not part of a longer name; ours are in sys::.
call='(?<![\w.>])(?<!sys::)(?<!std::function<)'

banned "$call(::|std::)?v?fork\(" 'a child comes from clone3 or posix_spawn; a threaded parent must not fork' \
  'runc-ext/container/hooks.cc|runc-ext/init/.*'
banned "$call(::)?dup\(" 'drops O_CLOEXEC: fcntl(F_DUPFD_CLOEXEC)'
banned "$call(::|std::)?system\(" 'runs a shell'
banned "$call(::)?popen\(" 'runs a shell'
banned "$call(::|std::)?(atoi|atol|atoll|atof|strtol|strtoul|strtoll|strtoull)\(" 'std::from_chars, which tells errors'
banned "$call(::|std::)?strerror\(" 'not thread-safe: strerrordesc_np'
banned 'std::filesystem' 'resolves paths by string: RootDir'
banned "$call(::)?(realpath|basename|dirname)\(" 'works on paths by string'
banned "$call(::|std::)?(exit|quick_exit)\(" 'only main ends the process' '.*/main.cc'
banned "$call(::|std::)?(strcpy|strcat|sprintf|gets|mktemp|tmpnam)\(" 'has no bounds, or a race'
banned "$call(::)?(getpwnam|getpwuid|getgrnam|getgrgid)\(" 'asks the network, by NSS, in a privileged process'
banned 'TRY\(.*TRY\(' 'two TRY on a line: name the first one'
banned '#pragma GCC diagnostic' 'warnings are mended, not hidden'
exit "$failed"
