// Scanners for the split expressions of well-known models, found by the expression's text.
#pragma once

#include <cstddef>
#include <string_view>

namespace hanlin {

// Matches at `pos` < text.size(): bytes matched, 0 for none. Linear in what it matches.
using SplitScanner = size_t (*)(std::string_view text, size_t pos);

// The scanner equal to this regular expression (semantics of Oniguruma on UTF-8), or null.
SplitScanner find_known_regex(std::string_view regex);

// Expressions that loaders of GGUF files name themselves.
extern const std::string_view kGpt2Regex;        // GPT-2 and everything byte-level by default
extern const std::string_view kLlama3Regex;      // cl100k with up to three digits
extern const std::string_view kQwen2Regex;       // the same with single digits
extern const std::string_view kDeepseekV3Regex;  // third expression of its sequence
extern const std::string_view kO200kRegex;       // gpt-4o
extern const std::string_view kTekkenRegex;      // Mistral Nemo and later

}  // namespace hanlin
