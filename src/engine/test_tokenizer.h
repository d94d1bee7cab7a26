// A tiny real tokenizer for the engine's tests: byte-level, one token a byte, and a few special ones.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "formats/gguf_writer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace hanlin::engine {

constexpr int32_t kBos = 256, kEos = 257, kEndOfTurn = 258, kTestVocab = 259;

inline std::shared_ptr<const Tokenizer> make_test_tokenizer(const std::string& chat_template) {
  // GPT-2's alphabet: printable bytes are themselves, the others are numbered from U+0100.
  std::vector<std::string> tokens;
  const auto utf8 = [](unsigned c) {
    return c < 0x80 ? std::string(1, static_cast<char>(c)) : std::string{static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
  };
  unsigned next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    tokens.push_back(utf8(printable ? byte : next++));
  }
  tokens.insert(tokens.end(), {"<|bos|>", "<|endoftext|>", "<|im_end|>"});
  std::vector<int32_t> types(256, 1);
  types.insert(types.end(), {3, 3, 3});
  const std::string path = (std::filesystem::temp_directory_path() / ("engine_test_" + std::to_string(getpid()) + ".gguf")).string();
  {
    auto writer = GgufWriter::create(path);
    EXPECT_TRUE(writer.ok());
    writer->set_string("general.architecture", "llama");
    writer->set_string("tokenizer.ggml.model", "gpt2");
    writer->set_string("tokenizer.ggml.pre", "gpt-2");
    writer->set_strings("tokenizer.ggml.tokens", tokens);
    writer->set_i32s("tokenizer.ggml.token_type", types);
    writer->set_strings("tokenizer.ggml.merges", {});
    writer->set_u32("tokenizer.ggml.bos_token_id", kBos);
    writer->set_u32("tokenizer.ggml.eos_token_id", kEos);
    writer->set_bool("tokenizer.ggml.add_bos_token", true);
    if (!chat_template.empty()) writer->set_string("tokenizer.chat_template", chat_template);
    const auto finished = writer->finish();
    EXPECT_TRUE(finished.ok()) << finished.error().message;
  }
  auto tokenizer = load_tokenizer(path);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  std::filesystem::remove(path);
  return *tokenizer;
}

inline std::shared_ptr<const Tokenizer> test_tokenizer() {
  static const std::shared_ptr<const Tokenizer> tokenizer = make_test_tokenizer(
      "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}");
  return tokenizer;
}

}  // namespace hanlin::engine
