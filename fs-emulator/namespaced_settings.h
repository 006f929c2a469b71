#pragma once

// Settings that newer kernels keep per namespace, and older ones for the whole machine.

#include <string_view>

namespace sysbox::fs {

// True if a container's root may write to the kernel's own file: then ours is not needed. Found
// out by trying, once.
bool is_namespaced_by_kernel(std::string_view path);

}  // namespace sysbox::fs
