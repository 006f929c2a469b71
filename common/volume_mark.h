#pragma once

namespace sysbox {

// The extended attribute by which sysbox-mgr knows a volume of its own in an overlay's upper layer,
// where sysbox-fs leaves it alone. It holds the volume's path in the layer; only the host's root
// can set it.
inline constexpr const char* kVolumeMark = "trusted.sysbox.volume";

}  // namespace sysbox
