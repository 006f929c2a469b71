#include "fs-emulator/api_server.h"

#include <iterator>
#include <nlohmann/json.hpp>

#include "common/json_fields.h"
#include "common/log.h"
#include "fs-emulator/api_json.h"
#include "fs-emulator/interface_description.h"

namespace sysbox::fs {
namespace {

Result<UniqueFd> only_descriptor(varlink::Parameters& call, const char* what) {
  if (call.fds.size() != 1) {
    return Error(EINVAL, join("one descriptor expected (", what, "), ", call.fds.size(), " came"));
  }
  return std::move(call.fds[0]);
}

// Logs what went wrong, with the container's id.
template <typename T>
Result<T> logged(const char* what, Result<T> result) {
  if (!result.ok()) log::error(what, ": ", result.error().message());
  return result;
}

Result<varlink::Parameters> answer_register(ContainerRegistry& registry,
                                            const varlink::Parameters& call) {
  const RegisterRequest request = TRY(parse_register_request(call.json));
  const log::ContainerScope scope(request.id);
  RegisterReply reply = TRY(logged("register", registry.register_container(request)));
  log::debug("registered");
  varlink::Parameters out{to_json(reply.pieces), {}};
  out.fds.push_back(std::move(reply.tree));
  return out;
}

Result<varlink::Parameters> answer_start(ContainerRegistry& registry, varlink::Parameters call) {
  const StartRequest request = TRY(parse_start_request(call.json));
  const log::ContainerScope scope(request.id);
  std::vector<UniqueFd> shared_layer;
  if (call.fds.size() == 1 + kSharedLayerDescriptors) {
    std::move(call.fds.begin() + 1, call.fds.end(), std::back_inserter(shared_layer));
    call.fds.resize(1);
  }
  ContainerInit init{request.init_pid, TRY(only_descriptor(call, "the pidfd of init"))};
  TRY(logged("start",
             registry.start_container(request.id, std::move(init), std::move(shared_layer))));
  log::debug("started, init is pid ", request.init_pid);
  return varlink::Parameters{};
}

Result<varlink::Parameters> answer_add_listener(ContainerRegistry& registry,
                                                varlink::Parameters call) {
  const std::string id = TRY(parse_id_request(call.json));
  const log::ContainerScope scope(id);
  UniqueFd listener = TRY(only_descriptor(call, "a seccomp listener"));
  TRY(logged("add listener", registry.add_listener(id, std::move(listener))));
  return varlink::Parameters{};
}

Result<varlink::Parameters> answer_unregister(ContainerRegistry& registry,
                                              const varlink::Parameters& call) {
  const std::string id = TRY(parse_id_request(call.json));
  const log::ContainerScope scope(id);
  registry.unregister_container(id);
  log::debug("unregistered");
  return varlink::Parameters{};
}

varlink::Parameters answer_count_calls(const seccomp::NotifyLoop& notify_loop) {
  nlohmann::json calls = nlohmann::json::array();
  for (const seccomp::CountedCall& counted : notify_loop.count_calls()) {
    const auto& [done, failed, left_to_kernel, expired] = counted.counts;
    calls.push_back({{"container", counted.container},
                     {"call", counted.call},
                     {"done", done},
                     {"failed", failed},
                     {"native", left_to_kernel},
                     {"expired", expired}});
  }
  return varlink::Parameters{{{"calls", std::move(calls)}}, {}};
}

Result<varlink::Parameters> answer_set_audit(seccomp::NotifyLoop& notify_loop,
                                             const varlink::Parameters& call) {
  std::string name;
  JsonFields fields(call.json, "");
  fields.required("level", name);
  TRY(std::move(fields).finish());
  const std::optional<seccomp::AuditLevel> level = seccomp::parse_audit_level(name);
  if (!level) return Error(EINVAL, join("level: '", name, "' is none of off, errors, all"));
  notify_loop.set_audit(*level);
  return varlink::Parameters{};
}

}  // namespace

void add_emulator_interface(varlink::Server& server, ContainerRegistry& registry,
                            seccomp::NotifyLoop& notify_loop) {
  const auto method = [](const char* name) { return join(kInterface, ".", name); };
  server.add_interface(kInterface, kInterfaceDescription);
  server.add_method(method("Register"), [&registry](varlink::Parameters call) {
    return answer_register(registry, call);
  });
  server.add_method(method("Start"), [&registry](varlink::Parameters call) {
    return answer_start(registry, std::move(call));
  });
  server.add_method(method("AddListener"), [&registry](varlink::Parameters call) {
    return answer_add_listener(registry, std::move(call));
  });
  server.add_method(method("Unregister"), [&registry](varlink::Parameters call) {
    return answer_unregister(registry, call);
  });
  server.add_method(method("List"),
                    [&registry](varlink::Parameters) -> Result<varlink::Parameters> {
                      return varlink::Parameters{to_json(registry.list()), {}};
                    });
  server.add_method(method("CountCalls"),
                    [&notify_loop](varlink::Parameters) -> Result<varlink::Parameters> {
                      return answer_count_calls(notify_loop);
                    });
  server.add_method(method("SetAudit"), [&notify_loop](varlink::Parameters call) {
    return answer_set_audit(notify_loop, call);
  });
}

}  // namespace sysbox::fs
