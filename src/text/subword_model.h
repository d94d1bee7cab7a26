// The interface of the models that turn one piece of text into tokens.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace hanlin {

// Immutable; any thread.
class SubwordModel {
 public:
  virtual ~SubwordModel() = default;
  // Appends the tokens of `piece` (not empty) to `ids`. Cannot fail: what has no token becomes the unknown token or, if
  // there is none, nothing.
  virtual void encode(std::string_view piece, std::vector<int32_t>& ids) const = 0;
};

// What stands for a character that has no token: its bytes as tokens if all of them exist, else the unknown token.
struct ByteFallback {
  std::vector<int32_t> byte_ids;  // 256 entries, -1 where there is none; empty: no byte tokens
  int32_t unk_id = -1;
  bool fuse_unk = false;  // neighbouring unknown characters become one token

  // `previous_was_unknown`: the character before, in the same piece, became the unknown token.
  void append(std::string_view bytes, std::vector<int32_t>& ids, bool previous_was_unknown) const {
    if (has_all(bytes)) {
      for (const char c : bytes) ids.push_back(byte_ids[static_cast<uint8_t>(c)]);
    } else if (unk_id >= 0 && !(fuse_unk && previous_was_unknown)) {
      ids.push_back(unk_id);
    }
  }
  bool has_all(std::string_view bytes) const {
    if (byte_ids.empty()) return false;
    for (const char c : bytes) {
      if (byte_ids[static_cast<uint8_t>(c)] < 0) return false;
    }
    return true;
  }
};

}  // namespace hanlin
