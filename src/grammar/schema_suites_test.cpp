// The official JSON Schema suite and the real schemas of MaskBench, as decoder: what is compiled must accept every valid
// instance and refuse every invalid one. And random texts that only follow the masks must be valid.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "base/rng.h"
#include "grammar/grammar.h"
#include "grammar/machine.h"
#include "grammar/test_validator.h"
#include "grammar/test_vocabulary.h"
#include "grammar/token_trie.h"

namespace hanlin::grammar {
namespace {

const std::string kCases = HANLIN_SOURCE_DIR "/../shared/cases/";

struct Score {
  int n_schemas = 0, n_covered = 0, n_tests = 0, n_right = 0, n_false_accepts = 0, n_valid_rejected = 0;
};

bool accepts(Machine& machine, const std::string& text) {
  FrameSet here = machine.start(), next;
  for (char c : text) {
    machine.step(here, static_cast<uint8_t>(c), false, next);
    if (next.empty()) return false;
    std::swap(here, next);
  }
  return machine.may_end(here);
}

void run(const std::string& name, const Json& schema, const Json& tests, bool assert_formats, Score& score) {
  ++score.n_schemas;
  score.n_tests += static_cast<int>(tests.size());
  auto program = compile_schema(dump_json(schema), {.any_order = true, .assert_formats = assert_formats, .max_whitespace = 0, .allow_empty = true});
  if (!program.ok()) {
    EXPECT_TRUE(program.error().code == Code::kUnsupported || program.error().code == Code::kInvalidArgument);
    return;
  }
  ++score.n_covered;
  auto code = std::make_shared<MachineCode>();
  code->program = *std::move(program);
  Machine machine(code);
  for (const Json& test : tests) {
    const bool accepted = accepts(machine, dump_json(test["data"])), valid = test["valid"].get<bool>();
    score.n_right += accepted == valid;
    score.n_false_accepts += accepted && !valid;
    score.n_valid_rejected += !accepted && valid;
    EXPECT_FALSE(accepted && !valid) << name << ": " << dump_json(test["data"]);
  }
}

TEST(SchemaSuites, OfficialSuiteAsDecoder) {
  const std::string folder = kCases + "json-schema-test-suite/tests/draft2020-12";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not there";
  Score score;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    const auto cases = parse_json(read_text(entry.path().string()), 1000);
    ASSERT_TRUE(cases.ok());
    for (const Json& c : *cases) run(entry.path().stem().string() + ": " + c["description"].get<std::string>(), c["schema"], c["tests"], false, score);
  }
  EXPECT_EQ(score.n_false_accepts, 0);
  EXPECT_LE(score.n_valid_rejected, 2);
  EXPECT_GE(score.n_right, score.n_tests * 89 / 100) << score.n_right << " of " << score.n_tests;
  EXPECT_GE(score.n_covered, score.n_schemas * 90 / 100) << score.n_covered << " of " << score.n_schemas;
}

TEST(SchemaSuites, RealSchemas) {
  const std::string path = kCases + "maskbench/dev.jsonl";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  Score score;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto row = parse_json(line, 1000);
    ASSERT_TRUE(row.ok());
    run((*row)["id"].get<std::string>(), (*row)["schema"], (*row)["tests"], true, score);
  }
  EXPECT_EQ(score.n_false_accepts, 0);
  EXPECT_LE(score.n_valid_rejected, 0);
  EXPECT_GE(score.n_covered, score.n_schemas * 99 / 100) << score.n_covered << " of " << score.n_schemas;
}

// Draws among the allowed tokens; prefers nothing, so texts run into their budget and must be steered home.
std::string random_text(GrammarMatcher& matcher, const TokenVocabulary& vocabulary, int64_t budget, Rng& rng) {
  std::vector<uint32_t> bits(mask_words(vocabulary.size()));
  std::string text;
  for (; budget > 0; --budget) {
    matcher.fill_mask(bits, budget);
    std::vector<int32_t> allowed;
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      if (has_bit(bits, id)) allowed.push_back(id);
    }
    if (allowed.empty()) {
      EXPECT_TRUE(matcher.can_end()) << "dead end after: " << text;
      break;
    }
    const int32_t token = allowed[static_cast<size_t>(rng.uniform() * static_cast<double>(allowed.size()))];
    EXPECT_TRUE(matcher.accept(token)) << text << " + " << vocabulary.bytes(token);
    if (vocabulary.ends(token)) break;
    text += vocabulary.bytes(token);
  }
  EXPECT_TRUE(matcher.can_end()) << "unfinished: " << text;
  return text;
}

bool has_unique_keys(const std::string& text) {
  std::vector<std::set<std::string>> open;
  bool unique = true;
  Json::parser_callback_t callback = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key) unique = unique && open.back().insert(parsed.get<std::string>()).second;
    return true;
  };
  return !Json::parse(text, callback, false).is_discarded() && unique;
}

TEST(SchemaSuites, RandomTextsAreValidWithinTheirBudget) {
  const std::string path = kCases + "maskbench/dev.jsonl";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const GrammarCompiler compiler(tiny_tokenizer(), tiny_tokenizer().vocab_size());
  std::ifstream file(path);
  Rng rng(7);
  int n_texts = 0, n_judged = 0, n_row = 0;
  for (std::string line; std::getline(file, line); ++n_row) {
    if (n_row % 2 != 0) continue;
    const auto row = parse_json(line, 1000);
    const Json& schema = (*row)["schema"];
    const bool any_order = n_row % 4 == 0;
    const auto grammar = compiler.compile_json_schema(dump_json(schema), {.any_order = any_order, .assert_formats = true, .max_whitespace = any_order ? 0 : 2});
    if (!grammar.ok()) continue;
    for (int64_t extra : {0, 5, 60}) {
      GrammarMatcher matcher(*grammar);
      const std::string text = random_text(matcher, compiler.vocabulary() ? *compiler.vocabulary() : (*grammar)->vocabulary(), matcher.tokens_to_finish() + extra, rng);
      ++n_texts;
      const auto value = parse_json(text, 1000);
      ASSERT_TRUE(value.ok()) << (*row)["id"] << "\n" << text << "\n" << value.error().message;
      EXPECT_TRUE(has_unique_keys(text)) << text;
      TestValidator validator(schema);
      const bool valid = validator.valid(*value);
      if (validator.is_unsure()) continue;
      ++n_judged;
      EXPECT_TRUE(valid) << (*row)["id"] << "\n" << dump_json(schema).substr(0, 1000) << "\n" << text;
    }
  }
  EXPECT_GT(n_texts, 1000);
  EXPECT_GT(n_judged, 800);
}

}  // namespace
}  // namespace hanlin::grammar
