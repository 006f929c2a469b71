#include "common/json_fields.h"

#include <algorithm>

namespace sysbox {
namespace {

// Nested deeper than any real configuration; the parser recurses once per level.
constexpr int kMaxDepth = 64;

bool same_but_for_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&lower](char x, char y) { return lower(x) == lower(y); });
}

std::string found(const nlohmann::json& value) {
  switch (value.type()) {
    case nlohmann::json::value_t::null:
      return "null";
    case nlohmann::json::value_t::object:
      return "an object";
    case nlohmann::json::value_t::array:
      return "an array";
    case nlohmann::json::value_t::string:
      return "a string";
    case nlohmann::json::value_t::boolean:
      return "a boolean";
    case nlohmann::json::value_t::number_integer:
    case nlohmann::json::value_t::number_unsigned:
    case nlohmann::json::value_t::number_float:
      return "the number " + value.dump();
    case nlohmann::json::value_t::binary:
    case nlohmann::json::value_t::discarded:
      break;
  }
  return "something else";
}

// Line and column, from 1, of a byte offset.
std::string position(std::string_view text, std::size_t offset) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (std::size_t i = 0; i < text.size() && i < offset; ++i) {
    column = text[i] == '\n' ? 1 : column + 1;
    line += text[i] == '\n' ? 1 : 0;
  }
  return join("line ", line, ", column ", column);
}

// Takes the parser's events only to learn where the first mistake is.
class MistakeFinder : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return ++depth_ <= kMaxDepth; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return --depth_ >= 0; }
  bool start_array(std::size_t) override { return ++depth_ <= kMaxDepth; }
  bool end_array() override { return --depth_ >= 0; }
  bool parse_error(std::size_t offset, const std::string&,
                   const nlohmann::json::exception&) override {
    offset_ = offset;
    return false;
  }

  bool too_deep() const { return depth_ > kMaxDepth; }
  std::size_t offset() const { return offset_; }

 private:
  int depth_ = 0;
  std::size_t offset_ = 0;
};

}  // namespace

Result<nlohmann::json> parse_json(std::string_view text) {
  MistakeFinder finder;
  if (!nlohmann::json::sax_parse(text, &finder)) {
    if (finder.too_deep()) return Error(EINVAL, join("JSON nested deeper than ", kMaxDepth));
    return Error(EINVAL, join("not valid JSON at ", position(text, finder.offset())));
  }
  nlohmann::json parsed = nlohmann::json::parse(text, nullptr, false);
  if (parsed.is_discarded()) return Error(EINVAL, "not valid JSON");
  return parsed;
}

JsonFields::JsonFields(const nlohmann::json& object, std::string path)
    : object_(object), path_(std::move(path)) {
  if (!object_.is_object()) fail_type(path_.empty() ? "document" : path_, "an object", object_);
}

const nlohmann::json* JsonFields::find(std::string_view name) const {
  if (!object_.is_object()) return nullptr;
  auto member = object_.find(name);
  // Engines and runc are written in Go, whose decoder takes "pagesize" for "pageSize" too.
  for (auto other = object_.begin(); member == object_.end() && other != object_.end(); ++other) {
    if (same_but_for_case(other.key(), name)) member = other;
  }
  return member == object_.end() || member->is_null() ? nullptr : &*member;
}

std::string JsonFields::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : join(path_, ".", name);
}

void JsonFields::fail(const std::string& path, const std::string& what) {
  if (!error_) error_ = Error(EINVAL, join(path, ": ", what));
}

void JsonFields::fail_type(const std::string& path, const std::string& expected,
                           const nlohmann::json& value) {
  fail(path, join("expected ", expected, ", found ", found(value)));
}

void JsonFields::read(const nlohmann::json& value, const std::string& path, std::string& field) {
  if (!value.is_string()) return fail_type(path, "a string", value);
  field = value.get<std::string>();
  // Everything that becomes a path, an argument or a name ends at a NUL byte for the kernel.
  if (field.find('\0') != std::string::npos) fail(path, "holds a NUL character");
}

void JsonFields::read(const nlohmann::json& value, const std::string& path, bool& field) {
  if (!value.is_boolean()) return fail_type(path, "true or false", value);
  field = value.get<bool>();
}

void JsonFields::read(const nlohmann::json& value, const std::string& path, double& field) {
  if (!value.is_number()) return fail_type(path, "a number", value);
  field = value.get<double>();
}

bool JsonFields::read_integer(const nlohmann::json& value, const std::string& path,
                              std::int64_t min, std::uint64_t max, std::int64_t& negative,
                              std::uint64_t& positive) {
  if (value.is_number_unsigned()) {
    positive = value.get<std::uint64_t>();
    if (positive <= max) return true;
  } else if (value.is_number_integer()) {
    // A number that this program made itself may be signed and positive.
    const auto number = value.get<std::int64_t>();
    if (number < 0) {
      negative = number;
      if (number >= min) return true;
    } else {
      positive = static_cast<std::uint64_t>(number);
      if (positive <= max) return true;
    }
  }
  fail_type(path, join("a whole number between ", min, " and ", max), value);
  return false;
}

}  // namespace sysbox
