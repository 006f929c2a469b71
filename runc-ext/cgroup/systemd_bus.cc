#include "runc-ext/cgroup/systemd_bus.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>

#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

constexpr const char* kLibrary = "libsystemd.so.0";
constexpr const char* kBooted = "/run/systemd/system";
// Where systemd listens itself: one hop less, and there without a bus daemon. For root only.
constexpr const char* kPrivateAddress = "unix:path=/run/systemd/private";
constexpr const char* kService = "org.freedesktop.systemd1";
constexpr const char* kObject = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr std::chrono::seconds kJobTimeout{30};
constexpr std::uint64_t kCallTimeout = 25'000'000;  // microseconds

// The functions of libsystemd, by their own names and types.
struct Library {
#define SYSBOX_SD_BUS(name) decltype(&::name) name = nullptr
  SYSBOX_SD_BUS(sd_bus_new);
  SYSBOX_SD_BUS(sd_bus_set_address);
  SYSBOX_SD_BUS(sd_bus_start);
  SYSBOX_SD_BUS(sd_bus_open_system);
  SYSBOX_SD_BUS(sd_bus_flush_close_unref);
  SYSBOX_SD_BUS(sd_bus_get_property_string);
  SYSBOX_SD_BUS(sd_bus_message_new_method_call);
  SYSBOX_SD_BUS(sd_bus_message_append_basic);
  SYSBOX_SD_BUS(sd_bus_message_open_container);
  SYSBOX_SD_BUS(sd_bus_message_close_container);
  SYSBOX_SD_BUS(sd_bus_message_read_basic);
  SYSBOX_SD_BUS(sd_bus_message_unref);
  SYSBOX_SD_BUS(sd_bus_call);
  SYSBOX_SD_BUS(sd_bus_error_free);
  SYSBOX_SD_BUS(sd_bus_match_signal);
  SYSBOX_SD_BUS(sd_bus_process);
  SYSBOX_SD_BUS(sd_bus_wait);
#undef SYSBOX_SD_BUS
};

template <typename Function>
bool load(void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(handle, name));
  return function != nullptr;
}

Result<Library> load_library() {
  // Kept for the life of the process.
  void* handle = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = ::dlerror();
    return Error(ENOTSUP, join("the systemd cgroup driver needs ", kLibrary, ": ",
                               why != nullptr ? why : "it cannot be loaded"));
  }
  Library out;
#define SYSBOX_SD_BUS(name) load(handle, #name, out.name)
  const bool complete =
      SYSBOX_SD_BUS(sd_bus_new) && SYSBOX_SD_BUS(sd_bus_set_address) &&
      SYSBOX_SD_BUS(sd_bus_start) && SYSBOX_SD_BUS(sd_bus_open_system) &&
      SYSBOX_SD_BUS(sd_bus_flush_close_unref) && SYSBOX_SD_BUS(sd_bus_get_property_string) &&
      SYSBOX_SD_BUS(sd_bus_message_new_method_call) && SYSBOX_SD_BUS(sd_bus_message_append_basic) &&
      SYSBOX_SD_BUS(sd_bus_message_open_container) &&
      SYSBOX_SD_BUS(sd_bus_message_close_container) && SYSBOX_SD_BUS(sd_bus_message_read_basic) &&
      SYSBOX_SD_BUS(sd_bus_message_unref) && SYSBOX_SD_BUS(sd_bus_call) &&
      SYSBOX_SD_BUS(sd_bus_error_free) && SYSBOX_SD_BUS(sd_bus_match_signal) &&
      SYSBOX_SD_BUS(sd_bus_process) && SYSBOX_SD_BUS(sd_bus_wait);
#undef SYSBOX_SD_BUS
  if (!complete) return Error(ENOTSUP, join(kLibrary, " lacks a function of sd-bus"));
  return out;
}

// The jobs that have ended, by path: "done", "failed", "timeout" …
struct Jobs {
  const Library* library = nullptr;
  std::map<std::string, std::string> ended;
};

// JobRemoved has "uoss": a number, the job's path, the unit's name, the result.
int on_job_removed(sd_bus_message* message, void* userdata, sd_bus_error* /*failure*/) noexcept {
  auto& jobs = *static_cast<Jobs*>(userdata);
  std::uint32_t number = 0;
  const char* path = nullptr;
  const char* unit = nullptr;
  const char* result = nullptr;
  const auto read = [&jobs, message](char type, void* value) {
    return jobs.library->sd_bus_message_read_basic(message, type, value) > 0;
  };
  if (read('u', &number) && read('o', static_cast<void*>(&path)) &&
      read('s', static_cast<void*>(&unit)) && read('s', static_cast<void*>(&result))) {
    jobs.ended[path] = result;
  }
  return 0;
}

