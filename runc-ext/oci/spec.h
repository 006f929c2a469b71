#pragma once

// config.json as a whole: the only place, with its siblings in oci/, that knows the JSON.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "runc-ext/oci/hooks.h"
#include "runc-ext/oci/linux.h"
#include "runc-ext/oci/mounts.h"
#include "runc-ext/oci/process.h"

namespace sysbox::runc {

struct OciSpec {
  std::string oci_version;
  std::string root_path;  // absolute on the host, after read_spec()
  bool root_readonly = false;
  std::string hostname;
  std::string domainname;
  std::optional<OciProcess> process;
  std::vector<OciMount> mounts;
  OciHooks hooks;
  OciLinux linux_part;
  std::map<std::string, std::string> annotations;
};

// The text of a config.json. Errors name the JSON path: "process.user.uid: expected …".
Result<OciSpec> parse_spec(std::string_view text);

// `bundle`/config.json, or another `file`; `bundle` absolute. root.path and bind sources are made
// absolute against it.
Result<OciSpec> read_spec(const std::string& bundle, const std::string& file = "config.json");

}  // namespace sysbox::runc
