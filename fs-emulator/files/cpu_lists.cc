#include "fs-emulator/emulated_file.h"

namespace sysbox::fs {

Result<std::string> read_cpu_list(const ContainerView& container) {
  const std::size_t count = container.cpus().host_cpus.size();
  return count <= 1 ? std::string("0\n") : join("0-", count - 1, "\n");
}

}  // namespace sysbox::fs
