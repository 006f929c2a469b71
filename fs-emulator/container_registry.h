#pragma once

// The registered containers, by id.

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/result.h"
#include "fs-emulator/api.h"
#include "fs-emulator/container.h"
#include "fs-emulator/file_tree.h"
#include "fs-emulator/fuse_loop.h"
#include "fs-emulator/layer_watch.h"
#include "fs-emulator/manager_link.h"
#include "fs-emulator/request_journal.h"
#include "fs-emulator/spare_sessions.h"
#include "seccomp-notify/notify_loop.h"

namespace sysbox::fs {

class ContainerRegistry {
 public:
  // All are borrowed. Without `link` containers do not survive this process, without `journal`
  // what is asked at its end gets no answer.
  ContainerRegistry(const HostFiles& host, FuseLoop& loop, SpareSessions& spares,
                    seccomp::NotifyLoop& notify_loop, ManagerLink* link = nullptr,
                    RequestJournal* journal = nullptr);
  ~ContainerRegistry();  // ends every container's connection
  ContainerRegistry(const ContainerRegistry&) = delete;
  ContainerRegistry& operator=(const ContainerRegistry&) = delete;

  // EEXIST if the id is registered.
  Result<RegisterReply> register_container(const RegisterRequest& request);
  // ESRCH if the process has ended; ENOENT for an unknown id.
  // `shared_layer`: as in StartRequest, perhaps none.
  Result<void> start_container(const std::string& id, ContainerInit init,
                               std::vector<UniqueFd> shared_layer = {});
  Result<void> add_listener(const std::string& id, UniqueFd listener);
  // An unknown id is no error.
  void unregister_container(const std::string& id);
  std::vector<ListedContainer> list() const;

  // The link's tasks.
  void take_back(const std::string& owner, DescriptorsByName descriptors);
  void park_all();

 private:
  struct Container {
    std::shared_ptr<const ContainerIdentity> identity;
    std::shared_ptr<const EmulatedTree> tree;
    std::shared_ptr<ContainerState> state;
    std::shared_ptr<seccomp::ContainerActions> actions;  // made with the first listener
    std::shared_ptr<FuseSession> session;
    std::shared_ptr<const SharedLayer> shared_layer;  // perhaps none
    ContainerInit init;
    std::atomic<bool> is_parked{false};  // or would be if there were a sysbox-mgr
    std::atomic<std::uint64_t> next_listener{1};
  };
  std::shared_ptr<Container> bare_container(const RegisterRequest& request) const;
  Result<std::shared_ptr<Container>> make_container(const RegisterRequest& request,
                                                    RegisterReply& reply);
  std::shared_ptr<seccomp::ContainerActions> actions_of(Container& container);
  static std::shared_ptr<const SharedLayer> shared_layer_of(const ContainerIdentity& identity,
                                                            std::vector<UniqueFd> fds);
  // A failure is logged: what the engine copies into the container is not seen inside at once.
  void share_layer(const Container& container, LayerWatch::Since since);
  void end(Container& container);
  bool half_have_ended();

  // In container_takeover.cc:
  Result<void> begin_to_keep(Container& container, const std::string& init_cgroups) const;
  void park(const Container& container) const;
  void park_daemon();
  Result<std::shared_ptr<Container>> revive(DescriptorsByName& descriptors);
  void revive_listeners(const std::shared_ptr<Container>& container,
                        DescriptorsByName& descriptors);

  const HostFiles& host_;
  FuseLoop& loop_;
  SpareSessions& spares_;
  seccomp::NotifyLoop& notify_loop_;
  ManagerLink* const link_;
  RequestJournal* const journal_;
  const SysctlDefaults defaults_;
  LayerWatch layers_;
  mutable std::mutex mutex_;  // of what follows; not held while anything is opened or waited for
  std::map<std::string, std::shared_ptr<Container>> containers_;
  std::size_t most_ = 0;  // there were at once since memory was given back
};

}  // namespace sysbox::fs
