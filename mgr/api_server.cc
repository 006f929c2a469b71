#include "mgr/api_server.h"

#include <nlohmann/json.hpp>

#include "common/log.h"
#include "mgr/api_json.h"
#include "mgr/interface_description.h"

namespace sysbox::mgr {
namespace {

Result<varlink::Parameters> answer_register(Containers& containers,
                                            const varlink::Parameters& call) {
  const RegisterRequest request = TRY(parse_register_request(call.json));
  const log::ContainerScope scope(request.id);
  const Result<RegisterReply> reply = containers.register_container(request);
  if (!reply.ok()) {
    log::error("register: ", reply.error().message());
    return reply.error();
  }
  return varlink::Parameters{to_json(reply.value()), {}};
}

Result<varlink::Parameters> answer_unregister(Containers& containers,
                                              const varlink::Parameters& call) {
  const std::string id = TRY(parse_unregister_request(call.json));
  const log::ContainerScope scope(id);
  const Result<void> done = containers.unregister_container(id);
  if (!done.ok()) {
    log::error("unregister: ", done.error().message());
    return done.error();
  }
  return varlink::Parameters{};
}

}  // namespace

void add_manager_interface(varlink::Server& server, Containers& containers) {
  const auto method = [](const char* name) { return join(kInterface, ".", name); };
  server.add_interface(kInterface, kInterfaceDescription);
  server.add_method(method("Register"), [&containers](const varlink::Parameters& call) {
    return answer_register(containers, call);
  });
  server.add_method(method("Unregister"), [&containers](const varlink::Parameters& call) {
    return answer_unregister(containers, call);
  });
  server.add_method(method("List"),
                    [&containers](const varlink::Parameters&) -> Result<varlink::Parameters> {
                      return varlink::Parameters{to_json(containers.list()), {}};
                    });
}

}  // namespace sysbox::mgr
