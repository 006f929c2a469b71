#include "runc-ext/oci/hooks.h"

#include "common/json_fields.h"
#include "runc-ext/oci/checks.h"

namespace sysbox::runc {
namespace {

Result<OciHook> parse_hook(const nlohmann::json& hook, const std::string& path) {
  OciHook out;
  JsonFields in(hook, path);
  in.required("path", out.path);
  require_absolute(in, "path", out.path);
  in.optional("args", out.args);
  in.optional("env", out.env);
  in.optional("timeout", out.timeout_seconds);
  if (out.timeout_seconds && *out.timeout_seconds <= 0) {
    in.fail(in.path_of("timeout"), join(*out.timeout_seconds, " is not more than zero"));
  }
  TRY(std::move(in).finish());
  return out;
}

}  // namespace

Result<OciHooks> parse_hooks(const nlohmann::json& hooks, const std::string& path) {
  OciHooks out;
  JsonFields in(hooks, path);
  in.optional_array("prestart", out.prestart, parse_hook);
  in.optional_array("createRuntime", out.create_runtime, parse_hook);
  in.optional_array("createContainer", out.create_container, parse_hook);
  in.optional_array("startContainer", out.start_container, parse_hook);
  in.optional_array("poststart", out.poststart, parse_hook);
  in.optional_array("poststop", out.poststop, parse_hook);
  TRY(std::move(in).finish());
  return out;
}

}  // namespace sysbox::runc
