#pragma once

// The device nodes that root of a container may make by mknod(2). The kernel asks for a capability
// over the whole machine; these give nothing to whoever opens them that a container does not have
// anyway. The filter and the handler both derive from this table.

#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace sysbox::seccomp {

// A device number as mknod(2) takes it (new_encode_dev() of the kernel); the same in all ABIs.
constexpr std::uint32_t device_argument(std::uint32_t major, std::uint32_t minor) {
  return (minor & 0xffU) | (major << 8U) | ((minor & ~0xffU) << 12U);
}

struct AllowedNode {
  const char* name;  // below /dev
  std::uint32_t asked_for;
  std::uint32_t made;
};

constexpr AllowedNode same_node(const char* name, std::uint32_t major, std::uint32_t minor) {
  return {name, device_argument(major, minor), device_argument(major, minor)};
}

// Character devices all. To add one: a line here, and see that every container's device cgroup
// allows its use. Numbers: Documentation/admin-guide/devices.txt of the kernel.
inline constexpr std::array kAllowedNodes = {
    same_node("null", 1, 3),
    same_node("zero", 1, 5),
    same_node("full", 1, 7),
    same_node("random", 1, 8),
    same_node("urandom", 1, 9),
    // As in the container's own /dev: the host's kernel log is no tenant's business.
    AllowedNode{"kmsg", device_argument(1, 11), device_argument(1, 3)},
    same_node("tty", 5, 0),
    // Made by every debootstrap; the container's device cgroup does not let it be opened.
    same_node("console", 5, 1),
    same_node("ptmx", 5, 2),
    same_node("net/tun", 10, 200),
    same_node("fuse", 10, 229),
};

constexpr const AllowedNode* find_allowed_node(std::uint32_t asked_for) {
  const auto* const found =
      std::find_if(kAllowedNodes.begin(), kAllowedNodes.end(),
                   [asked_for](const AllowedNode& node) { return node.asked_for == asked_for; });
  return found == kAllowedNodes.end() ? nullptr : found;
}

}  // namespace sysbox::seccomp
