#include "formats/safetensors_header.h"

#include <fmt/format.h>

#include "base/json.h"

namespace hanlin {
namespace {

constexpr size_t kMaxShape = 16;

// Both documents are objects of at most three levels. They are read as a stream of events rather than into a tree: a
// tree that keeps the order of keys looks each new key up among all before it, which a long header turns into hours.
// A derived class overrides what its document may contain; everything else is an error.
class EventReader : public nlohmann::json_sax<Json> {
 public:
  std::string error;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_unsigned(number_unsigned_t) override { return unexpected("a number"); }
  bool number_float(number_float_t, const string_t&) override { return unexpected("a fraction"); }
  bool string(string_t&) override { return unexpected("a string"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }
  bool start_array(size_t) override { return unexpected("a list"); }
  bool end_array() override { return true; }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    error = fmt::format("expected JSON, got something else at byte {}", position);
    return false;
  }

 protected:
  bool unexpected(std::string_view what) { return fail(fmt::format("got {} where none belongs", what)); }
  bool fail(std::string message) {
    error = std::move(message);
    return false;
  }
};

class HeaderReader : public EventReader {
 public:
  SafetensorsHeader header;

  bool start_object(size_t) override { return ++depth_ <= 2 || unexpected("a third level of objects"); }
  bool end_object() override {
    --depth_;
    if (depth_ != 1 || in_metadata_) return true;
    const bool complete = has_dtype_ && has_shape_ && n_offsets_ == 2;
    return complete || fail(fmt::format("tensor {}: expected dtype, shape and two data_offsets", entry().name.substr(0, 80)));
  }
  bool key(string_t& name) override {
    key_ = name;
    if (depth_ != 1) return true;
    in_metadata_ = name == "__metadata__";
    if (in_metadata_) return true;
    header.entries.emplace_back().name = name;
    has_dtype_ = has_shape_ = false;
    n_offsets_ = 0;
    return true;
  }
  bool string(string_t& value) override {
    if (depth_ != 2 || in_list_) return unexpected("a string");
    if (in_metadata_) {
      header.metadata.emplace_back(key_, value);
      return true;
    }
    if (key_ != "dtype" || has_dtype_) return unexpected("a string");
    has_dtype_ = true;
    entry().dtype = value;
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || in_list_ || in_metadata_) return unexpected("a list");
    const bool is_shape = key_ == "shape" && !has_shape_, is_offsets = key_ == "data_offsets" && n_offsets_ == 0;
    if (!is_shape && !is_offsets) return unexpected("a list");
    has_shape_ |= is_shape;
    in_list_ = true;
    return true;
  }
  bool end_array() override {
    in_list_ = false;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (!in_list_) return unexpected("a number");
    if (key_ == "shape") {
      if (value > INT64_MAX || entry().shape.size() == kMaxShape) return unexpected("an impossible shape");
      entry().shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (n_offsets_ == 2) return unexpected("a third offset");
    (n_offsets_++ == 0 ? entry().begin : entry().end) = value;
    return true;
  }

 private:
  SafetensorsEntry& entry() { return header.entries.back(); }

  int depth_ = 0;
  std::string key_;
  bool in_metadata_ = false, in_list_ = false, has_dtype_ = false, has_shape_ = false;
  int n_offsets_ = 0;
};

// {"metadata": {anything}, "weight_map": {"name": "file", …}}
class IndexReader : public EventReader {
 public:
  std::vector<std::pair<std::string, std::string>> weight_map;

  bool null() override { return !in_map() || unexpected("null"); }
  bool boolean(bool) override { return !in_map() || unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return !in_map() || unexpected("a number"); }
  bool number_unsigned(number_unsigned_t) override { return !in_map() || unexpected("a number"); }
  bool number_float(number_float_t, const string_t&) override { return !in_map() || unexpected("a fraction"); }
  bool start_array(size_t) override { return !in_map() || unexpected("a list"); }
  bool start_object(size_t) override {
    ++depth_;
    return !in_map() || depth_ == 2 || unexpected("an object");
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ == 1) top_ = name;
    key_ = name;
    return true;
  }
  bool string(string_t& value) override {
    if (!in_map()) return true;
    if (depth_ != 2) return unexpected("a string");
    weight_map.emplace_back(key_, value);
    return true;
  }

 private:
  bool in_map() const { return depth_ >= 1 && top_ == "weight_map"; }
  int depth_ = 0;
  std::string top_, key_;
};

template <typename Reader>
Status read_events(std::string_view text, Reader* reader) {
  if (!Json::sax_parse(text, reader)) return Error{Code::kCorrupt, reader->error};
  return {};
}

}  // namespace

Result<SafetensorsHeader> parse_safetensors_header(std::string_view text) {
  HeaderReader reader;
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{') return Error{Code::kCorrupt, "expected a JSON object"};
  HANLIN_TRY(read_events(text, &reader));
  return std::move(reader.header);
}

Result<std::vector<std::pair<std::string, std::string>>> parse_safetensors_index(std::string_view text) {
  IndexReader reader;
  HANLIN_TRY(read_events(text, &reader));
  if (reader.weight_map.empty()) return Error{Code::kCorrupt, "expected an object weight_map that names a file for each tensor"};
  return std::move(reader.weight_map);
}

}  // namespace hanlin
