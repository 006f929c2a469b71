#include "fs-emulator/container_record.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "common/json_fields.h"
#include "fs-emulator/api_json.h"

namespace sysbox::fs {
namespace {

constexpr std::size_t kMaxGreetingBytes = 4096;

std::string hex_of(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    text += kDigits[value >> 4U];
    text += kDigits[value & 15U];
  }
  return text;
}

Result<std::string> bytes_of(std::string_view hex) {
  if (hex.size() % 2 != 0 || hex.size() > 2 * kMaxGreetingBytes) {
    return Error(EINVAL, "greeting.request: has a wrong length");
  }
  std::string bytes;
  for (std::size_t at = 0; at < hex.size(); at += 2) {
    unsigned value = 0;
    const char* const end = hex.data() + at + 2;
    const auto [rest, error] = std::from_chars(hex.data() + at, end, value, 16);
    if (error != std::errc() || rest != end) return Error(EINVAL, "greeting.request: is no hex");
    bytes += static_cast<char>(value);
  }
  return bytes;
}

Result<SavedSysctl> parse_setting(const nlohmann::json& json, const std::string& path) {
  SavedSysctl setting;
  JsonFields fields(json, path);
  fields.required("path", setting.path);
  fields.required("value", setting.value);
  TRY(std::move(fields).finish());
  return setting;
}

}  // namespace

std::string record_text(const ContainerRecord& record) {
  const nlohmann::json json = {{"request", to_json(record.request)},
                               {"greeting", hex_of(record.greeting.request)},
                               {"capabilities", record.greeting.capabilities},
                               {"numbering", record.numbering},
                               {"start_boot_ns", record.start_boot_ns},
                               {"boottime_offset_ns", record.boottime_offset_ns},
                               {"init_pid", record.init_pid},
                               {"init_cgroups", record.init_cgroups}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<ContainerRecord> parse_record(const std::string& text) {
  const nlohmann::json json = TRY(parse_json(text));
  ContainerRecord record;
  std::string greeting;
  JsonFields fields(json, "");
  fields.required("greeting", greeting);
  fields.required("capabilities", record.greeting.capabilities);
  fields.required("numbering", record.numbering);
  fields.required("start_boot_ns", record.start_boot_ns);
  fields.required("boottime_offset_ns", record.boottime_offset_ns);
  fields.required("init_pid", record.init_pid);
  fields.required("init_cgroups", record.init_cgroups);
  const nlohmann::json* const request = fields.find("request");
  TRY(std::move(fields).finish());
  if (request == nullptr) return Error(EINVAL, "request: is missing");
  record.request = TRY(parse_register_request(*request));
  record.greeting.request = TRY(bytes_of(greeting));
  return record;
}

std::string settings_text(const std::vector<SavedSysctl>& settings) {
  nlohmann::json array = nlohmann::json::array();
  for (const SavedSysctl& setting : settings) {
    array.push_back({{"path", setting.path}, {"value", setting.value}});
  }
  return nlohmann::json{{"settings", std::move(array)}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<std::vector<SavedSysctl>> parse_settings(const std::string& text) {
  std::vector<SavedSysctl> settings;
  if (text.empty()) return settings;
  const nlohmann::json json = TRY(parse_json(text));
  JsonFields fields(json, "");
  fields.optional_array("settings", settings, parse_setting);
  TRY(std::move(fields).finish());
  return settings;
}

}  // namespace sysbox::fs
