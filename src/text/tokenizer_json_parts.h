// The sections of tokenizer.json besides the model: each builder turns one JSON object into the steps it stands for.
// Private to this library.
#pragma once

#include "base/json.h"
#include "text/tokenizer_parts.h"

namespace hanlin {

// tokenizer.json has objects with 10^5 keys; the ordered Json of the house would be quadratic there.
using FastJson = nlohmann::json;

Status add_normalizers(const FastJson& section, Normalizer& normalizer);
// Sets `byte_level` if the pieces are to be seen as bytes.
Status add_pre_tokenizers(const FastJson& section, PreTokenizer& pre_tokenizer, bool& byte_level);
// Fills `parts.single` and `parts.pair`.
Status read_post_processor(const FastJson& section, TokenizerParts& parts);
// Decoding rules that concern the start of a text; also says whether the file's decoder speaks of WordPiece.
void read_decoder(const FastJson& section, TokenizerParts& parts);

// The file as a JSON object; an empty one if it does not exist. Errors: kIo, kCorrupt.
Result<FastJson> read_json_object(const std::string& path);
// The text of "bos_token" and its like: "<s>" or {"content": "<s>", …}; empty if absent.
std::string special_token_name(const FastJson& config, const char* key);

// Helpers: fields with a default, wrong types count as absent.
std::string json_string(const FastJson& object, const char* key, const std::string& fallback = "");
bool json_bool(const FastJson& object, const char* key, bool fallback);
int64_t json_int(const FastJson& object, const char* key, int64_t fallback);
const FastJson* json_find(const FastJson& object, const char* key);  // null if absent or JSON null

}  // namespace hanlin
