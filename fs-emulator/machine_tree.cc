#include "fs-emulator/machine_tree.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "fs-emulator/memory_figures.h"
#include "fs-emulator/text_fields.h"

namespace sysbox::fs {
namespace {

constexpr std::string_view kCpuDirectory = "devices/system/cpu/";
constexpr std::string_view kNodeDirectory = "devices/system/node/";
// Links between cpus and nodes: one for each pair, and no more pairs than this.
constexpr std::size_t kMaxPairs = 4096;

struct Found {
  std::string name;
  mode_t mode;
};

// Files and directories, by name; no links, nothing that only the host's root may read.
std::vector<Found> list(const RootDir& sys, const std::string& path) {
  std::vector<Found> found;
  Result<UniqueFd> fd = sys.open_inside(path, O_RDONLY | O_DIRECTORY);
  if (!fd.ok()) return found;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.value().get()), ::closedir);
  if (!stream) return found;
  (void)fd.value().release();  // the stream owns it
  while (const struct dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    const Result<struct stat> stat = sys::fstatat(::dirfd(stream.get()), name, AT_SYMLINK_NOFOLLOW);
    if (name.starts_with('.') || !stat.ok()) continue;
    const mode_t mode = stat.value().st_mode;
    const bool is_readable_file = S_ISREG(mode) && (mode & S_IROTH) != 0;
    if (S_ISDIR(mode)) found.push_back({name, S_IFDIR | 0755});
    if (is_readable_file) found.push_back({name, S_IFREG | 0444});
  }
  std::sort(found.begin(), found.end(),
            [](const Found& a, const Found& b) { return a.name < b.name; });
  return found;
}

std::string list_text(const std::vector<unsigned>& numbers) {
  std::string out;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    if (!out.empty()) out += ',';
    out += std::to_string(numbers[i]);
    if (last != i) out += join("-", numbers[last]);
    i = last + 1;
  }
  return out + "\n";
}

// The kernel's form of a cpumask: groups of 32 bits, as many as there are cpus.
std::string mask_text(const std::vector<unsigned>& numbers, std::size_t bits) {
  constexpr std::size_t kGroup = 32;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (std::size_t nibble = (bits + 3) / 4; nibble-- > 0;) {
    unsigned value = 0;
    for (const unsigned number : numbers) {
      if (number / 4 == nibble) value |= 1U << number % 4;
    }
    out += kDigits[value];
    if (nibble != 0 && nibble * 4 % kGroup == 0) out += ',';
  }
  return out + "\n";
}

Result<unsigned> host_cpu(const std::vector<unsigned>& host_cpus, unsigned number) {
  if (number >= host_cpus.size()) return errno_error(ENOENT, "cpu", number);
  return host_cpus[number];
}

// The numbers that the cpus of a host's list have in the container.
std::vector<unsigned> renumbered(std::string_view host_list,
                                 const std::vector<unsigned>& host_cpus) {
  const std::vector<unsigned> listed = parse_cpu_list(host_list);
  std::vector<unsigned> numbers;
  for (unsigned i = 0; i < host_cpus.size(); ++i) {
    if (std::binary_search(listed.begin(), listed.end(), host_cpus[i])) numbers.push_back(i);
  }
  return numbers;
}

Result<std::string> host_path(const MachineEntry& entry, unsigned number,
                              const ContainerView& container) {
  if (entry.place == MachinePlace::kCpus) return join(kCpuDirectory, entry.below);
  if (entry.place == MachinePlace::kNodes) return join(kNodeDirectory, entry.below);
  if (entry.place == MachinePlace::kNode) {
    return join(kNodeDirectory, "node", number, "/", entry.below);
  }
  const unsigned cpu = TRY(host_cpu(container.cpus().host_cpus, number));
  return join(kCpuDirectory, "cpu", cpu, "/", entry.below);
}

Result<std::string> host_text(const MachineEntry& entry, unsigned number,
                              const ContainerView& container) {
  return container.host_sys(TRY(host_path(entry, number, container)));
}

