// tokenizer.model: the protocol-buffer file of google/sentencepiece (src/sentencepiece_model.proto).
#include <fmt/format.h>

#include <cstring>

#include "model/convert/hf_tokenizer.h"

namespace hanlin {
namespace {

constexpr size_t kMaxPieces = size_t{1} << 22;

// One field of a message. Length-delimited content is in `bytes`; everything else in `number`.
struct Field {
  uint32_t id = 0;
  bool is_bytes = false;
  uint64_t number = 0;
  std::string_view bytes;
};

// Walks the fields of one message; never reads past its end.
class MessageReader {
 public:
  explicit MessageReader(std::string_view bytes) : left_(bytes) {}

  bool done() const { return left_.empty(); }
  bool next(Field* field) {
    uint64_t tag = 0;
    if (!varint(&tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX) return false;
    field->id = static_cast<uint32_t>(tag >> 3);
    field->is_bytes = false;
    switch (tag & 7) {
      case 0: return varint(&field->number);
      case 1: return fixed(8, &field->number);
      case 5: return fixed(4, &field->number);
      case 2: {
        uint64_t n = 0;
        if (!varint(&n) || n > left_.size()) return false;
        field->is_bytes = true;
        field->bytes = left_.substr(0, n);
        left_.remove_prefix(n);
        return true;
      }
      default: return false;  // groups are not used
    }
  }

 private:
  bool varint(uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64 && !left_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(left_.front());
      left_.remove_prefix(1);
      *value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return true;
    }
    return false;
  }
  bool fixed(size_t n, uint64_t* value) {
    if (left_.size() < n) return false;
    *value = 0;
    std::memcpy(value, left_.data(), n);
    left_.remove_prefix(n);
    return true;
  }

  std::string_view left_;
};

Error broken(const char* what) { return Error{Code::kCorrupt, fmt::format("expected a SentencePiece model, got a broken {}", what)}; }

Status read_piece(std::string_view message, TokenizerMetadata* out) {
  std::string text;
  float score = 0;
  auto type = static_cast<uint64_t>(GgufTokenType::kNormal);
  MessageReader reader(message);
  for (Field field; !reader.done();) {
    if (!reader.next(&field)) return broken("piece");
    if (field.id == 1 && field.is_bytes) text = field.bytes;
    if (field.id == 2 && !field.is_bytes) {
      const auto bits = static_cast<uint32_t>(field.number);
      std::memcpy(&score, &bits, 4);
    }
    if (field.id == 3 && !field.is_bytes) type = field.number;
  }
  if (type < 1 || type > 6) return broken("piece type");
  if (out->tokens.size() == kMaxPieces) return broken("list of pieces (too long)");
  out->tokens.push_back(std::move(text));
  out->scores.push_back(score);
  out->types.push_back(static_cast<int32_t>(type));
  return {};
}

// trainer_spec: which algorithm, and the ids of the special tokens (32-bit, -1 for none).
Status read_trainer(std::string_view message, TokenizerMetadata* out) {
  uint64_t algorithm = 1;
  std::map<std::string, uint64_t> ids{{"unknown", 0}, {"bos", 1}, {"eos", 2}, {"padding", ~uint64_t{0}}};
  MessageReader reader(message);
  for (Field field; !reader.done();) {
    if (!reader.next(&field)) return broken("trainer description");
    if (field.is_bytes) continue;
    switch (field.id) {
      case 3: algorithm = field.number; break;
      case 40: ids["unknown"] = field.number; break;
      case 41: ids["bos"] = field.number; break;
      case 42: ids["eos"] = field.number; break;
      case 43: ids["padding"] = field.number; break;
      default: break;
    }
  }
  if (algorithm != 2) return Error{Code::kUnsupported, fmt::format("expected a SentencePiece model of kind BPE (2), got kind {}", algorithm)};
  for (const auto& [name, id] : ids) {
    if (id < kMaxPieces) out->special[name] = static_cast<uint32_t>(id);
  }
  return {};
}

Status read_normalizer(std::string_view message, TokenizerMetadata* out) {
  out->add_space_prefix = true;
  MessageReader reader(message);
  for (Field field; !reader.done();) {
    if (!reader.next(&field)) return broken("normalizer description");
    if (field.id == 3 && !field.is_bytes) out->add_space_prefix = field.number != 0;
  }
  return {};
}

}  // namespace

Status parse_tokenizer_model(std::string_view protobuf, TokenizerMetadata* out) {
  out->model = "llama";
  out->pre = "default";
  bool has_trainer = false;
  MessageReader reader(protobuf);
  for (Field field; !reader.done();) {
    if (!reader.next(&field)) return broken("file");
    if (!field.is_bytes) continue;
    if (field.id == 1) HANLIN_TRY(read_piece(field.bytes, out));
    if (field.id == 2) HANLIN_TRY(read_trainer(field.bytes, out));
    if (field.id == 3) HANLIN_TRY(read_normalizer(field.bytes, out));
    has_trainer |= field.id == 2;
  }
  if (out->tokens.empty() || !has_trainer) return broken("file (no pieces or no trainer description)");
  return {};
}

}  // namespace hanlin
