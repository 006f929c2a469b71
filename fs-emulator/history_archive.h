#pragma once

// Numbers and names of a ContainerHistory as bytes, and back. Both directions have the same
// functions, so that one list of fields does for both.

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace sysbox::fs {

class HistoryWriter {
 public:
  template <typename Number>
  void number(const Number& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  std::uint64_t count(std::uint64_t value, std::uint64_t /*limit*/) {
    number(value);
    return value;
  }
  void text(const std::string& value) {
    number(std::uint64_t{value.size()});
    bytes_ += value;
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// After a mistake in the bytes everything is 0 and empty.
class HistoryReader {
 public:
  explicit HistoryReader(std::string_view bytes) : rest_(bytes) {}

  template <typename Number>
  void number(Number& value) {
    value = Number{};
    if (!has(sizeof value)) return;
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
  }
  std::uint64_t count(std::uint64_t /*value*/, std::uint64_t limit) {
    std::uint64_t read = 0;
    number(read);
    if (read > limit) is_damaged_ = true;
    return is_damaged_ ? 0 : read;
  }
  void text(std::string& value) {
    std::uint64_t size = 0;
    number(size);
    value.clear();
    if (!has(size)) return;
    value = rest_.substr(0, size);
    rest_.remove_prefix(size);
  }
  bool is_whole() const { return !is_damaged_ && rest_.empty(); }

 private:
  bool has(std::uint64_t size) {
    if (size > rest_.size()) is_damaged_ = true;
    return !is_damaged_;
  }
  std::string_view rest_;
  bool is_damaged_ = false;
};

}  // namespace sysbox::fs
