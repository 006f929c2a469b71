// /proc/self/mountinfo, whose paths and options tenants choose in part, and the layers of an
// overlay as they stand there.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/mount_info.h"
#include "runc-ext/uid_shift/overlay_layers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sysbox;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto check_layers = [](std::string_view options) {
    const Result<runc::OverlayLayers> layers = runc::parse_overlay_options(options, "/base");
    if (!layers.ok()) return;
    if (layers.value().lower.empty()) std::abort();
    for (const std::string& layer : layers.value().lower) {
      if (!layer.starts_with('/')) std::abort();
    }
  };
  check_layers(text);
  const auto mounts = parse_mount_info(text);
  if (!mounts.ok()) return 0;
  for (const MountInfo& mount : mounts.value()) check_layers(mount.superblock_options);
  return 0;
}
