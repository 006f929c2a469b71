// state.json: what `delete` and `exec` read back, perhaps written by another version or a full
// disk; and what is told to hooks and engines of it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/json_fields.h"
#include "common/log.h"
#include "runc-ext/container/record_json.h"
#include "runc-ext/oci/state_json.h"

namespace sysbox::runc {
namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check(std::string_view text) {
  const Result<ContainerRecord> record = parse_record(text);
  if (!record.ok()) return;
  // What was read must be written so that it is read again, and then stays as it is.
  const std::string written = record_text(record.value());
  const Result<ContainerRecord> again = parse_record(written);
  require(again.ok());
  require(record_text(again.value()) == written);
  const OciState state = state_of(record.value(), ContainerStatus::kRunning);
  require(parse_json(state_for_people(state)).ok());
  require(parse_json(state_for_hooks(state)).ok());
  require(state_for_hooks(state).find('\n') == std::string::npos);
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