// A method call under construction; the first refusal is kept until it is sent.
class Call {
 public:
  Call(const Library& library, sd_bus* bus, const char* method) : library_(library), bus_(bus) {
    keep(library_.sd_bus_message_new_method_call(bus, &message_, kService, kObject, kManager,
                                                 method));
  }
  ~Call() {
    if (message_ != nullptr) library_.sd_bus_message_unref(message_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  void text(const std::string& value) { basic('s', value.c_str()); }
  void flag(bool value) {
    const int number = value ? 1 : 0;
    basic('b', &number);
  }
  void properties(const std::vector<UnitProperty>& all) {
    open('a', "(sv)");
    for (const UnitProperty& each : all) {
      open('r', "sv");
      text(each.name);
      open('v', each.signature.c_str());
      values(each);
      close();
      close();
    }
    close();
  }
  void no_auxiliary_units() {
    open('a', "(sa(sv))");
    close();
  }

  enum class Reply { kEmpty, kJob };
  // Returns the path of the job that was begun, or "".
  Result<std::string> send(Reply expected) {
    if (code_ < 0) return errno_error(-code_, "message to systemd");
    sd_bus_error failure = {};
    sd_bus_message* reply = nullptr;
    const int sent = library_.sd_bus_call(bus_, message_, kCallTimeout, &failure, &reply);
    if (sent < 0) {
      const Error error = explain(failure, -sent);
      library_.sd_bus_error_free(&failure);
      return error;
    }
    const char* path = nullptr;
    if (expected == Reply::kJob) {
      library_.sd_bus_message_read_basic(reply, 'o', static_cast<void*>(&path));
    }
    std::string out = path != nullptr ? path : "";
    library_.sd_bus_message_unref(reply);
    if (expected == Reply::kJob && out.empty())
      return Error(EPROTO, "systemd's answer names no job");
    return out;
  }

 private:
  static Error explain(const sd_bus_error& failure, int code) {
    if (failure.name == nullptr) return errno_error(code, "call systemd");
    const std::string_view name = failure.name;
    if (name.ends_with(".UnitExists")) code = EEXIST;
    if (name.ends_with(".NoSuchUnit")) code = ENOENT;
    return {code, join("systemd says: ", failure.message != nullptr ? failure.message : name)};
  }
  void keep(int code) {
    if (code < 0 && code_ >= 0) code_ = code;
  }
  void basic(char type, const void* value) {
    if (code_ >= 0) keep(library_.sd_bus_message_append_basic(message_, type, value));
  }
  void open(char type, const char* contents) {
    if (code_ >= 0) keep(library_.sd_bus_message_open_container(message_, type, contents));
  }
  void close() {
    if (code_ >= 0) keep(library_.sd_bus_message_close_container(message_));
  }
  void values(const UnitProperty& property) {
    if (property.signature == "a(ss)") {
      open('a', "(ss)");
      for (std::size_t i = 0; i + 1 < property.values.size(); i += 2) {
        open('r', "ss");
        scalar('s', property.values[i]);
        scalar('s', property.values[i + 1]);
        close();
      }
      close();
      return;
    }
    const bool array = property.signature.starts_with('a');
    const char type = property.signature.back();
    if (array) open('a', std::string(1, type).c_str());
    for (const UnitScalar& each : property.values) scalar(type, each);
    if (array) close();
  }
  void scalar(char type, const UnitScalar& value);

  const Library& library_;
  sd_bus* bus_;
  sd_bus_message* message_ = nullptr;
  int code_ = 0;
};

template <typename Number>
Number number_of(const UnitScalar& value) {
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return static_cast<Number>(*number);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return static_cast<Number>(*number);
  return Number{};
}

void Call::scalar(char type, const UnitScalar& value) {
  const auto append = [this, type](auto number) { basic(type, &number); };
  switch (type) {
    case 's':
      if (const auto* string = std::get_if<std::string>(&value)) text(*string);
      return;
    case 'b':
      if (const auto* boolean = std::get_if<bool>(&value)) flag(*boolean);
      return;
    case 'd':
      if (const auto* real = std::get_if<double>(&value)) append(*real);
      return;
    case 'y':
      return append(number_of<std::uint8_t>(value));
    case 'n':
      return append(number_of<std::int16_t>(value));
    case 'q':
      return append(number_of<std::uint16_t>(value));
    case 'i':
      return append(number_of<std::int32_t>(value));
    case 'u':
      return append(number_of<std::uint32_t>(value));
    case 'x':
      return append(number_of<std::int64_t>(value));
    case 't':
      return append(number_of<std::uint64_t>(value));
    default:
      keep(-EINVAL);
  }
}

}  // namespace

struct SystemdBus::Connection {
  Library library;
  sd_bus* bus = nullptr;
  Jobs jobs;

