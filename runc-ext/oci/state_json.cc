#include "runc-ext/oci/state_json.h"

#include <nlohmann/json.hpp>

namespace sysbox::runc {
namespace {

// runc's JSON writer escapes these three everywhere, so that its text can stand in HTML. They
// occur only inside strings.
std::string escape_as_runc(const std::string& json) {
  std::string escaped;
  for (const char letter : json) {
    switch (letter) {
      case '<':
        escaped += "\\u003c";
        break;
      case '>':
        escaped += "\\u003e";
        break;
      case '&':
        escaped += "\\u0026";
        break;
      default:
        escaped += letter;
    }
  }
  return escaped;
}

// Text that is not UTF-8 gets replacement characters; an exception is no answer to `state`.
std::string dump(const nlohmann::ordered_json& json, int indent) {
  return escape_as_runc(
      json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

nlohmann::ordered_json specified_members(const OciState& state) {
  nlohmann::ordered_json json = {
      {"ociVersion", state.oci_version}, {"id", state.id}, {"status", state.status}};
  // The specification wants a pid only of a container that has a process.
  if (state.pid != 0) json["pid"] = state.pid;
  json["bundle"] = state.bundle;
  if (!state.annotations.empty()) json["annotations"] = state.annotations;
  return json;
}

}  // namespace

std::string state_for_people(const OciState& state) {
  nlohmann::ordered_json json = {
      {"ociVersion", state.oci_version}, {"id", state.id},         {"pid", state.pid},
      {"status", state.status},          {"bundle", state.bundle}, {"rootfs", state.rootfs},
      {"created", state.created},
  };
  if (!state.annotations.empty()) json["annotations"] = state.annotations;
  json["owner"] = state.owner;
  return dump(json, 2);
}

std::string state_for_hooks(const OciState& state) { return dump(specified_members(state), -1); }

std::string text_for_seccomp_agent(const SeccompAgentMessage& message) {
  nlohmann::ordered_json json = {
      {"ociVersion", message.state.oci_version}, {"fds", {"seccompFd"}}, {"pid", message.pid}};
  if (!message.metadata.empty()) json["metadata"] = message.metadata;
  json["state"] = specified_members(message.state);
  return dump(json, -1);
}

}  // namespace sysbox::runc
