#include "text/gguf_pretokenizers.h"

#include "text/known_regexes.h"

namespace hanlin {
namespace {

// Names and expressions are facts of the format: llama.cpp's src/llama-vocab.cpp and the models' own tokenizer.json.
constexpr std::string_view kSingleDigits = R"(\p{N})";
constexpr std::string_view kDeepseekChinese = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+";
// Escapes, because many of these characters have look-alikes that editors may exchange for them.
constexpr std::string_view kDeepseekLetters =
    "\\s?["
    "A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373"
    "\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F"
    "\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77"
    "\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D"
    "\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB"
    "\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128"
    "\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4"
    "\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF"
    "\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F\U000104B0-\U000104D3"
    "\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2\U000118A0-\U000118DF\U0001E900-\U0001E943"
    "]+";
constexpr std::string_view kDeepseekSigns = "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+";
constexpr std::string_view kDeepseekV3Chinese = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";

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
      {{"deepseek-v3"}, {{R"(\p{N}{1,3})", kDeepseekV3Chinese, kDeepseekV3Regex}}},
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