  Connection() = default;
  ~Connection() {
    if (bus != nullptr) library.sd_bus_flush_close_unref(bus);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Result<void> open() {
    library = TRY(load_library());
    jobs.library = &library;
    TRY(open_bus());
    // Before any job is asked for, so that its end cannot be missed.
    const int code = library.sd_bus_match_signal(bus, nullptr, nullptr, kObject, kManager,
                                                 "JobRemoved", on_job_removed, &jobs);
    if (code < 0) return errno_error(-code, "listen to systemd's jobs");
    // Without it systemd sends no signals over a bus daemon.
    Call subscribe(library, bus, "Subscribe");
    TRY(subscribe.send(Call::Reply::kEmpty));
    return {};
  }

  Result<void> open_bus() {
    if (library.sd_bus_new(&bus) >= 0 && library.sd_bus_set_address(bus, kPrivateAddress) >= 0 &&
        library.sd_bus_start(bus) >= 0) {
      return {};
    }
    if (bus != nullptr) library.sd_bus_flush_close_unref(bus);
    bus = nullptr;
    const int code = library.sd_bus_open_system(&bus);
    if (code < 0) return errno_error(-code, "connect to systemd by the system bus");
    return {};
  }

  // The job's result.
  Result<std::string> wait_for_job(const std::string& job) {
    const Deadline deadline = after(kJobTimeout);
    for (;;) {
      const auto found = jobs.ended.find(job);
      if (found != jobs.ended.end()) return found->second;
      const int worked = library.sd_bus_process(bus, nullptr);
      if (worked < 0) return errno_error(-worked, "wait for systemd");
      if (worked > 0) continue;
      const int left = milliseconds_until(deadline);
      if (left == 0) return Error(ETIMEDOUT, "systemd does not finish its job in time");
      const int waited = library.sd_bus_wait(bus, static_cast<std::uint64_t>(left) * 1000);
      if (waited < 0 && waited != -EINTR) return errno_error(-waited, "wait for systemd");
    }
  }
};

SystemdBus::SystemdBus(std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)) {}
SystemdBus::~SystemdBus() = default;
SystemdBus::SystemdBus(SystemdBus&&) noexcept = default;
SystemdBus& SystemdBus::operator=(SystemdBus&&) noexcept = default;

Result<SystemdBus> SystemdBus::connect() {
  const Result<struct stat> booted = sys::fstatat(AT_FDCWD, kBooted, AT_SYMLINK_NOFOLLOW);
  if (!booted || !S_ISDIR(booted.value().st_mode)) {
    return Error(ENOTSUP, join("systemd does not run on this host (there is no ", kBooted,
                               "): give the engine the cgroupfs driver"));
  }
  auto connection = std::make_unique<Connection>();
  TRY(connection->open());
  return SystemdBus(std::move(connection));
}

Result<int> SystemdBus::version() {
  char* text = nullptr;
  const int code = connection_->library.sd_bus_get_property_string(
      connection_->bus, kService, kObject, kManager, "Version", nullptr, &text);
  if (code < 0) return errno_error(-code, "ask systemd for its version");
  const std::unique_ptr<char, decltype(&::free)> owned(text, ::free);
  std::string_view digits = text;
  digits.remove_prefix(std::min(digits.find_first_of("0123456789"), digits.size()));
  int number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

Result<void> SystemdBus::start_scope(const std::string& unit,
                                     const std::vector<UnitProperty>& properties) {
  Call call(connection_->library, connection_->bus, "StartTransientUnit");
  call.text(unit);
  call.text("replace");
  call.properties(properties);
  call.no_auxiliary_units();
  const std::string what = join("start systemd unit '", unit, "'");
  const std::string job = TRY(call.send(Call::Reply::kJob).in(what));
  const std::string result = TRY(connection_->wait_for_job(job).in(what));
  if (result == "done") return {};
  return Error(EIO, join(what, ": its job ended as '", result, "'"));
}

Result<void> SystemdBus::set_properties(const std::string& unit,
                                        const std::vector<UnitProperty>& properties) {
  if (properties.empty()) return {};
  Call call(connection_->library, connection_->bus, "SetUnitProperties");
  call.text(unit);
  call.flag(true);
  call.properties(properties);
  TRY(call.send(Call::Reply::kEmpty).in(join("set properties of systemd unit '", unit, "'")));
  return {};
}

Result<void> SystemdBus::stop(const std::string& unit) {
  Call call(connection_->library, connection_->bus, "StopUnit");
  call.text(unit);
  call.text("replace");
  const std::string what = join("stop systemd unit '", unit, "'");
  Result<std::string> job = call.send(Call::Reply::kJob).in(what);
  if (job) {
    const std::string result = TRY(connection_->wait_for_job(job.value()).in(what));
    if (result != "done") log::warning(what, ": its job ended as '", result, "', going on");
  } else if (job.error().code() != ENOENT) {
    return std::move(job).error();
  }
  return forget_failed(unit);
}

Result<void> SystemdBus::forget_failed(const std::string& unit) {
  Call call(connection_->library, connection_->bus, "ResetFailedUnit");
  call.text(unit);
  // Refused if the unit is gone, as it usually is.
  (void)call.send(Call::Reply::kEmpty).ok();
  return {};
}

}  // namespace sysbox::runc
