#pragma once

// Annotations org.systemd.property.NAME=VALUE: properties of the container's scope. Whoever may
// start a container may write them, so they are checked as hostile input: a table says which names
// there may be, and values are parsed here, strictly.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "runc-ext/cgroup/unit_properties.h"

namespace sysbox::runc {

// Error messages name the annotation.
Result<std::vector<UnitProperty>> parse_property_annotations(
    const std::map<std::string, std::string>& annotations);

// A value in GVariant's text form: true, 5, 2.5, 'text', ['a', 'b'], uint64 5, @t 5. Numbers
// without a type are int32, or double if they have a point. The property has no name yet.
Result<UnitProperty> parse_variant_text(std::string_view text);

}  // namespace sysbox::runc
