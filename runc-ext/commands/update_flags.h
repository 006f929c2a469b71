#pragma once

// The single flags of `update`, which stand for members of linux.resources.

#include <string>
#include <string_view>

#include "common/result.h"
#include "runc-ext/flags.h"
#include "runc-ext/oci/resources.h"

namespace sysbox::runc {

struct UpdateFlags {
  std::string cpu_period, cpu_quota, cpu_burst, cpu_rt_period, cpu_rt_runtime, cpu_share, cpu_idle;
  std::string cpuset_cpus, cpuset_mems;
  std::string memory, memory_reservation, memory_swap, kernel_memory, kernel_memory_tcp;
  int pids_limit = 0;
  int blkio_weight = 0;
  std::string l3_cache_schema, mem_bw_schema;
};

void add_update_flags(Flags& flags, UpdateFlags& values);

// What was given; an error names the flag.
Result<OciResources> resources_of(const UpdateFlags& values);

// "64M", "1.5g", "4096", "2 KiB": a number of bytes, as Docker's and runc's flags take it.
Result<std::int64_t> parse_ram_size(std::string_view text);

}  // namespace sysbox::runc
