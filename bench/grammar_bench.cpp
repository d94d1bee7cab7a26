// Constrained decoding over JSON Schemas with instances: how long compiling takes, how long a mask takes before each token
// of the instances, and how many schemas and instances come out right. One line of JSON. bench/grammar runs it.
//   grammar_bench TOKENIZER CASES.jsonl [--every N] [--no-formats] [--dump FILE]
// Cases: {"id", "schema", "tests": [{"data", "valid"}]}. --dump writes what a peer needs to run the same: the vocabulary,
// then each schema with its instances as tokens.
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

// Microseconds that this thread has computed: other programs on the machine do not count.
double now_us() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

Json percentiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double p) { return values.empty() ? 0.0 : values[std::min(values.size() - 1, static_cast<size_t>(p * static_cast<double>(values.size())))]; };
  return Json{{"n", values.size()}, {"p50_us", at(0.5)}, {"p99_us", at(0.99)}, {"max_us", at(1.0)}};
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += "0123456789abcdef"[static_cast<uint8_t>(c) >> 4];
    out += "0123456789abcdef"[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

void dump_vocabulary(const hanlin::Tokenizer& tok, std::ostream& out) {
  Json tokens = Json::array(), special = Json::array();
  for (int32_t id = 0; id < tok.vocab_size(); ++id) {
    tokens.push_back(hex(tok.token_bytes(id)));
    if (tok.is_special(id)) special.push_back(id);
  }
  out << hanlin::dump_json(Json{{"tokens", tokens}, {"special", special}, {"ends", tok.end_of_generation()}}) << "\n";
}

struct Run {
  const hanlin::Tokenizer& tok;
  hanlin::grammar::GrammarCompiler compiler;
  bool assert_formats = true;
  std::vector<double> compile_us, mask_us;
  int n_schemas = 0, n_covered = 0, n_tests = 0, n_right = 0, n_false_accepts = 0, n_valid_rejected = 0;

  bool accepts(const std::shared_ptr<const hanlin::grammar::CompiledGrammar>& grammar, const std::vector<int32_t>& ids, const std::string& name) {
    std::vector<uint32_t> bits(hanlin::grammar::mask_words(tok.vocab_size()));
    hanlin::grammar::GrammarMatcher matcher(grammar);
    for (const int32_t id : ids) {
      const double filling = now_us();
      matcher.fill_mask(bits);
      mask_us.push_back(now_us() - filling);
      const bool allowed = hanlin::grammar::has_bit(bits, id);
      if (allowed != matcher.accept(id)) std::fprintf(stderr, "mask and matcher disagree: %s\n", name.c_str());
      if (!allowed) return false;
    }
    return matcher.can_end();
  }

  void schema(const Json& row, std::ostream* dump) {
    ++n_schemas;
    n_tests += static_cast<int>(row["tests"].size());
    const std::string schema = hanlin::dump_json(row["schema"]), name = row["id"].get<std::string>();
    std::vector<std::vector<int32_t>> texts;
    for (const Json& test : row["tests"]) texts.push_back(tok.encode(hanlin::dump_json(test["data"]), {.add_special = false, .parse_special = false}));
    if (dump != nullptr) {
      Json tests = Json::array();
      for (size_t i = 0; i < texts.size(); ++i) tests.push_back({{"valid", row["tests"][i]["valid"]}, {"tokens", texts[i]}});
      *dump << hanlin::dump_json(Json{{"id", name}, {"schema", schema}, {"tests", tests}}) << "\n";
    }
    const double compiling = now_us();
    const auto grammar = compiler.compile_json_schema(schema, {.any_order = true, .assert_formats = assert_formats, .max_whitespace = 0, .allow_empty = true});
    compile_us.push_back(now_us() - compiling);
    if (!grammar.ok()) return;
    ++n_covered;
    for (size_t i = 0; i < texts.size(); ++i) {
      const bool valid = row["tests"][i]["valid"].get<bool>(), accepted = accepts(*grammar, texts[i], name);
      n_right += accepted == valid;
      n_false_accepts += accepted && !valid;
      n_valid_rejected += !accepted && valid;
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const auto flag = [&](const char* name) { return std::find(args.begin(), args.end(), name); };
  const auto value = [&](const char* name, const char* missing) {
    const auto it = flag(name);
    return it == args.end() || it + 1 == args.end() ? std::string(missing) : *(it + 1);
  };
  if (args.size() < 2) {
    std::fprintf(stderr, "usage: grammar_bench TOKENIZER CASES.jsonl [--every N] [--no-formats] [--dump FILE]\n");
    return 2;
  }
  const auto tokenizer = hanlin::load_tokenizer(args[0]);
  std::ifstream file(args[1]);
  if (!tokenizer.ok() || !file) {
    std::fprintf(stderr, "grammar_bench: %s\n", tokenizer.ok() ? (args[1] + ": cannot be read").c_str() : tokenizer.error().message.c_str());
    return 1;
  }
  const hanlin::Tokenizer& tok = **tokenizer;
  const int every = std::max(1, std::atoi(value("--every", "1").c_str()));
  std::ofstream dump;
  if (flag("--dump") != args.end()) {
    dump.open(value("--dump", "/dev/null"));
    dump_vocabulary(tok, dump);
  }
  const double begin = now_us();
  Run run{.tok = tok, .compiler = hanlin::grammar::GrammarCompiler(tok, tok.vocab_size())};
  const double setup_ms = (now_us() - begin) / 1000;
  run.assert_formats = flag("--no-formats") == args.end();
  int n_row = 0;
  for (std::string line; std::getline(file, line); ++n_row) {
    const auto row = n_row % every == 0 ? hanlin::parse_json(line, 1000) : hanlin::parse_json("0");
    if (row.ok() && row->is_object()) run.schema(*row, dump.is_open() ? &dump : nullptr);
  }
  const Json out = {{"vocabulary", tok.vocab_size()}, {"setup_ms", setup_ms}, {"schemas", run.n_schemas}, {"covered", run.n_covered}, {"tests", run.n_tests},
                    {"right", run.n_right}, {"false_accepts", run.n_false_accepts}, {"valid_rejected", run.n_valid_rejected},
                    {"compile", percentiles(run.compile_us)}, {"mask", percentiles(run.mask_us)}};
  std::printf("%s\n", hanlin::dump_json(out).c_str());
  return 0;
}
