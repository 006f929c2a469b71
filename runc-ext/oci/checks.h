#pragma once

// Checks that the readers of config.json share.

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "common/json_fields.h"

namespace sysbox::runc {

inline void require_absolute(JsonFields& in, std::string_view name, const std::string& value) {
  if (!value.starts_with('/')) {
    in.fail(in.path_of(name), join("'", value, "' is not an absolute path"));
  }
}

// `what` ends the sentence "'x' is not …".
template <std::size_t kCount>
void require_one_of(JsonFields& in, std::string_view name, const std::string& value,
                    const std::array<std::string_view, kCount>& known, std::string_view what) {
  if (std::find(known.begin(), known.end(), value) == known.end()) {
    in.fail(in.path_of(name), join("'", value, "' is not ", what));
  }
}

// A member that would have an effect which this runtime does not give.
inline void refuse(JsonFields& in, std::string_view name, std::string_view why) {
  if (in.find(name) != nullptr) in.fail(in.path_of(name), join("is not supported: ", why));
}

}  // namespace sysbox::runc
