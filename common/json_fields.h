#pragma once

// JsonFields: a JSON object's members into typed fields. The first mistake is kept and named
// by its path ("process.user.uid: expected a number between 0 and 4294967295, found a string").
// Unknown members are ignored, as the OCI specification wants it.

#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/result.h"

namespace sysbox {

// Parses JSON text without throwing; EINVAL names line and column of a mistake.
Result<nlohmann::json> parse_json(std::string_view text);

class JsonFields {
 public:
  // `path` names the object in errors ("process.user"; "" for the document). If `object` is
  // not a JSON object that is the first mistake. `object` must outlive this.
  JsonFields(const nlohmann::json& object, std::string path);

  // Fill `field` from member `name`. An absent member or null leaves it as it is.
  template <typename T>
  void optional(std::string_view name, T& field) {
    if (const nlohmann::json* member = find(name)) read(*member, path_of(name), field);
  }
  // The same, but absence is a mistake.
  template <typename T>
  void required(std::string_view name, T& field) {
    if (const nlohmann::json* member = find(name)) {
      read(*member, path_of(name), field);
    } else {
      fail(path_of(name), "is missing");
    }
  }

  // For members that are objects or arrays of objects: calls parse(const json&, path), a
  // function that returns Result<T>, for each.
  template <typename T, typename Parse>
  void optional_object(std::string_view name, T& field, Parse parse) {
    const nlohmann::json* member = find(name);
    if (member == nullptr || failed()) return;
    auto parsed = parse(*member, path_of(name));
    if (parsed.ok()) {
      field = std::move(parsed).value();
    } else {
      error_ = std::move(parsed).error();
    }
  }
  template <typename T, typename Parse>
  void required_object(std::string_view name, T& field, Parse parse) {
    if (find(name) == nullptr) return fail(path_of(name), "is missing");
    optional_object(name, field, parse);
  }
  template <typename T, typename Parse>
  void optional_array(std::string_view name, std::vector<T>& field, Parse parse) {
    const nlohmann::json* member = find(name);
    if (member == nullptr || failed()) return;
    if (!member->is_array()) return fail_type(path_of(name), "an array", *member);
    for (std::size_t i = 0; i < member->size(); ++i) {
      auto parsed = parse((*member)[i], join(path_of(name), "[", i, "]"));
      if (!parsed.ok()) {
        error_ = std::move(parsed).error();
        return;
      }
      field.push_back(std::move(parsed).value());
    }
  }

  // The member, or null if it is absent or null.
  const nlohmann::json* find(std::string_view name) const;
  std::string path_of(std::string_view name) const;

  // Records a mistake of the caller's own finding; only the first is kept. Code EINVAL.
  void fail(const std::string& path, const std::string& what);
  bool failed() const { return error_.has_value(); }

  // The first mistake, if there was one.
  Result<void> finish() && {
    if (error_) return *std::move(error_);
    return {};
  }

 private:
  void fail_type(const std::string& path, const std::string& expected, const nlohmann::json& found);
  void read(const nlohmann::json& value, const std::string& path, std::string& field);
  void read(const nlohmann::json& value, const std::string& path, bool& field);
  void read(const nlohmann::json& value, const std::string& path, double& field);
  bool read_integer(const nlohmann::json& value, const std::string& path, std::int64_t min,
                    std::uint64_t max, std::int64_t& negative, std::uint64_t& positive);

  template <typename T>
  requires std::is_integral_v<T>
  void read(const nlohmann::json& value, const std::string& path, T& field) {
    std::int64_t negative = 0;
    std::uint64_t positive = 0;
    if (read_integer(value, path, std::int64_t{std::numeric_limits<T>::min()},
                     std::uint64_t{std::numeric_limits<T>::max()}, negative, positive)) {
      field = negative < 0 ? static_cast<T>(negative) : static_cast<T>(positive);
    }
  }
  template <typename T>
  void read(const nlohmann::json& value, const std::string& path, std::optional<T>& field) {
    T inner{};
    read(value, path, inner);
    if (!failed()) field = std::move(inner);
  }
  template <typename T>
  void read(const nlohmann::json& value, const std::string& path, std::vector<T>& field) {
    if (!value.is_array()) return fail_type(path, "an array", value);
    field.clear();
    for (std::size_t i = 0; i < value.size() && !failed(); ++i) {
      T element{};
      read(value[i], join(path, "[", i, "]"), element);
      field.push_back(std::move(element));
    }
  }
  template <typename T>
  void read(const nlohmann::json& value, const std::string& path, std::map<std::string, T>& field) {
    if (!value.is_object()) return fail_type(path, "an object", value);
    field.clear();
    for (const auto& [key, member] : value.items()) {
      if (failed()) return;
      read(member, join(path, ".", key), field[key]);
    }
  }

  const nlohmann::json& object_;
  std::string path_;
  std::optional<Error> error_;
};

}  // namespace sysbox
