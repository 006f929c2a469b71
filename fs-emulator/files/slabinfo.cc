#include "fs-emulator/emulated_file.h"

namespace sysbox::fs {

// The heading of the kernel and no caches: what a cgroup has in which of them is not counted.
Result<std::string> read_slabinfo(const ContainerView& /*container*/) {
  return std::string(
      "slabinfo - version: 2.1\n"
      "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables "
      "<limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
}

}  // namespace sysbox::fs
