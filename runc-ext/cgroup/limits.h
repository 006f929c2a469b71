#pragma once

// The limits of linux.resources, one kind for each controller: which files they go to on v1 and v2.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "runc-ext/oci/resources.h"

namespace sysbox::runc {

// Shown: the container sees the value in its own root cgroup, which on v1 is a child of the
// directory that holds it (a Java VM reads memory.limit_in_bytes there, not further up).
enum class Shown { kNo, kYes };

struct LimitValue {
  const char* what;  // for errors: "memory limit"
  std::string file;  // "memory.max"
  std::string value;
  Shown shown = Shown::kNo;
};

// The container's directory in one hierarchy.
class LimitFiles {
 public:
  // `tolerate_missing`: all values only say "unlimited", which is what a missing file means too.
  LimitFiles(std::string directory, std::string controller, bool tolerate_missing)
      : directory_(std::move(directory)),
        controller_(std::move(controller)),
        tolerate_missing_(tolerate_missing) {}

  const std::string& directory() const { return directory_; }
  const std::vector<LimitValue>& written() const { return written_; }

  Result<void> write(const LimitValue& limit);
  // Files whose values bound each other (limit ≤ limit with swap; burst ≤ quota): written in the
  // order given, and again those refused with EINVAL, until nothing changes any more.
  Result<void> write_dependent(std::vector<LimitValue> limits);

  bool exists(const std::string& file) const;
  Result<std::string> read(const std::string& file) const;  // without the newline

 private:
  Error explain(const LimitValue& limit, int code) const;

  std::string directory_;
  std::string controller_;
  bool tolerate_missing_;
  std::vector<LimitValue> written_;
};

enum class Asked {
  kNothing,
  kUnlimited,  // needs no controller
  kLimit,
};

struct LimitKind {
  const char* what;
  const char* v1_controller;  // nullptr: v1 has no such limit
  const char* v2_controller;
  Asked (*asked)(const OciResources& resources);
  Result<void> (*apply_v1)(LimitFiles& files, const OciResources& resources);
  Result<void> (*apply_v2)(LimitFiles& files, const OciResources& resources);
  // A v1 limit that binds only the processes of the very cgroup, not those of its children: with
  // the hierarchy delegated, root inside would be rid of it by one mkdir.
  bool (*flat_on_v1)(const OciResources& resources);
};

const std::vector<LimitKind>& limit_kinds();

// One per kind; cgroup_v1.cc and cgroupfs.cc.
namespace v1 {
Result<void> apply_memory(LimitFiles& files, const OciResources& resources);
Result<void> apply_cpu(LimitFiles& files, const OciResources& resources);
Result<void> apply_cpuset(LimitFiles& files, const OciResources& resources);
Result<void> apply_pids(LimitFiles& files, const OciResources& resources);
Result<void> apply_block_io(LimitFiles& files, const OciResources& resources);
Result<void> apply_hugepages(LimitFiles& files, const OciResources& resources);
Result<void> apply_network_class(LimitFiles& files, const OciResources& resources);
Result<void> apply_network_priorities(LimitFiles& files, const OciResources& resources);

// Nothing but the default and the exceptions of `rules` is allowed afterwards; the cgroup must
// have no children.
Result<void> set_devices(const std::string& directory, const std::vector<OciDeviceRule>& rules);

// Makes sure that a new cpuset has cpus and memory nodes, without which no process can join.
Result<void> fill_cpuset(const std::string& mount_point, const std::string& directory);
}  // namespace v1

namespace v2 {
Result<void> apply_memory(LimitFiles& files, const OciResources& resources);
Result<void> apply_cpu(LimitFiles& files, const OciResources& resources);
Result<void> apply_cpuset(LimitFiles& files, const OciResources& resources);
Result<void> apply_pids(LimitFiles& files, const OciResources& resources);
Result<void> apply_block_io(LimitFiles& files, const OciResources& resources);
Result<void> apply_hugepages(LimitFiles& files, const OciResources& resources);
// linux.resources.unified: the files as they are named.
Result<void> apply_unified(const std::string& directory, const OciResources& resources);

// memory.swap.max counts swap alone, config.json's swap is memory and swap together; -1 is
// unlimited, nothing means that it stays as it is.
Result<std::optional<std::int64_t>> swap_without_memory(const OciMemory& memory);
// cpu.weight's 1…10000 for cpu.shares' 2…262144: the curve that makes both defaults, 1024 and 100,
// meet, as the OCI runtimes have it.
std::uint64_t weight_of_shares(std::uint64_t shares);
// Refuses limits that are below what is in use, if `memory` asks for that.
Result<void> check_usage(const std::string& directory, const OciMemory& memory);

// Enables every controller for the children of each directory from the mount point down to
// `directory`'s parent. One that cannot be enabled is left out: only a limit needs it.
Result<void> enable_controllers(const std::string& mount_point, const std::string& directory);
}  // namespace v2

// The same file on both.
Result<void> apply_rdma(LimitFiles& files, const OciResources& resources);

// "major:minor value".
std::string device_value(const OciBlockIoDevice& device, const std::string& value);

}  // namespace sysbox::runc
