// libFuzzer target: any text in any pieces, in every format. The deltas are the same as for the whole text, nothing is
// lost for good, and arguments of complete calls are JSON.
#include <cstdint>
#include <cstdlib>

#include "agent/call_parser/parse_all.h"
#include "agent/react_parser.h"
#include "base/json.h"
#include "base/rng.h"

namespace {

using namespace hanlin::agent;

const std::shared_ptr<const ToolSet>& tools() {
  static const auto set = std::make_shared<const ToolSet>(
      ToolSet({{"get_weather", "", "", {{"location"}, {"days", ParameterKind::kValue}, {"unit", ParameterKind::kEither}}}, {"now"}}));
  return set;
}

}  // namespace

// Two bytes choose format and pieces, the rest is the text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  static const std::vector<std::string> names = call_format_names();
  const std::string& name = names[data[0] % names.size()];
  const std::string_view text(reinterpret_cast<const char*>(data + 2), size - 2);
  const bool truncated = (data[1] & 1) != 0;
  const CallParserOptions options{.in_reasoning = (data[1] & 2) != 0, .max_calls = (data[1] & 4) != 0 ? 1 : 100};
  const Reply whole = parse_in_pieces(name, tools(), text, truncated, [&] { return text.size(); }, options);
  hanlin::Rng rng(data[1]);
  const Reply pieces = parse_in_pieces(name, tools(), text, truncated, [&] { return 1 + rng.next() % 9; }, options);
  if (!(pieces == whole)) std::abort();
  for (const Reply::Call& call : whole.complete_calls()) {
    if (call.arguments.empty() || call.arguments[0] != '{' || call.arguments.back() != '}') std::abort();
  }
  const ReactStep step = parse_react(text);
  if (step.kind == ReactStep::Kind::kAction && (step.tool.empty() || step.input_json.empty())) std::abort();
  return 0;
}
