#include "fs-emulator/recent_texts.h"

#include <algorithm>

namespace sysbox::fs {
namespace {

// A fifth of the tick in which uptime and the times of stat are counted.
constexpr std::uint64_t kRecentNs = 2'000'000;
constexpr std::size_t kMaxTexts = 32;
constexpr std::size_t kMaxPids = 256;

}  // namespace

void RecentTexts::drop_old(std::uint64_t now_ns) {
  std::erase_if(texts_, [now_ns](const Recent& each) {
    return now_ns > each.made_ns && now_ns - each.made_ns > kRecentNs;
  });
}

SharedText RecentTexts::of_process(fuse_ino_t inode, int pid, std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  drop_old(now_ns);
  for (const Recent& each : texts_) {
    if (each.inode != inode) continue;
    if (std::find(each.pids.begin(), each.pids.end(), pid) != each.pids.end()) return each.text;
  }
  return nullptr;
}

SharedText RecentTexts::of_cgroup(fuse_ino_t inode, const CgroupMembership& cgroups, int pid,
                                  std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  drop_old(now_ns);
  for (Recent& each : texts_) {
    if (each.inode != inode || each.cgroups != cgroups) continue;
    if (each.pids.size() < kMaxPids) each.pids.push_back(pid);
    return each.text;
  }
  return nullptr;
}

SharedText RecentTexts::add(fuse_ino_t inode, const CgroupMembership& cgroups, int pid,
                            std::uint64_t made_ns, SharedText text) {
  const std::lock_guard lock(mutex_);
  const auto same = std::find_if(texts_.begin(), texts_.end(), [&](const Recent& each) {
    return each.inode == inode && each.cgroups == cgroups;
  });
  if (same != texts_.end()) {
    if (same->made_ns > made_ns) return same->text;
    texts_.erase(same);
  }
  if (texts_.size() == kMaxTexts) texts_.erase(texts_.begin());
  texts_.push_back({inode, made_ns, text, cgroups, {pid}});
  return text;
}

}  // namespace sysbox::fs
