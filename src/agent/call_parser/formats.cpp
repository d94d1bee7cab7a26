// The table of formats: which families write calls how.
#include <algorithm>

#include "agent/call_grammar.h"
#include "agent/call_parser/bodies.h"
#include "agent/call_parser/call_format.h"

namespace hanlin::agent {
namespace {

using Kind = NamedCallStep::Kind;
using Arguments = CallSyntax::Arguments;
using Openings = std::vector<Opening>;

Opening json_opening(std::string text, std::vector<std::string> ends = {}) {
  return {std::move(text), false, [ends] { return json_calls({.ends = ends}); }};
}
Opening named_opening(std::string text, NamedCallSyntax syntax) {
  return {std::move(text), false, [syntax] { return named_call(syntax); }};
}
Opening tagged_opening(std::string text, TaggedCallSyntax syntax) {
  return {std::move(text), false, [syntax] { return tagged_call(syntax); }};
}
Opening python_opening(std::string text, std::vector<std::string> ends) {
  return {std::move(text), false, [ends] { return python_calls({.ends = ends}); }};
}
Opening vanishing(std::string text) { return {std::move(text)}; }
Opening thoughts(std::string text, std::string end) { return {std::move(text), /*at_start=*/true, {}, std::move(end)}; }

// A call without a marker; the opening is its first bracket.
Opening bare_opening(char bracket, JsonCallsSyntax syntax) {
  syntax.bare = true;
  syntax.opened = bracket;
  return {std::string(1, bracket), /*at_start=*/true, [syntax] { return json_calls(syntax); }};
}

TaggedCallSyntax function_elements(std::vector<std::string> ends) {
  return {.before_name = "<function=", .after_name = {">"}, .parameter_open = "<parameter=", .after_key = ">",
          .value_end = "</parameter>", .call_end = "</function>", .ends = std::move(ends)};
}
TaggedCallSyntax invoke_elements(const std::string& mark, std::vector<std::string> ends) {
  return {.before_name = "<" + mark + "invoke name=\"", .after_name = {"\">"}, .parameter_open = "<" + mark + "parameter name=\"",
          .after_key = "\"", .attributes_end = ">", .value_end = "</" + mark + "parameter>", .call_end = "</" + mark + "invoke>",
          .ends = std::move(ends), .trim_newlines = false};
}
TaggedCallSyntax glm_elements() {
  return {.after_name = {"\n", "<arg_key>", "</tool_call>"}, .parameter_open = "<arg_key>", .after_key = "</arg_key>",
          .value_open = "<arg_value>", .value_end = "</arg_value>", .call_end = "</tool_call>", .trim_newlines = false};
}

// What models trained on <tool_call> write inside of it: JSON, or elements, or GLM's pairs.
void add_tool_call_tag(Openings* openings) {
  openings->push_back(json_opening("<tool_call>", {"</tool_call>"}));
  openings->push_back(tagged_opening("<tool_call>", function_elements({"</tool_call>"})));
  openings->push_back(tagged_opening("<tool_call>", glm_elements()));
}

struct Row {
  const char* name;
  void (*add)(const ToolSet& tools, Openings* openings);
  CallSyntax syntax;
  std::vector<std::string> markers = {};
};

const NamedCallSyntax kMistral = {.steps = {{Kind::kName}, {Kind::kMaybeText, "[CALL_ID]"}, {Kind::kMaybeWord}, {Kind::kMaybeText, "[ARGS]"}, {Kind::kArguments}}};
void add_mistral(const ToolSet&, Openings* openings) {
  openings->push_back(json_opening("[TOOL_CALLS]"));
  openings->push_back(named_opening("[TOOL_CALLS]", kMistral));
  openings->push_back(vanishing("[TOOL_CALLS]"));
}

void add_deepseek(const ToolSet&, Openings* openings) {
  const std::string separator = "<｜tool▁sep｜>", end = "<｜tool▁call▁end｜>", begin = "<｜tool▁call▁begin｜>";
  openings->push_back(vanishing("<｜tool▁calls▁begin｜>"));
  openings->push_back(vanishing("<｜tool▁calls▁end｜>"));
  openings->push_back(named_opening(begin, {.steps = {{Kind::kText, "function"}, {Kind::kText, separator}, {Kind::kName}, {Kind::kMaybeText, "```json"},
                                                       {Kind::kArguments}, {Kind::kMaybeText, "```"}, {Kind::kMaybeText, end}}}));
  openings->push_back(named_opening(begin, {.steps = {{Kind::kName}, {Kind::kText, separator}, {Kind::kMaybeText, "```json"}, {Kind::kArguments},
                                                       {Kind::kMaybeText, "```"}, {Kind::kMaybeText, end}}}));
}

void add_kimi(const ToolSet&, Openings* openings) {
  openings->push_back(vanishing("<|tool_calls_section_begin|>"));
  openings->push_back(vanishing("<|tool_calls_section_end|>"));
  openings->push_back(named_opening("<|tool_call_begin|>", {.steps = {{Kind::kName}, {Kind::kText, "<|tool_call_argument_begin|>"}, {Kind::kArguments},
                                                                      {Kind::kMaybeText, "<|tool_call_end|>"}}}));
}

void add_command(const ToolSet&, Openings* openings) {
  openings->push_back(thoughts("<|START_THINKING|>", "<|END_THINKING|>"));
  for (const char* frame : {"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>", "<|END_ACTION|>"}) openings->push_back(vanishing(frame));
  openings->push_back(json_opening("<|START_ACTION|>", {"<|END_ACTION|>"}));
}

// At the start, and after ">>>": the recipient in a line of its own; "all" is the user.
void add_functionary_v3_2(const ToolSet& tools, Openings* openings) {
  for (const std::string before : {"", ">>>"}) {
    Opening all = vanishing(before + "all\n");
    all.at_start = before.empty();
    openings->push_back(std::move(all));
    for (const Tool& tool : tools.tools()) {
      Opening call = named_opening(before + tool.name + "\n", {.name = tool.name, .steps = {{Kind::kArguments}}});
      call.at_start = before.empty();
      openings->push_back(std::move(call));
    }
  }
}

// "name(" at the start, for models that leave the brackets out.
void add_python_names(const ToolSet& tools, Openings* openings) {
  for (const Tool& tool : tools.tools()) {
    openings->push_back({tool.name + "(", true, [name = tool.name] { return python_calls({.name = name}); }});
  }
}

NamedCallSyntax brace_call(std::string quote, std::string end) {
  return {.steps = {{Kind::kText, "call:"}, {Kind::kName}, {Kind::kArguments}, {Kind::kMaybeText, std::move(end)}},
          .style = {.bare_words = true, .quote = std::move(quote)}};
}

void add_harmony(const ToolSet&, Openings* openings) {
  for (const char* marker : {"<|channel|>", "<|start|>"}) openings->push_back({marker, false, [] { return harmony_message(""); }});
  openings->push_back({"to=functions.", true, [] { return harmony_message("to=functions."); }});
  for (const char* marker : {"<|end|>", "<|return|>", "<|call|>"}) openings->push_back(vanishing(marker));
}

const CallSyntax kHermes = {{"<tool_call>"}, "<tool_call>\n{\"name\": \"", "\", \"arguments\": ", "}\n</tool_call>", "}\n</tool_call>\n<tool_call>\n{\"name\": \"", Arguments::kJson,
                            {{"<tools>", "\n{\"name\": \"", "}\n</tools>"}, {"<function_call>", "\n{\"name\": \"", "}\n</function_call>"}}};
const CallSyntax kElements = {{"<tool_call>"}, "<tool_call>\n<function=", ">\n", "</function>\n</tool_call>", "", Arguments::kTagged};
const std::string kNextInList = "}, {\"name\": \"";
const CallSyntax kBareList = {{}, "[{\"name\": \"", "\", \"arguments\": ", "}]", kNextInList};
const CallSyntax kMarkedList = {{"<|tool_call|>"}, "<|tool_call|>[{\"name\": \"", "\", \"arguments\": ", "}]", kNextInList};

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {"hermes", [](const ToolSet&, Openings* o) {
         add_tool_call_tag(o);
         o->push_back(json_opening("<tools>", {"</tools>"}));  // Qwen2.5-Coder takes the list's tag for the call's
         o->push_back(json_opening("<function_call>", {"</function_call>"}));
       }, kHermes},
      {"smollm2", [](const ToolSet&, Openings* o) { add_tool_call_tag(o); },
       {{"<tool_call>"}, "<tool_call>[\n{\"name\": \"", "\", \"arguments\": ", "}\n]</tool_call>", "},\n{\"name\": \""}},
      {"qwen3_coder_xml", [](const ToolSet&, Openings* o) {
         add_tool_call_tag(o);
         TaggedCallSyntax bare = function_elements({"</tool_call>"});
         bare.before_name = "";
         o->push_back(tagged_opening("<function=", bare));
       }, kElements},
      {"glm45", [](const ToolSet&, Openings* o) { add_tool_call_tag(o); },
       {{"<tool_call>"}, "<tool_call>", "\n", "</tool_call>", "", Arguments::kTagged}},
      {"llama3_json", [](const ToolSet&, Openings* o) { o->push_back(json_opening("<|python_tag|>")); },
       {{}, "{\"name\": \"", "\", \"parameters\": ", "}", "}\n{\"name\": \"", Arguments::kJson, {{"<|python_tag|>", "{\"name\": \"", "}", "}; {\"name\": \""}}}},
      {"llama3_python_tag_json", [](const ToolSet&, Openings* o) { o->push_back(json_opening("<|python_tag|>")); },
       {{"<|python_tag|>"}, "<|python_tag|>{\"name\": \"", "\", \"parameters\": ", "}", "}; {\"name\": \""}},
      {"mistral_v3_array", add_mistral, {{"[TOOL_CALLS]"}, "[TOOL_CALLS][{\"name\": \"", "\", \"arguments\": ", "}]", kNextInList}},
      {"mistral_args", add_mistral, {{"[TOOL_CALLS]"}, "[TOOL_CALLS]", "[ARGS]", "", "[TOOL_CALLS]"}, {"[ARGS]"}},
      {"mistral_call_id_args", add_mistral, {{"[TOOL_CALLS]"}, "[TOOL_CALLS]", "[ARGS]", "", "[TOOL_CALLS]"}, {"[ARGS]", "[CALL_ID]"}},
      {"functionary_v3_1", [](const ToolSet&, Openings* o) {
         o->push_back(named_opening("<function=", {.steps = {{Kind::kName}, {Kind::kText, ">"}, {Kind::kArguments}, {Kind::kMaybeText, "</function>"}}}));
       }, {{"<function="}, "<function=", ">", "</function>", "</function><function="}},
      {"functionary_v3_2", add_functionary_v3_2, {.triggers = {">>>"}, .begin = "", .before_arguments = "\n", .end = "", .between = ">>>", .only_forced = true}},
      {"deepseek_v3", add_deepseek,
       {{"<｜tool▁calls▁begin｜>"}, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>", "\n```json\n", "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>", Arguments::kJson, {{"<｜tool▁call▁begin｜>", "function<｜tool▁sep｜>", "\n```<｜tool▁call▁end｜>"}}, {"<｜tool▁calls▁end｜>"}},
       {"<｜tool▁sep｜>", "<｜tool▁call▁end｜>"}},
      {"deepseek_v3_1", add_deepseek,
       {{"<｜tool▁calls▁begin｜>"}, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "<｜tool▁call▁end｜><｜tool▁call▁begin｜>", Arguments::kJson, {{"<｜tool▁call▁begin｜>", "", "<｜tool▁call▁end｜>"}}, {"<｜tool▁calls▁end｜>"}},
       {"<｜tool▁sep｜>", "<｜tool▁call▁end｜>"}},
      {"deepseek_dsml", [](const ToolSet&, Openings* o) {
         o->push_back(vanishing("<｜DSML｜tool_calls>"));
         o->push_back(vanishing("</｜DSML｜tool_calls>"));
         TaggedCallSyntax call = invoke_elements("｜DSML｜", {"</｜DSML｜tool_calls>"});
         call.before_name = "";
         o->push_back(tagged_opening("<｜DSML｜invoke name=\"", call));
       }, {{"<｜DSML｜tool_calls>"}, "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"", "\">\n", "</｜DSML｜invoke>\n</｜DSML｜tool_calls>", "", Arguments::kTagged}},
      {"kimi_k2", add_kimi,
       {{"<|tool_calls_section_begin|>"}, "<|tool_calls_section_begin|><|tool_call_begin|>functions.", ":0<|tool_call_argument_begin|>",
        "<|tool_call_end|><|tool_calls_section_end|>", "<|tool_call_end|><|tool_call_begin|>functions.", Arguments::kJson,
        {{"<|tool_call_begin|>", "functions.", "<|tool_call_end|>"}}, {"<|tool_calls_section_end|>"}}, {"<|tool_call_argument_begin|>", "<|tool_call_end|>"}},
      {"command_r7b", add_command,
       {{"<|START_ACTION|>"}, "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"", "\", \"parameters\": ", "}\n]<|END_ACTION|>",
        "},\n    {\"tool_call_id\": \"0\", \"tool_name\": \"", Arguments::kJson, {}, {"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>", "<|END_ACTION|>"}}},
      {"granite3", [](const ToolSet&, Openings* o) { o->push_back(json_opening("<|tool_call|>")); }, kMarkedList},
      {"phi4_mini", [](const ToolSet&, Openings* o) { o->push_back(json_opening("<|tool_call|>", {"<|/tool_call|>"})); },
       {{"<|tool_call|>"}, "<|tool_call|>[{\"name\": \"", "\", \"arguments\": ", "}]<|/tool_call|>", kNextInList}, {"<|/tool_call|>"}},
      {"firefunction_v2", [](const ToolSet&, Openings* o) { o->push_back(json_opening("functools")); },
       {{}, " functools[{\"name\": \"", "\", \"arguments\": ", "}]", kNextInList, Arguments::kJson, {{"functools", "[{\"name\": \"", "}]", kNextInList}}}},
      {"gigachat", [](const ToolSet&, Openings* o) { o->push_back(json_opening("function call<|role_sep|>", {"<|message_sep|>"})); },
       {{"function call<|role_sep|>"}, "function call<|role_sep|>\n{\"name\": \"", "\", \"arguments\": ", "}<|message_sep|>"}, {"<|role_sep|>", "<|message_sep|>"}},
      {"json_array", [](const ToolSet&, Openings*) {}, kBareList},
      {"pythonic", [](const ToolSet& tools, Openings* o) {
         o->push_back({"[", true, [] { return python_calls({}); }});
         o->push_back(python_opening("<|python_start|>", {"<|python_end|>"}));
         o->push_back(python_opening("```tool_code", {"```"}));
         add_python_names(tools, o);
       }, {{}, "[", "(", ")]", "), ", Arguments::kPython, {{"<|python_start|>", "[", ")]<|python_end|>", "), "}, {"```tool_code", "\n", ")\n```", ")\n"}}, {}, true}},
      {"gemma3_tool_code", [](const ToolSet& tools, Openings* o) {
         o->push_back(python_opening("```tool_code", {"```"}));
         o->push_back({"[", true, [] { return python_calls({}); }});
         add_python_names(tools, o);
       }, {{"```tool_code"}, "```tool_code\n", "(", ")\n```", ")\n", Arguments::kPython, {}, {}, true}},
      {"olmo3", [](const ToolSet&, Openings* o) { o->push_back(python_opening("<function_calls>", {"</function_calls>"})); },
       {{"<function_calls>"}, "<function_calls>", "(", ")</function_calls>", ")\n", Arguments::kPython}},
      {"lfm2", [](const ToolSet&, Openings* o) {
         o->push_back(python_opening("<|tool_call_start|>", {"<|tool_call_end|>"}));
         o->push_back(json_opening("<|tool_call_start|>", {"<|tool_call_end|>"}));
       }, {{"<|tool_call_start|>"}, "<|tool_call_start|>[", "(", ")]<|tool_call_end|>", "), ", Arguments::kPython}, {"<|tool_call_end|>"}},
      {"functiongemma", [](const ToolSet&, Openings* o) {
         o->push_back(named_opening("<start_function_call>", brace_call("<escape>", "<end_function_call>")));
       }, {{"<start_function_call>"}, "<start_function_call>call:", "", "<end_function_call>", "", Arguments::kBrace}, {"<end_function_call>", "<escape>"}},
      {"gemma4", [](const ToolSet&, Openings* o) {
         o->push_back(named_opening("<|tool_call>", brace_call("<|\"|>", "<tool_call|>")));
       }, {{"<|tool_call>"}, "<|tool_call>call:", "", "<tool_call|>", "", Arguments::kBrace}, {"<tool_call|>", "<|\"|>"}},
      {"minimax_m2", [](const ToolSet&, Openings* o) {
         o->push_back(vanishing("<minimax:tool_call>"));
         TaggedCallSyntax call = invoke_elements("", {"</minimax:tool_call>"});
         call.before_name = "";
         o->push_back(tagged_opening("<invoke name=\"", call));
       }, {{"<minimax:tool_call>"}, "<minimax:tool_call>\n<invoke name=\"", "\">\n", "</invoke>\n</minimax:tool_call>", "", Arguments::kTagged}},
      {"gpt_oss", add_harmony,
       {{"<|channel|>commentary to="}, "<|channel|>commentary to=functions.", " <|constrain|>json<|message|>", "<|call|>", "", Arguments::kJson, {}, {}, false, /*ends_answer=*/true, /*only_forced=*/true}, {"<|message|>", "<|constrain|>"}},
      {"generic_llamacpp", [](const ToolSet&, Openings* o) { o->push_back(bare_opening('{', {.response = true})); },
       {{}, "{\"tool_call\": {\"name\": \"", "\", \"arguments\": ", "}}", "", Arguments::kJson, {}, {}, false, false, /*only_forced=*/true}},
      {"generic_plain", [](const ToolSet&, Openings* o) { add_tool_call_tag(o); }, {{}, "{\"name\": \"", "\", \"arguments\": ", "}", "}\n{\"name\": \"", Arguments::kJson,
        {{"<tool_call>", "\n{\"name\": \"", "}\n</tool_call>"}}}},
  };
  return table;
}

const Row& row_of(std::string_view name) {
  const std::vector<Row>& table = rows();
  const auto row = std::find_if(table.begin(), table.end(), [&](const Row& r) { return r.name == name; });
  return row == table.end() ? table.back() : *row;
}

// Models leave their format: a reply that is only a call as JSON, bare or fenced, is one in every format.
void add_common(Openings* openings, bool exact) {
  openings->push_back(thoughts("<think>", "</think>"));
  openings->push_back(thoughts("[THINK]", "[/THINK]"));
  openings->push_back(bare_opening('{', {.exact = exact}));
  openings->push_back(bare_opening('[', {.exact = exact}));
  openings->push_back({"```", true, [exact] { return json_calls({.bare = true, .fenced = true, .exact = exact, .ends = {"```"}}); }});
}

// Only what begins with a trigger of the grammar, or needs none.
void keep_covered(const CallSyntax& syntax, const ToolSet& tools, Openings* openings) {
  const auto is_trigger = [&](const std::string& text) {
    return std::find(syntax.triggers.begin(), syntax.triggers.end(), text) != syntax.triggers.end() ||
           std::any_of(syntax.more_frames.begin(), syntax.more_frames.end(), [&](const CallFrame& frame) { return frame.trigger == text; });
  };
  std::erase_if(*openings, [&](const Opening& opening) { return opening.body && !is_trigger(opening.text); });
  if (!syntax.bare_python) return;
  openings->push_back({"[", true, [] { return python_calls({.exact = true}); }});
  for (const Tool& tool : tools.tools()) {
    openings->push_back({tool.name + "(", true, [name = tool.name] { return python_calls({.name = name, .exact = true}); }});
  }
}

}  // namespace

