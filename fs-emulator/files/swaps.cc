#include "fs-emulator/emulated_file.h"
#include "fs-emulator/memory_figures.h"

namespace sysbox::fs {

Result<std::string> read_swaps(const ContainerView& container) {
  std::string out = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
  const MemoryFigures memory = TRY(read_memory_figures(container));
  if (memory.swap_total_kb == 0) return out;
  // One line for all of it: which devices the host swaps to is the host's business.
  return out + join("none                                    virtual\t\t", memory.swap_total_kb,
                    "\t\t", memory.swap_total_kb - memory.swap_free_kb, "\t\t0\n");
}

}  // namespace sysbox::fs
