// Constrained decoding over the schemas of MaskBench: how long compiling takes, how long a mask takes before each token
// of the valid instances, and how many schemas and instances come out right. One line of JSON.
//   grammar_bench TOKENIZER CASES.jsonl [every n-th schema]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "grammar/grammar.h"
#include "grammar/token_trie.h"
#include "text/tokenizer.h"

namespace {

using hanlin::Json;
// Time that this thread has computed: other programs on the machine do not count.
struct Clock {
  static double now() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
  }
};

double microseconds(double from) { return Clock::now() - from; }

Json percentiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double p) { return values.empty() ? 0.0 : values[std::min(values.size() - 1, static_cast<size_t>(p * static_cast<double>(values.size())))]; };
  return Json{{"n", values.size()}, {"p50_us", at(0.5)}, {"p99_us", at(0.99)}, {"max_us", at(1.0)}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: grammar_bench TOKENIZER CASES.jsonl [every n-th schema]\n");
    return 2;
  }
  const auto tokenizer = hanlin::load_tokenizer(argv[1]);
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "grammar_bench: %s\n", tokenizer.error().message.c_str());
    return 1;
  }
  const int every = argc > 3 ? std::max(1, std::atoi(argv[3])) : 1;
  const hanlin::Tokenizer& tok = **tokenizer;
  const auto begin = Clock::now();
  const hanlin::grammar::GrammarCompiler compiler(tok, tok.vocab_size());
  const double setup_ms = microseconds(begin) / 1000;
  std::vector<double> compile_us, mask_us;
  std::vector<uint32_t> bits(hanlin::grammar::mask_words(tok.vocab_size()));
  int n_schemas = 0, n_covered = 0, n_false_accepts = 0, n_valid_rejected = 0, n_row = 0;
  std::ifstream file(argv[2]);
  for (std::string line; std::getline(file, line); ++n_row) {
    if (n_row % every != 0) continue;
    const auto row = hanlin::parse_json(line, 1000);
    if (!row.ok()) continue;
    ++n_schemas;
    const std::string schema = hanlin::dump_json((*row)["schema"]);
    const auto compiling = Clock::now();
    const auto grammar = compiler.compile_json_schema(schema, {.any_order = true, .max_whitespace = 0});
    compile_us.push_back(microseconds(compiling));
    if (!grammar.ok()) continue;
    ++n_covered;
    for (const Json& test : (*row)["tests"]) {
      const bool valid = test["valid"].get<bool>();
      hanlin::grammar::GrammarMatcher matcher(*grammar);
      bool accepted = true;
      for (int32_t id : tok.encode(hanlin::dump_json(test["data"]), {.add_special = false, .parse_special = false})) {
        const auto filling = Clock::now();
        matcher.fill_mask(bits);
        mask_us.push_back(microseconds(filling));
        if (std::getenv("SLOW") && mask_us.back() > 8000) std::fprintf(stderr, "%.0f %s %d\n", mask_us.back(), (*row)["id"].dump().c_str(), matcher.n_accepted());
        const bool allowed = hanlin::grammar::has_bit(bits, id);
        if (allowed != matcher.accept(id)) std::fprintf(stderr, "mask and matcher disagree: %s\n", (*row)["id"].dump().c_str());
        if (!allowed) {
          accepted = false;
          break;
        }
      }
      accepted = accepted && matcher.can_end();
      n_false_accepts += accepted && !valid;
      n_valid_rejected += !accepted && valid;
    }
  }
  const Json out = {{"vocabulary", tok.vocab_size()}, {"setup_ms", setup_ms},
                    {"schemas", n_schemas}, {"covered", n_covered}, {"false_accepts", n_false_accepts}, {"valid_rejected", n_valid_rejected},
                    {"compile", percentiles(compile_us)}, {"mask", percentiles(mask_us)}};
  std::printf("%s\n", hanlin::dump_json(out).c_str());
  return 0;
}