Result<std::string> cpu_list(const MachineEntry& entry, unsigned number,
                             const ContainerView& container) {
  const std::string host = TRY(host_text(entry, number, container));
  return list_text(renumbered(host, container.cpus().host_cpus));
}

// A file with a mask has one with a list beside it, which is easier to read.
std::string list_beside(std::string_view mask_file) {
  for (const std::string_view suffix : {"shared_cpu_map", "cpumap"}) {
    if (!mask_file.ends_with(suffix)) continue;
    return join(mask_file.substr(0, mask_file.size() - 3), "list");
  }
  return join(mask_file, "_list");
}

Result<std::string> cpu_mask(const MachineEntry& entry, unsigned number,
                             const ContainerView& container) {
  MachineEntry beside = entry;
  beside.below = list_beside(entry.below);
  const std::string host = TRY(host_text(beside, number, container));
  const std::vector<unsigned> host_cpus = container.cpus().host_cpus;
  return mask_text(renumbered(host, host_cpus), host_cpus.size());
}

Result<std::string> all_cpus(const MachineEntry& /*entry*/, unsigned /*number*/,
                             const ContainerView& container) {
  const std::size_t count = container.cpus().host_cpus.size();
  return count <= 1 ? std::string("0\n") : join("0-", count - 1, "\n");
}

Result<std::string> nothing(const MachineEntry& /*entry*/, unsigned /*number*/,
                            const ContainerView& /*container*/) {
  return std::string("\n");
}

Result<std::string> one(const MachineEntry& /*entry*/, unsigned /*number*/,
                        const ContainerView& /*container*/) {
  return std::string("1\n");
}

Result<std::string> all_nodes(const MachineEntry& /*entry*/, unsigned /*number*/,
                              const ContainerView& container) {
  return list_text(container.memory_nodes());
}

// The container's memory is taken to lie in its nodes as they are large.
double share_of(unsigned node, const ContainerView& container) {
  double all = 0;
  double own = 0;
  for (const unsigned other : container.memory_nodes()) {
    const auto text = container.host_sys(join(kNodeDirectory, "node", other, "/meminfo"));
    if (!text.ok()) continue;
    const std::string name = join("Node ", other, " MemTotal");
    const auto total = static_cast<double>(meminfo_value(text.value(), name));
    all += total;
    if (other == node) own = total;
  }
  return all > 0 ? own / all : 1;
}

std::uint64_t part(std::uint64_t value, double share) {
  return static_cast<std::uint64_t>(static_cast<double>(value) * share);
}

Result<std::string> node_meminfo(const MachineEntry& entry, unsigned number,
                                 const ContainerView& container) {
  const std::string host = TRY(host_text(entry, number, container));
  const MemoryFigures figures = TRY(read_memory_figures(container));
  const double share = share_of(number, container);
  const std::string prefix = join("Node ", number, " ");
  std::string out;
  std::string_view rest = host;
  while (!rest.empty()) {
    const std::string_view line = next_line(rest);
    if (!line.starts_with(prefix)) continue;
    const std::string_view name = line.substr(0, line.find(':')).substr(prefix.size());
    append_meminfo_line(out, line, part(meminfo_line_value(name, figures), share));
  }
  return out;
}

Result<std::string> node_vmstat(const MachineEntry& entry, unsigned number,
                                const ContainerView& container) {
  const std::string host = TRY(host_text(entry, number, container));
  const MemoryFigures figures = TRY(read_memory_figures(container));
  const double share = share_of(number, container);
  std::string out;
  std::string_view rest = host;
  while (!rest.empty()) {
    std::string_view line = next_line(rest);
    const std::string_view name = next_field(line);
    out += join(name, " ", part(vmstat_value(name, figures), share), "\n");
  }
  return out;
}