std::vector<std::string> call_format_names() {
  std::vector<std::string> names;
  for (const Row& row : rows()) names.emplace_back(row.name);
  return names;
}

bool is_call_format(std::string_view name) { return row_of(name).name == name; }

CallFormat make_call_format(std::string_view name, const ToolSet& tools, bool exact) {
  const Row& row = row_of(name);
  CallFormat format{row.name, {}, row.syntax, row.markers};
  row.add(tools, &format.openings);
  if (exact && is_exact_in_free_text(row.name, tools)) keep_covered(row.syntax, tools, &format.openings);
  add_common(&format.openings, exact);
  return format;
}

CallFormat plain_format() { return {"plain", {thoughts("<think>", "</think>"), thoughts("[THINK]", "[/THINK]")}, {}}; }

CallSyntax call_syntax(std::string_view name) { return row_of(name).syntax; }

std::vector<std::string> visible_markers(const CallFormat& format) {
  std::vector<std::string> markers = format.markers;
  for (const Opening& opening : format.openings) {
    if (opening.text.size() < 3) continue;
    markers.push_back(opening.text);
    if (!opening.reasoning_end.empty()) markers.push_back(opening.reasoning_end);
  }
  // Closing tags of the common kinds.
  for (const char* end : {"</tool_call>", "</function>", "</tools>", "<|END_ACTION|>"}) markers.emplace_back(end);
  std::sort(markers.begin(), markers.end());
  markers.erase(std::unique(markers.begin(), markers.end()), markers.end());
  return markers;
}

}  // namespace hanlin::agent
