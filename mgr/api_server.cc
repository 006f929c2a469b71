#include "mgr/api_server.h"

#include <nlohmann/json.hpp>

#include "common/log.h"
#include "common/syscalls.h"
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

Result<varlink::Parameters> answer_unregister(Containers& containers, ParkedDescriptors& parked,
                                              const varlink::Parameters& call) {
  const std::string id = TRY(parse_id_request(call.json));
  const log::ContainerScope scope(id);
  // Of a container that was removed while there was no sysbox-fs.
  parked.let_go(id);
  const Result<void> done = containers.unregister_container(id);
  if (!done.ok()) {
    log::error("unregister: ", done.error().message());
    return done.error();
  }
  return varlink::Parameters{};
}

Result<varlink::Parameters> answer_place(Containers& containers, VolumePlace place,
                                         const varlink::Parameters& call) {
  const std::string id = TRY(parse_id_request(call.json));
  const log::ContainerScope scope(id);
  const Result<void> done = containers.move_volumes(id, place);
  if (!done.ok()) {
    log::warning(done.error().message());
    return done.error();
  }
  return varlink::Parameters{};
}

Result<varlink::Parameters> answer_attend(ParkedDescriptors& parked, varlink::Parameters call) {
  if (call.fds.size() != 1) return Error(EINVAL, "one descriptor expected, a pidfd");
  varlink::Parameters out;
  out.fds.push_back(TRY(sys::pidfd_open(::getpid())));
  out.json = {{"owners", TRY(parked.attend(std::move(call.fds[0])))}};
  return out;
}

Result<varlink::Parameters> answer_park(ParkedDescriptors& parked, varlink::Parameters call) {
  const ParkRequest request = TRY(parse_park_request(call.json));
  if (request.names.size() != call.fds.size()) {
    return Error(EINVAL,
                 join(request.names.size(), " descriptors expected, ", call.fds.size(), " came"));
  }
  std::vector<NamedDescriptor> descriptors;
  for (std::size_t i = 0; i < call.fds.size(); ++i) {
    descriptors.push_back({request.names[i], std::move(call.fds[i])});
  }
  const log::ContainerScope scope(request.owner);
  const Result<void> done = parked.park(request.owner, std::move(descriptors));
  if (!done.ok()) {
    log::error(done.error().message());
    return done.error();
  }
  return varlink::Parameters{};
}

Result<varlink::Parameters> answer_parked(const ParkedDescriptors& parked,
                                          const varlink::Parameters& call) {
  const std::string owner = TRY(parse_owner(call.json));
  std::vector<NamedDescriptor> copies = TRY(parked.copies_of(owner));
  varlink::Parameters out;
  nlohmann::json& names = out.json["names"] = nlohmann::json::array();
  for (NamedDescriptor& copy : copies) {
    names.push_back(copy.name);
    out.fds.push_back(std::move(copy.fd));
  }
  return out;
}

void add_parking(varlink::Server& server, ParkedDescriptors& parked) {
  const auto method = [](const char* name) { return join(kInterface, ".", name); };
  server.add_method(method("Attend"), [&parked](varlink::Parameters call) {
    return answer_attend(parked, std::move(call));
  });
  server.add_method(method("Park"), [&parked](varlink::Parameters call) {
    return answer_park(parked, std::move(call));
  });
  server.add_method(method("Parked"), [&parked](const varlink::Parameters& call) {
    return answer_parked(parked, call);
  });
  server.add_method(method("Unpark"),
                    [&parked](const varlink::Parameters& call) -> Result<varlink::Parameters> {
                      parked.let_go(TRY(parse_owner(call.json)));
                      return varlink::Parameters{};
                    });
}

}  // namespace

void add_manager_interface(varlink::Server& server, Containers& containers,
                           ParkedDescriptors& parked) {
  const auto method = [](const char* name) { return join(kInterface, ".", name); };
  server.add_interface(kInterface, kInterfaceDescription);
  server.add_method(method("Register"), [&containers](const varlink::Parameters& call) {
    return answer_register(containers, call);
  });
  server.add_method(method("Unregister"), [&](const varlink::Parameters& call) {
    return answer_unregister(containers, parked, call);
  });
  server.add_method(method("Pause"), [&containers](const varlink::Parameters& call) {
    return answer_place(containers, VolumePlace::kInLayer, call);
  });
  server.add_method(method("Resume"), [&containers](const varlink::Parameters& call) {
    return answer_place(containers, VolumePlace::kBesideLayer, call);
  });
  server.add_method(method("List"),
                    [&containers](const varlink::Parameters&) -> Result<varlink::Parameters> {
                      return varlink::Parameters{to_json(containers.list()), {}};
                    });
  add_parking(server, parked);
}

}  // namespace sysbox::mgr
