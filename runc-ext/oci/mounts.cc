#include "runc-ext/oci/mounts.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "common/json_fields.h"
#include "common/log.h"
#include "common/root_dir.h"
#include "runc-ext/oci/id_map.h"

namespace sysbox::runc {
namespace {

// A word that sets or clears attributes of the mount; its "r" twin does so for all mounts below.
struct AttributeWord {
  std::string_view word;
  std::uint64_t attribute;
  bool set;
};
constexpr std::array kAttributeWords = {
    AttributeWord{"ro", MOUNT_ATTR_RDONLY, true},
    AttributeWord{"rw", MOUNT_ATTR_RDONLY, false},
    AttributeWord{"nosuid", MOUNT_ATTR_NOSUID, true},
    AttributeWord{"suid", MOUNT_ATTR_NOSUID, false},
    AttributeWord{"nodev", MOUNT_ATTR_NODEV, true},
    AttributeWord{"dev", MOUNT_ATTR_NODEV, false},
    AttributeWord{"noexec", MOUNT_ATTR_NOEXEC, true},
    AttributeWord{"exec", MOUNT_ATTR_NOEXEC, false},
    AttributeWord{"nodiratime", MOUNT_ATTR_NODIRATIME, true},
    AttributeWord{"diratime", MOUNT_ATTR_NODIRATIME, false},
    AttributeWord{"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, true},
    AttributeWord{"symfollow", MOUNT_ATTR_NOSYMFOLLOW, false},
    // One of three values of one field, see apply_access_time().
    AttributeWord{"noatime", MOUNT_ATTR_NOATIME, true},
    AttributeWord{"atime", MOUNT_ATTR_NOATIME, false},
    AttributeWord{"strictatime", MOUNT_ATTR_STRICTATIME, true},
    AttributeWord{"nostrictatime", MOUNT_ATTR_STRICTATIME, false},
    AttributeWord{"relatime", MOUNT_ATTR_RELATIME, true},
    AttributeWord{"norelatime", MOUNT_ATTR_RELATIME, false},
};

struct PropagationWord {
  std::string_view word;
  std::uint64_t flags;
};
constexpr std::array kPropagationWords = {
    PropagationWord{"private", MS_PRIVATE},
    PropagationWord{"rprivate", MS_PRIVATE | MS_REC},
    PropagationWord{"shared", MS_SHARED},
    PropagationWord{"rshared", MS_SHARED | MS_REC},
    PropagationWord{"slave", MS_SLAVE},
    PropagationWord{"rslave", MS_SLAVE | MS_REC},
    PropagationWord{"unbindable", MS_UNBINDABLE},
    PropagationWord{"runbindable", MS_UNBINDABLE | MS_REC},
};

// Words without an effect of their own. remount: attributes are always set on the made mount.
// mand: gone since Linux 5.15. iversion: file systems that count versions always do.
// silent: the kernel's log lines are wanted.
constexpr std::array<std::string_view, 9> kWordsWithoutEffect = {
    "defaults", "remount", "mand", "nomand", "iversion", "noiversion", "silent", "loud", ""};

// Words of the superblock; fsconfig(2) takes them as they are, a bind has no superblock.
constexpr std::array<std::string_view, 5> kSuperblockWords = {"sync", "async", "dirsync",
                                                              "lazytime", "nolazytime"};

template <typename Table>
auto find_word(const Table& table, std::string_view word) {
  return std::find_if(table.begin(), table.end(),
                      [word](const auto& row) { return row.word == word; });
}

template <typename Table>
bool contains(const Table& table, std::string_view word) {
  return std::find(table.begin(), table.end(), word) != table.end();
}

// mount_setattr(2) changes the access time field only as a whole: it is cleared, then set.
void apply_access_time(const AttributeWord& row, std::uint64_t& set, std::uint64_t& clear) {
  clear |= MOUNT_ATTR__ATIME;
  if (row.set) {
    set = (set & ~std::uint64_t{MOUNT_ATTR__ATIME}) | row.attribute;
  } else if ((set & MOUNT_ATTR__ATIME) == row.attribute) {
    set &= ~std::uint64_t{MOUNT_ATTR__ATIME};
  }
}

void apply_attribute(const AttributeWord& row, std::uint64_t& set, std::uint64_t& clear) {
  if (row.attribute == MOUNT_ATTR_RELATIME || (row.attribute & MOUNT_ATTR__ATIME) != 0) {
    apply_access_time(row, set, clear);
  } else if (row.set) {
    set |= row.attribute;
    clear &= ~row.attribute;
  } else {
    set &= ~row.attribute;
    clear |= row.attribute;
  }
}

bool apply_attribute_word(OciMount& mount, std::string_view word) {
  const auto* plain = find_word(kAttributeWords, word);
  if (plain != kAttributeWords.end()) {
    apply_attribute(*plain, mount.attributes_set, mount.attributes_clear);
    return true;
  }
  if (!word.starts_with('r')) return false;
  const auto* recursive = find_word(kAttributeWords, word.substr(1));
  if (recursive == kAttributeWords.end()) return false;
  apply_attribute(*recursive, mount.recursive_set, mount.recursive_clear);
  return true;
}

void check_bind(JsonFields& in, const OciMount& mount) {
  if (!mount.bind && mount.type.empty()) {
    in.fail(in.path_of("type"), "is missing, and there is no option 'bind' or 'rbind'");
  }
  if (mount.bind && mount.source.empty()) {
    in.fail(in.path_of("source"), "is missing: a bind mount needs one");
  }
  if (mount.bind && !mount.data.empty()) {
    in.fail(in.path_of("options"),
            join("'", mount.data.front(),
                 "': bind mounts cannot have any filesystem-specific options applied"));
  }
  if (mount.uid_map.has_value() != mount.gid_map.has_value()) {
    in.fail(in.path_of(mount.uid_map ? "gidMappings" : "uidMappings"),
            "is missing: both mappings or none");
  }
  const bool mapped = mount.id_map || mount.uid_map.has_value();
  if (mapped && !mount.bind) {
    in.fail(in.path_of(mount.id_map ? "options" : "uidMappings"),
            "only bind mounts can be id-mapped");
  }
}

}  // namespace

void apply_mount_option(OciMount& mount, const std::string& word) {
  if (word == "bind" || word == "rbind") {
    mount.bind = true;
    mount.recursive_bind = word == "rbind";
  } else if (word == "tmpcopyup") {
    mount.copy_up = true;
  } else if (word == "idmap" || word == "ridmap") {
    mount.id_map = true;
    mount.recursive_id_map = word == "ridmap";
  } else if (apply_attribute_word(mount, word) || contains(kWordsWithoutEffect, word)) {
    return;
  } else if (const auto* propagation = find_word(kPropagationWords, word);
             propagation != kPropagationWords.end()) {
    mount.propagation.push_back(propagation->flags);
  } else {
    mount.data.push_back(word);
  }
}

Result<OciMount> parse_mount(const nlohmann::json& mount, const std::string& path) {
  OciMount out;
  std::vector<std::string> options;
  JsonFields in(mount, path);
  in.required("destination", out.destination);
  in.optional("type", out.type);
  in.optional("source", out.source);
  in.optional("options", options);
  in.optional_object("uidMappings", out.uid_map, parse_id_map);
  in.optional_object("gidMappings", out.gid_map, parse_id_map);
  for (const std::string& word : options) apply_mount_option(out, word);
  if (out.type == "bind") out.bind = true;
  if (out.bind) {
    std::erase_if(out.data, [](const std::string& w) { return contains(kSuperblockWords, w); });
  }

  if (out.destination.empty()) in.fail(in.path_of("destination"), "is empty");
  const std::string clean = clean_path(out.destination);
  if (clean == "/") in.fail(in.path_of("destination"), "would hide the root file system");
  check_bind(in, out);
  TRY(std::move(in).finish());
  if (!out.destination.starts_with('/')) {
    log::warning(path, ".destination: '", out.destination, "' is not absolute, using '", clean,
                 "'");
  }
  out.destination = clean;
  return out;
}

}  // namespace sysbox::runc
