// config.json comes from engines, but its text is largely a tenant's: parse it and convert it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/log.h"
#include "common/syscalls.h"
#include "runc-ext/oci/spec.h"
#include "runc-ext/system_container/convert.h"

namespace sysbox::runc {
namespace {

// A directory that is gone: every look-up inside fails at once, whatever the input names.
const RootDir& empty_rootfs() {
  static const RootDir rootfs = [] {
    std::string path = "/tmp/spec_fuzz.XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) std::abort();
    Result<RootDir> opened = RootDir::open(path);
    if (!opened.ok() || ::rmdir(path.c_str()) != 0) std::abort();
    return std::move(opened).value();
  }();
  return rootfs;
}

void check(std::string_view text) {
  Result<OciSpec> spec = parse_spec(text);
  if (!spec.ok()) return;
  if (!convert_to_system_container(spec.value(), empty_rootfs()).ok()) return;
  // What was accepted once must be accepted again, and stay as it is.
  const std::size_t mounts = spec.value().mounts.size();
  if (!convert_to_system_container(spec.value(), empty_rootfs()).ok()) std::abort();
  if (spec.value().mounts.size() != mounts) std::abort();
}

}  // namespace
}  // namespace sysbox::runc

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  sysbox::log::set_level(sysbox::log::Level::kError);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sysbox::runc::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
