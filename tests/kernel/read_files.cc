// Reads every regular file below directories to its end, and prints what came of it:
//
//   PATH \t RESULT \t BYTES \t DIGEST
//
// RESULT is "ok", "long" (cut at the limit), "slow" (no end within the time) or the name of an
// errno, with "open:" before it if it is open's. Names that hold a number of a process are left
// out except for self and 1. With "-" the paths come from stdin, one a line.
//
//   --find FILE   prints, too, which file holds which line of FILE: PATH \t holds \t LINE
//   --seconds N   begins again and again for so long, and prints nothing
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kMaxBytes = 4U << 20U;
constexpr int kMaxSeconds = 3;

volatile std::sig_atomic_t is_late = 0;
void on_alarm(int /*signal*/) { is_late = 1; }

// Again and again, should the first signal come just before the system call.
void set_timer(int seconds) {
  is_late = 0;
  itimerval timer{};
  timer.it_value.tv_sec = seconds;
  timer.it_interval.tv_usec = seconds == 0 ? 0 : 100'000;
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

std::vector<std::string> wanted_strings;
bool is_silent = false;

struct Outcome {
  std::string result;
  std::size_t bytes = 0;
  std::uint64_t digest = 0xcbf29ce484222325;  // FNV-1a
};

std::string errno_name(int code) {
  const char* const name = ::strerrorname_np(code);
  return name != nullptr ? name : std::to_string(code);
}

void look_for_strings(const std::string& path, std::string_view text) {
  for (const std::string& wanted : wanted_strings) {
    if (text.find(wanted) == std::string_view::npos) continue;
    std::printf("%s\tholds\t%s\n", path.c_str(), wanted.c_str());
  }
}

void read_to_end(const std::string& path, int file_fd, Outcome& out) {
  static std::array<char, 65536> buffer;
  std::string text;
  while (out.bytes < kMaxBytes) {
    const ssize_t count = ::read(file_fd, buffer.data(), buffer.size());
    if (count == 0) {
      out.result = "ok";
      look_for_strings(path, text);
      return;
    }
    if (count < 0) {
      out.result = is_late != 0 ? "slow" : errno_name(errno);
      return;
    }
    for (ssize_t i = 0; i < count; ++i) {
      out.digest ^= static_cast<unsigned char>(buffer[static_cast<std::size_t>(i)]);
      out.digest *= 0x100000001b3;
    }
    out.bytes += static_cast<std::size_t>(count);
    if (!wanted_strings.empty()) text.append(buffer.data(), static_cast<std::size_t>(count));
    if (is_late != 0) break;
  }
  out.result = is_late != 0 ? "slow" : "long";
}

void report(const std::string& path) {
  Outcome out;
  set_timer(kMaxSeconds);
  const int file_fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (file_fd < 0) {
    out.result = is_late != 0 ? "slow" : "open:" + errno_name(errno);
  } else {
    read_to_end(path, file_fd, out);
    ::close(file_fd);
  }
  set_timer(0);
  if (is_silent) return;
  std::printf("%s\t%s\t%zu\t%016llx\n", path.c_str(), out.result.c_str(), out.bytes,
              static_cast<unsigned long long>(out.digest));
}

bool is_number(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_left_out(const std::string& directory, const std::string& name) {
  if (directory == "/proc") return is_number(name) && name != "1";
  // Threads have what their process has; the rest are descriptors.
  return (directory == "/proc/1" || directory == "/proc/self") &&
         (name == "task" || name == "fd" || name == "fdinfo" || name == "map_files");
}

void walk(const std::string& directory) {
  struct stat what {};
  if (::lstat(directory.c_str(), &what) == 0 && !S_ISDIR(what.st_mode)) return report(directory);
  DIR* const handle = ::opendir(directory.c_str());
  if (handle == nullptr) {
    if (!is_silent)
      std::printf("%s/\topen:%s\t0\t0\n", directory.c_str(), errno_name(errno).c_str());
    return;
  }
  std::vector<std::string> files;
  std::vector<std::string> directories;
  while (const dirent* const entry = ::readdir(handle)) {
    const std::string name = entry->d_name;
    if (name == "." || name == ".." || is_left_out(directory, name)) continue;
    std::string path = directory + "/" + name;
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) continue;
    if (S_ISDIR(status.st_mode))
      directories.push_back(std::move(path));
    else if (S_ISREG(status.st_mode))
      files.push_back(std::move(path));
  }
  ::closedir(handle);
  std::sort(files.begin(), files.end());
  std::sort(directories.begin(), directories.end());
  for (const std::string& file : files) report(file);
  for (const std::string& below : directories) walk(below);
}

void read_all(const std::vector<std::string>& places) {
  for (const std::string& place : places) {
    walk(place);
    if (place == "/proc") walk("/proc/self");
  }
}

}  // namespace

int main(int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = on_alarm;  // without SA_RESTART: a read that waits ends with EINTR
  ::sigaction(SIGALRM, &action, nullptr);
  std::vector<std::string> places;
  std::time_t end = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "-") {
      for (std::string path; std::getline(std::cin, path);) places.push_back(path);
    } else if (argument == "--find" && i + 1 < argc) {
      std::ifstream lines(argv[++i]);
      for (std::string line; std::getline(lines, line);) wanted_strings.push_back(line);
    } else if (argument == "--seconds" && i + 1 < argc) {
      end = std::time(nullptr) + std::atoi(argv[++i]);
      is_silent = true;
    } else {
      places.emplace_back(argument);
    }
  }
  do {
    read_all(places);
  } while (std::time(nullptr) < end);
  return 0;
}