// Where memory came from is not counted per cgroup.
Result<std::string> node_counters(const MachineEntry& entry, unsigned number,
                                  const ContainerView& container) {
  const std::string host = TRY(host_text(entry, number, container));
  std::string out;
  std::string_view rest = host;
  while (!rest.empty()) {
    std::string_view line = next_line(rest);
    out += join(next_field(line), " 0\n");
  }
  return out;
}

Result<std::string> node_distance(const MachineEntry& entry, unsigned number,
                                  const ContainerView& container) {
  const std::string host = TRY(host_text(entry, number, container));
  const auto online = container.host_sys(join(kNodeDirectory, "online"));
  if (!online.ok()) return host;
  const std::vector<unsigned> nodes = container.memory_nodes();
  std::string out;
  std::string_view rest = host;
  for (const unsigned node : parse_cpu_list(online.value())) {
    const std::string_view distance = next_field(rest);
    if (!std::binary_search(nodes.begin(), nodes.end(), node)) continue;
    out += join(out.empty() ? "" : " ", distance);
  }
  return out + "\n";
}

Result<std::string> link_to_node(const MachineEntry& entry, unsigned /*number*/,
                                 const ContainerView& /*container*/) {
  return join("../../node/node", entry.other);
}

Result<std::string> link_to_cpu(const MachineEntry& entry, unsigned /*number*/,
                                const ContainerView& /*container*/) {
  return join("../../cpu/cpu", entry.other);
}

struct KnownFile {
  std::string_view name;
  MachineReader read;
};

// Of /sys/devices/system/cpu itself; what is not here is the host's own business.
constexpr std::array kCpusFiles = {
    KnownFile{"enabled", all_cpus},     KnownFile{"isolated", nothing},
    KnownFile{"kernel_max", host_text}, KnownFile{"modalias", host_text},
    KnownFile{"nohz_full", nothing},    KnownFile{"offline", nothing},
    KnownFile{"online", all_cpus},      KnownFile{"possible", all_cpus},
    KnownFile{"present", all_cpus},     KnownFile{"uevent", host_text},
};
constexpr std::array<std::string_view, 2> kCpusDirectories = {"smt", "vulnerabilities"};
constexpr std::array<std::string_view, 2> kCpuDirectories = {"cache", "topology"};
constexpr std::array<std::string_view, 2> kCpuFiles = {"cpu_capacity", "uevent"};

constexpr std::array kNodesFiles = {
    KnownFile{"has_cpu", all_nodes},           KnownFile{"has_generic_initiator", nothing},
    KnownFile{"has_high_memory", all_nodes},   KnownFile{"has_memory", all_nodes},
    KnownFile{"has_normal_memory", all_nodes}, KnownFile{"online", all_nodes},
    KnownFile{"possible", all_nodes},          KnownFile{"uevent", host_text},
};
constexpr std::array kNodeFiles = {
    KnownFile{"cpulist", cpu_list},       KnownFile{"cpumap", cpu_mask},
    KnownFile{"distance", node_distance}, KnownFile{"meminfo", node_meminfo},
    KnownFile{"numastat", node_counters}, KnownFile{"uevent", host_text},
    KnownFile{"vmstat", node_vmstat},
};

