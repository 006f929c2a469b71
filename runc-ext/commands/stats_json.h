#pragma once

#include <string>

#include "runc-ext/cgroup/stats.h"

namespace sysbox::runc {

// One line of `events`, as runc writes it, without the newline.
std::string stats_event_text(const std::string& id, const ContainerStats& stats);
std::string oom_event_text(const std::string& id);

}  // namespace sysbox::runc
