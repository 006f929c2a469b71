#include <seccomp.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "runc-ext/commands/commands.h"
#include "runc-ext/commit.h"
#include "runc-ext/oci/linux.h"
#include "runc-ext/system_container/switches.h"
#include "runc-ext/system_container/system_calls.h"

namespace sysbox::runc {
namespace {

using nlohmann::ordered_json;

constexpr std::array kHooks = {"prestart",       "createRuntime", "createContainer",
                               "startContainer", "poststart",     "poststop"};

// The mount option words with a meaning of their own; others go to the file system.
constexpr std::array kMountOptions = {"async",         "atime",        "bind",
                                      "defaults",      "dev",          "diratime",
                                      "dirsync",       "exec",         "idmap",
                                      "iversion",      "lazytime",     "loud",
                                      "mand",          "noatime",      "nodev",
                                      "nodiratime",    "noexec",       "noiversion",
                                      "nolazytime",    "nomand",       "norelatime",
                                      "nostrictatime", "nosuid",       "nosymfollow",
                                      "private",       "ratime",       "rbind",
                                      "rdev",          "rdiratime",    "relatime",
                                      "remount",       "rexec",        "ridmap",
                                      "rnoatime",      "rnodev",       "rnodiratime",
                                      "rnoexec",       "rnorelatime",  "rnostrictatime",
                                      "rnosuid",       "rnosymfollow", "ro",
                                      "rprivate",      "rrelatime",    "rro",
                                      "rrw",           "rshared",      "rslave",
                                      "rstrictatime",  "rsuid",        "rsymfollow",
                                      "runbindable",   "rw",           "shared",
                                      "silent",        "slave",        "strictatime",
                                      "suid",          "symfollow",    "sync",
                                      "tmpcopyup",     "unbindable"};

constexpr std::array kSeccompActions = {
    "SCMP_ACT_ALLOW",       "SCMP_ACT_ERRNO", "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",   "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"};
constexpr std::array kSeccompOperators = {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
                                          "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
                                          "SCMP_CMP_NE"};
constexpr std::array kSeccompArchitectures = {
    "SCMP_ARCH_AARCH64",   "SCMP_ARCH_ARM",    "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",       "SCMP_ARCH_PPC64",  "SCMP_ARCH_PPC64LE",  "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",      "SCMP_ARCH_S390X",  "SCMP_ARCH_X32",      "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64"};
constexpr std::array kSeccompFlags = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                      "SECCOMP_FILTER_FLAG_TSYNC"};

ordered_json namespaces() {
  std::vector<std::string> names;
  for (const NamespaceInfo& info : namespace_infos()) names.emplace_back(info.oci_name);
  std::sort(names.begin(), names.end());
  return names;
}

ordered_json capabilities() {
  ordered_json names = ordered_json::array();
  for (int number = 0; number < kernel_capability_count(); ++number) {
    std::string name = capability_name(number);
    if (!name.empty()) names.push_back(std::move(name));
  }
  return names;
}

std::string libseccomp_version() {
  const struct scmp_version* version = ::seccomp_version();
  return join(version->major, ".", version->minor, ".", version->micro);
}

ordered_json linux_features() {
  const ordered_json off = {{"enabled", false}};
  return {
      {"namespaces", namespaces()},
      {"capabilities", capabilities()},
      {"cgroup",
       {{"v1", true}, {"v2", true}, {"systemd", true}, {"systemdUser", false}, {"rdma", true}}},
      {"seccomp",
       {{"enabled", true},
        {"actions", kSeccompActions},
        {"operators", kSeccompOperators},
        {"archs", kSeccompArchitectures},
        {"knownFlags", kSeccompFlags},
        {"supportedFlags", kSeccompFlags}}},
      {"apparmor", {{"enabled", true}}},
      {"selinux", {{"enabled", true}}},
      {"intelRdt", off},
      {"mountExtensions", {{"idmap", {{"enabled", true}}}}},
  };
}

}  // namespace

Result<int> features_command(Invocation& call) {
  bool switches = false;
  bool system_calls = false;
  call.flags.add("--switches", switches, "print the page of per-container switches instead");
  call.flags.add("--system-calls", system_calls, "print the page of system calls instead");
  TRY(call.parse(0, 0));
  if (system_calls) {
    TRY(print(system_calls_page()));
    return 0;
  }
  if (switches) {
    TRY(print(switches_page()));
    return 0;
  }
  const ordered_json features = {
      {"ociVersionMin", "1.0.0"},
      {"ociVersionMax", "1.2.1"},
      {"hooks", kHooks},
      {"mountOptions", kMountOptions},
      {"linux", linux_features()},
      {"annotations",
       {{"io.sysbox.version", SYSBOX_VERSION},
        {"io.sysbox.commit", SYSBOX_COMMIT},
        {"io.github.seccomp.libseccomp.version", libseccomp_version()},
        // By the names that engines look for.
        {"org.opencontainers.runc.checkpoint.enabled", "false"},
        {"org.opencontainers.runc.version", SYSBOX_VERSION},
        {"org.opencontainers.runc.commit", SYSBOX_COMMIT}}},
      {"potentiallyUnsafeConfigAnnotations", {kSwitchPrefix}},
  };
  TRY(print(features.dump(4) + "\n"));
  return 0;
}

}  // namespace sysbox::runc
