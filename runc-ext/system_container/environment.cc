#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {

// systemd and what it starts learn from this variable that they are in a container
// (systemd.io/CONTAINER_INTERFACE). With "oci" it goes on to look for the files that tell Docker
// from Podman; a value that the user or the image chose stays.
void complete_environment(OciProcess& process, Init init) {
  if (init != Init::kSystemd) return;
  for (const std::string& variable : process.env) {
    if (variable.starts_with("container=")) return;
  }
  process.env.emplace_back("container=oci");
}

}  // namespace sysbox::runc
