#include "runc-ext/uid_shift/owner_map.h"

#include <endian.h>
#include <linux/capability.h>
#include <linux/posix_acl_xattr.h>

#include <cstring>

namespace sysbox::runc {
namespace {

constexpr std::uint16_t kAclUser = 0x02;  // ACL_USER and ACL_GROUP of <linux/posix_acl.h>
constexpr std::uint16_t kAclGroup = 0x08;

template <typename T>
T read_at(const std::string& bytes, std::size_t offset) {
  T value{};
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <typename T>
void write_at(std::string& bytes, std::size_t offset, const T& value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

}  // namespace

std::uint32_t OwnerMap::moved(std::uint32_t id) const {
  if (to.contains(id)) return id;
  for (const IdRange& range : from) {
    if (range.contains(id) && id - range.first < to.count) return to.first + (id - range.first);
  }
  return id;
}

std::optional<std::string> moved_acl(const std::string& value, const OwnerMap& uids,
                                     const OwnerMap& gids) {
  using Header = struct posix_acl_xattr_header;
  using Entry = struct posix_acl_xattr_entry;
  if (value.size() < sizeof(Header) || (value.size() - sizeof(Header)) % sizeof(Entry) != 0 ||
      le32toh(read_at<Header>(value, 0).a_version) != POSIX_ACL_XATTR_VERSION) {
    return std::nullopt;
  }
  std::string moved = value;
  for (std::size_t at = sizeof(Header); at < value.size(); at += sizeof(Entry)) {
    auto entry = read_at<Entry>(value, at);
    const std::uint16_t tag = le16toh(entry.e_tag);
    if (tag == kAclUser) entry.e_id = htole32(uids.moved(le32toh(entry.e_id)));
    if (tag == kAclGroup) entry.e_id = htole32(gids.moved(le32toh(entry.e_id)));
    write_at(moved, at, entry);
  }
  return moved;
}

std::optional<std::string> rooted_capability(const std::string& value, std::uint32_t root) {
  using Data = struct vfs_ns_cap_data;
  constexpr std::size_t kWithoutRoot = sizeof(struct vfs_cap_data);
  if (value.size() != kWithoutRoot && value.size() != sizeof(Data)) return std::nullopt;
  Data data{};
  std::memcpy(&data, value.data(), value.size());
  const std::uint32_t flags = le32toh(data.magic_etc) & ~std::uint32_t{VFS_CAP_REVISION_MASK};
  const std::uint32_t revision = root == 0 ? VFS_CAP_REVISION_2 : VFS_CAP_REVISION_3;
  data.magic_etc = htole32(revision | flags);
  data.rootid = htole32(root);
  std::string rooted(root == 0 ? kWithoutRoot : sizeof data, '\0');
  std::memcpy(rooted.data(), &data, rooted.size());
  return rooted;
}

}  // namespace sysbox::runc
