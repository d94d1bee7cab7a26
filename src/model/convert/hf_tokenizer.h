// The tokenizer files of a Hugging Face directory as GGUF metadata. Internal to model/convert/.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "formats/gguf_writer.h"

namespace hanlin {

// The numbers of tokenizer.ggml.token_type; SentencePiece uses the same.
enum class GgufTokenType : int32_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

struct TokenizerMetadata {
  std::string model;  // "gpt2": byte-level BPE; "llama": SentencePiece BPE
  std::string pre;    // name of the pre-tokeniser
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<float> scores;         // "llama" only: higher merges first
  std::vector<std::string> merges;   // "gpt2" only: "left right"
  std::map<std::string, uint32_t> special;  // "bos" → id; also eos, unknown, padding, eot
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::string chat_template;
};

// Empty if the directory has no tokenizer.model, tokenizer.json or vocab.json with merges.txt. `config` is config.json. The result has exactly
// n_vocab tokens: holes are filled with unused ones. Errors: kCorrupt, kUnsupported (kinds that GGUF has no name for).
Result<std::optional<TokenizerMetadata>> read_hf_tokenizer(const std::string& directory, const Json& config, int64_t n_vocab);

// Its two sources.
Status parse_tokenizer_model(std::string_view protobuf, TokenizerMetadata* out);  // SentencePiece
Status parse_tokenizer_json(std::string_view text, TokenizerMetadata* out);

void write_tokenizer(const TokenizerMetadata& tokenizer, GgufWriter& writer);

}  // namespace hanlin