template <typename Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class Scan {
 public:
  explicit Scan(const RootDir& sys) : sys_(sys) {}

  MachineTree run() {
    const auto present = sys_.read_file(join(kCpuDirectory, "present"));
    if (present.ok()) tree_.cpus = static_cast<unsigned>(parse_cpu_list(present.value()).size());
    const auto online = sys_.read_file(join(kNodeDirectory, "online"));
    if (online.ok()) tree_.nodes = parse_cpu_list(online.value());
    add_known(MachinePlace::kCpus, std::string(kCpuDirectory), kCpusFiles);
    for (const std::string_view name : kCpusDirectories) {
      add_directory(MachinePlace::kCpus, std::string(kCpuDirectory), std::string(name));
    }
    add_cpu();
    add_known(MachinePlace::kNodes, std::string(kNodeDirectory), kNodesFiles);
    if (!tree_.nodes.empty()) {
      const std::string first = join(kNodeDirectory, "node", tree_.nodes.front(), "/");
      add_known(MachinePlace::kNode, first, kNodeFiles);
    }
    if (tree_.cpus * tree_.nodes.size() <= kMaxPairs) add_pairs();
    return std::move(tree_);
  }

 private:
  void add(MachineEntry entry) {
    tree_.entries[static_cast<std::size_t>(entry.place)].push_back(std::move(entry));
  }

  template <typename Known>
  void add_known(MachinePlace place, const std::string& directory, const Known& known) {
    for (const Found& found : list(sys_, directory)) {
      const auto file = std::find_if(known.begin(), known.end(), [&found](const KnownFile& row) {
        return row.name == found.name;
      });
      if (file != known.end()) add({place, found.name, found.mode, file->read});
    }
  }

  // With all that is in it.
  void add_directory(MachinePlace place, const std::string& above, const std::string& path) {
    const std::vector<Found> contents = list(sys_, above + path);
    if (contents.empty()) return;
    add({place, path, S_IFDIR | 0755});
    for (const Found& found : contents) {
      const std::string below = path + "/" + found.name;
      if (S_ISDIR(found.mode)) {
        if (found.name != "power") add_directory(place, above, below);
        continue;
      }
      const bool has_list_beside = std::any_of(
          contents.begin(), contents.end(),
          [&found](const Found& other) { return other.name == list_beside(found.name); });
      const bool is_list = found.name.ends_with("_list");
      add({place, below, found.mode, is_list ? cpu_list : has_list_beside ? cpu_mask : host_text});
    }
  }

  // All cpus have what the first has; it may lack the file that turns it off.
  void add_cpu() {
    const std::string first = join(kCpuDirectory, "cpu0/");
    for (const Found& found : list(sys_, first)) {
      if (contains(kCpuDirectories, found.name)) {
        add_directory(MachinePlace::kCpu, first, found.name);
      } else if (contains(kCpuFiles, found.name)) {
        add({MachinePlace::kCpu, found.name, found.mode, host_text});
      }
    }
    if (sys_.exists(join(kCpuDirectory, "cpu1/online")).value_or(false)) {
      add({MachinePlace::kCpu, "online", S_IFREG | 0444, one});
    }
  }

  void add_pairs() {
    for (const unsigned node : tree_.nodes) {
      add({MachinePlace::kCpu, join("node", node), S_IFLNK | 0777, link_to_node, node});
    }
    for (unsigned cpu = 0; cpu < tree_.cpus; ++cpu) {
      add({MachinePlace::kNode, join("cpu", cpu), S_IFLNK | 0777, link_to_cpu, cpu});
    }
  }

  const RootDir& sys_;
  MachineTree tree_;
};

bool is_cpu_in_node(unsigned cpu, unsigned node, const ContainerView& container) {
  const auto cpus = container.host_sys(join(kNodeDirectory, "node", node, "/cpulist"));
  if (!cpus.ok()) return false;
  const std::vector<unsigned> own = renumbered(cpus.value(), container.cpus().host_cpus);
  return std::binary_search(own.begin(), own.end(), cpu);
}

}  // namespace

MachineTree scan_machine(const RootDir& host_sys) { return Scan(host_sys).run(); }

bool has_place(MachinePlace place, unsigned number, const ContainerView& container) {
  if (place == MachinePlace::kCpu) return number < container.cpus().host_cpus.size();
  if (place != MachinePlace::kNode) return true;
  const std::vector<unsigned> nodes = container.memory_nodes();
  return std::binary_search(nodes.begin(), nodes.end(), number);
}

bool has_entry(const MachineEntry& entry, unsigned number, const ContainerView& container) {
  if (entry.read == link_to_node) {
    return has_place(MachinePlace::kNode, entry.other, container) &&
           is_cpu_in_node(number, entry.other, container);
  }
  if (entry.read == link_to_cpu) return is_cpu_in_node(entry.other, number, container);
  return true;
}

}  // namespace sysbox::fs
