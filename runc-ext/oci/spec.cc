#include "runc-ext/oci/spec.h"

#include <cctype>

#include "common/json_fields.h"
#include "common/root_dir.h"
#include "common/syscalls.h"
#include "runc-ext/oci/checks.h"

namespace sysbox::runc {
namespace {

constexpr std::size_t kMaxHostName = 64;  // __NEW_UTS_LEN

// Minor versions only add members, which an older reader ignores.
bool is_known_version(const std::string& version) {
  return version.size() > 2 && version.starts_with("1.") &&
         std::isdigit(static_cast<unsigned char>(version[2])) != 0;
}

struct Root {
  std::string path;
  bool readonly = false;
};

Result<Root> parse_root(const nlohmann::json& root, const std::string& path) {
  Root out;
  JsonFields in(root, path);
  in.required("path", out.path);
  if (out.path.empty()) in.fail(in.path_of("path"), "is empty");
  in.optional("readonly", out.readonly);
  TRY(std::move(in).finish());
  return out;
}

void check_host_name(JsonFields& in, std::string_view member, const std::string& name) {
  if (name.size() > kMaxHostName) {
    in.fail(in.path_of(member), join("is longer than ", kMaxHostName, " bytes"));
  }
}

Result<void> check_root_directory(const std::string& path) {
  const Result<struct stat> status = sys::fstatat(AT_FDCWD, path);
  if (!status.ok()) {
    return errno_error(status.error().code(), "root.path: '", path, "'");
  }
  if (!S_ISDIR(status.value().st_mode)) {
    return Error(ENOTDIR, join("root.path: '", path, "' is not a directory"));
  }
  return {};
}

}  // namespace

Result<OciSpec> parse_spec(std::string_view text) {
  const nlohmann::json json = TRY(parse_json(text));
  OciSpec out;
  Root root;
  JsonFields in(json, "");
  in.required("ociVersion", out.oci_version);
  if (!is_known_version(out.oci_version)) {
    in.fail("ociVersion", join("'", out.oci_version, "' is not a version 1.x"));
  }
  in.required_object("root", root, parse_root);
  in.optional("hostname", out.hostname);
  check_host_name(in, "hostname", out.hostname);
  in.optional("domainname", out.domainname);
  check_host_name(in, "domainname", out.domainname);
  in.optional_object("process", out.process, parse_process);
  in.optional_array("mounts", out.mounts, parse_mount);
  in.optional_object("hooks", out.hooks, parse_hooks);
  in.optional_object("linux", out.linux_part, parse_linux);
  in.optional("annotations", out.annotations);
  TRY(std::move(in).finish());
  out.root_path = std::move(root.path);
  out.root_readonly = root.readonly;
  return out;
}

Result<OciSpec> read_spec(const std::string& bundle, const std::string& file) {
  const std::string path = file.starts_with('/') ? file : join(bundle, "/", file);
  const Result<struct stat> directory = sys::fstatat(AT_FDCWD, bundle);
  if (!directory.ok()) {
    return errno_error(directory.error().code(), "bundle '", bundle, "'");
  }
  const Result<std::string> text = sys::read_file(path);
  if (!text.ok() && text.error().code() == ENOENT) {
    return Error(ENOENT, join("JSON specification file ", file, " not found: '", path, "'"));
  }
  if (!text.ok()) return text.error();
  OciSpec spec = TRY(parse_spec(text.value()).in(path));

  const auto make_absolute = [&bundle](std::string& given) {
    if (!given.starts_with('/')) given = clean_path(bundle + "/" + given);
  };
  make_absolute(spec.root_path);
  spec.root_path = clean_path(spec.root_path);
  TRY(check_root_directory(spec.root_path).in(path));
  for (OciMount& mount : spec.mounts) {
    if (mount.bind) make_absolute(mount.source);
    // Some name the place as the host sees it.
    if (mount.destination != spec.root_path &&
        is_same_or_below(mount.destination, spec.root_path) && spec.root_path != "/") {
      mount.destination.erase(0, spec.root_path.size());
    }
  }
  return spec;
}

}  // namespace sysbox::runc
