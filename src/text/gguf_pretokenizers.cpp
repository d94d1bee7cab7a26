#include "text/gguf_pretokenizers.h"

#include "text/known_regexes.h"

namespace hanlin {
namespace {

// Names and expressions are facts of the format: llama.cpp's src/llama-vocab.cpp and the models' own tokenizer.json.
constexpr std::string_view kSingleDigits = R"(\p{N})";
constexpr std::string_view kDeepseekChinese = "[一-龥ࠀ-一가-퟿]+";
constexpr std::string_view kDeepseekLetters =
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώ"
    "ᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ"
    "𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
constexpr std::string_view kDeepseekSigns = "\\s?[!-/:-~！-／：-～‘-‟\xE3\x80\x80-。]+";

struct Named {
  std::vector<std::string_view> names;
  GgufPreTokenizer pre;
};

const std::vector<Named>& table() {
  static const std::vector<Named> named = {
      {{"default"}, {{R"([\p{P}\$\+<=>\^\~\|]+)", kGpt2Regex, R"(\p{N}+)", "[0-9][0-9][0-9]"}}},
      {{"gpt-2", "gpt2", "phi-2", "mpt", "olmo", "jais", "trillion", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de",
        "gigachat", "a.x-4.0", "mellum", "granite-docling"},
       {{kGpt2Regex}}},
      {{"modern-bert"}, {{kGpt2Regex}, true, false, true, true}},
      {{"roberta-bpe", "jina-v1-en", "jina-v2-code"}, {{kGpt2Regex}, false, false, true, true}},
      {{"llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "lfm2"}, {{kLlama3Regex}, false, true, true}},
      {{"dbrx", "smaug-bpe", "chatglm-bpe"}, {{kLlama3Regex}}},
      {{"qwen2", "deepseek-r1-qwen", "megrez"}, {{kQwen2Regex}, true}},
      {{"stablelm2", "hunyuan"}, {{kQwen2Regex}}},
      {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"}, {{kSingleDigits, kGpt2Regex}}},
      {{"falcon"}, {{R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Regex, "[0-9][0-9][0-9]"}}},
      {{"deepseek-llm"}, {{"[\r\n]", kDeepseekLetters, kDeepseekSigns, R"(\s+$)", kDeepseekChinese, R"(\p{N}+)"}}},
      {{"deepseek-coder"}, {{"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekChinese, kSingleDigits}}},
      {{"deepseek-v3"}, {{R"(\p{N}{1,3})", "[一-龥\xE3\x81\x80-ゟ゠-ヿ]+", kDeepseekV3Regex}}},
      {{"gpt-4o", "llama4"}, {{kO200kRegex}, false, false}},
      {{"tekken"}, {{kTekkenRegex}, false, true, true}},
  };
  return named;
}

}  // namespace

const GgufPreTokenizer* find_gguf_pretokenizer(std::string_view name) {
  for (const Named& entry : table()) {
    for (const std::string_view known : entry.names) {
      if (known == name) return &entry.pre;
    }
  }
  return nullptr;
}

}  // namespace hanlin
