#include "agent/call_grammar.h"

#include <algorithm>
#include <array>

#include "base/json.h"

namespace hanlin::agent {
namespace {

constexpr std::string_view kJsonFormat = "generic_plain";

bool has_any(const Json& object, std::initializer_list<const char*> keys) {
  return std::any_of(keys.begin(), keys.end(), [&](const char* key) { return object.contains(key); });
}

// Every required property is declared.
bool declares_what_it_requires(const Json& schema) {
  const Json required = schema.value("required", Json::array());
  return required.is_array() && std::all_of(required.begin(), required.end(), [&](const Json& name) {
    return name.is_string() && schema["properties"].contains(name.get_ref<const std::string&>());
  });
}

// Whether key=value says all of the schema: properties one by one, no condition over several of them.
bool is_property_list(const Tool& tool) {
  static constexpr std::array<std::string_view, 14> kKnown = {"type", "properties", "required", "additionalProperties", "title", "description", "default",
                                                              "examples", "$schema", "$id", "$defs", "definitions", "strict", "$comment"};
  const Json schema = parameters_schema(tool);
  for (const auto& [key, value] : schema.items()) {
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end()) return false;
  }
  if (!schema.contains("properties")) return !schema.contains("required") || schema["required"].empty();
  for (const auto& [key, value] : schema["properties"].items()) {
    if (key.empty() || !std::all_of(key.begin(), key.end(), is_name_char)) return false;
  }
  return declares_what_it_requires(schema);
}

bool can_write(const CallSyntax& syntax, const ToolSet& tools) {
  if (syntax.arguments == CallSyntax::Arguments::kJson) return true;
  return syntax.arguments == CallSyntax::Arguments::kPython && std::all_of(tools.tools().begin(), tools.tools().end(), is_property_list);
}

// Writes the rules of one request.
class Writer {
 public:
  Writer(CallSyntax syntax, const ToolSet& tools, bool legacy_list) : syntax_(std::move(syntax)), tools_(tools), legacy_list_(legacy_list) {}

  // `whole`: the answer is calls from its first byte on.
  api::Constraint write(const CallGrammarOptions& options, bool whole, bool own_calls) {
    many_ = options.max_calls > 1;
    constraint_.kind = api::Constraint::Kind::kCalls;
    constraint_.param = "tools";
    constraint_.calls.one_call = !many_;
    for (size_t i = 0; i < tools_.tools().size(); ++i) add_arguments(i);
    if (own_calls) add_calls();
    if (whole) {
      rule("root", whole_calls());
    } else if (!options.answer_schema.empty()) {
      constraint_.calls.values.push_back({"answer", options.answer_schema, false, options.answer_param});
      add_objects(/*cut=*/"");
      rule("root", std::string(own_calls ? whole_calls() + " | " : "") + "object | list | @answer");
    } else {
      rule("root", "lead");
      if (own_calls) add_triggers();
      add_leads(own_calls);
      add_thoughts(options);
    }
    return std::move(constraint_);
  }

 private:
  void rule(const std::string& name, const std::string& body) { constraint_.source += name + " ::= " + body + "\n"; }

  std::string where(size_t tool_idx) const {
    const std::string idx = "[" + std::to_string(tools_.tools()[tool_idx].list_idx) + "]";
    return legacy_list_ ? "functions" + idx + ".parameters" : "tools" + idx + ".function.parameters";
  }

  void add_value(const std::string& name, std::string schema, size_t tool_idx) {
    const Tool& tool = tools_.tools()[tool_idx];
    constraint_.calls.values.push_back({name, std::move(schema), !tool.strict, where(tool_idx)});
  }

  // args-N: the arguments in the format's notation; @vN: as a JSON object.
  void add_arguments(size_t i) {
    const Tool& tool = tools_.tools()[i];
    const std::string number = std::to_string(i);
    add_value("v" + number, arguments_schema(tool), i);
    if (syntax_.arguments != CallSyntax::Arguments::kPython || !is_property_list(tool)) return rule("args-" + number, "@v" + number);
    const Json schema = parameters_schema(tool);
    const Json properties = schema.value("properties", Json::object());
    const Json required = schema.value("required", Json::array());
    // args-N-K-F: from the K-th property on; F: something was written before.
    const auto name_of = [&](size_t k, bool any) { return "args-" + number + "-" + std::to_string(k) + (any ? "-t" : "-f"); };
    rule("args-" + number, name_of(0, false));
    size_t k = 0;
    for (const auto& [key, value] : properties.items()) {
      const std::string name = "v" + number + "-" + std::to_string(k);
      add_value(name, property_schema(schema, value), i);
      const bool must = std::find(required.begin(), required.end(), Json(key)) != required.end();
      for (const bool any : {false, true}) {
        std::string body = ebnf_literal((any ? ", " : "") + key + "=") + " @" + name + " " + name_of(k + 1, true);
        if (!must) body += " | " + name_of(k + 1, any);
        rule(name_of(k, any), body);
      }
      ++k;
    }
    rule(name_of(k, false), "\"\"");
    rule(name_of(k, true), "\"\"");
  }

  // A property's schema as a document of its own, with the definitions that it may refer to.
  static std::string property_schema(const Json& schema, const Json& property) {
    if (!property.is_object()) return dump_json(property);
    Json out = property;
    for (const char* key : {"$schema", "$defs", "definitions"}) {
      if (schema.contains(key) && !out.contains(key)) out[key] = schema[key];
    }
    return dump_json(out);
  }

  void add_calls() {
    std::string any;
    for (size_t i = 0; i < tools_.tools().size(); ++i) {
      any += (any.empty() ? "" : " | ") + ebnf_literal(tools_.tools()[i].name + syntax_.before_arguments) + " args-" + std::to_string(i);
    }
    rule("call", any);
  }

  std::string calls(const std::string& between) const { return !many_ || between.empty() ? "call" : "call (" + ebnf_literal(between) + " call)*"; }

  void add_triggers() {
    int n = 0;
    const auto add = [&](const std::string& trigger, const std::string& begin, const std::string& between, const std::string& end) {
      const std::string name = "frame-" + std::to_string(n++);
      // Where the next call has a frame of its own, its trigger begins it.
      rule(name, ebnf_literal(begin.substr(trigger.size())) + " " + calls(between.starts_with(end) && !end.empty() ? "" : between) + " " + ebnf_literal(end));
      constraint_.calls.triggers.push_back({trigger, name});
    };
    for (const std::string& trigger : syntax_.triggers) add(trigger, syntax_.begin, syntax_.between, syntax_.end);
    for (const CallFrame& frame : syntax_.more_frames) add(frame.trigger, frame.trigger + frame.begin, frame.between, frame.end);
    for (const std::string& text : syntax_.restarts) constraint_.calls.triggers.push_back({text, ""});
  }

  // The format's own calls as a whole answer.
  std::string whole_calls() const {
    return ebnf_literal(syntax_.begin) + " " + calls(syntax_.between) + " " + ebnf_literal(syntax_.ends_answer ? "" : syntax_.end);
  }

  // Calls as JSON without a marker. The parser takes exactly these, so up to the cut the white space is as free as there.
  void add_objects(const std::string& cut) {
    rule("ws", cut.empty() ? "sp" : "[ \\n\\t\\r]*");
    rule("sp", "[ \\n\\t\\r]{0,16}");
    std::string named;
    for (size_t i = 0; i < tools_.tools().size(); ++i) {
      named += (named.empty() ? "" : " | ") + ebnf_literal("\"" + tools_.tools()[i].name + "\"") + cut + " sp \",\" sp key sp \":\" sp @v" + std::to_string(i);
    }
    rule("key", R"("\"arguments\"" | "\"parameters\"")");
    rule("object", "\"{\" ws \"\\\"name\\\"\" ws \":\" ws (" + named + ") sp \"}\"");
    rule("list", std::string("\"[\" ws object") + (many_ ? " (sp \",\" sp object)*" : "") + " sp \"]\"");
  }

  // What is tried where free text starts: bare and fenced JSON, and bare Python where the format has that.
  void add_leads(bool own_calls) {
    add_objects(" !");
    std::string python;
    for (size_t i = 0; i < tools_.tools().size(); ++i) {
      python += (python.empty() ? "" : " | ") + ebnf_literal(tools_.tools()[i].name + "(") + " ! args-" + std::to_string(i) + " \")\"";
    }
    rule("fenced", "\"```\" (\"json\" | \"JSON\" | \"tool_call\" | \"tool_calls\" | \"tool\" | \"jsonl\")? ws (object | list) sp \"```\"");
    std::string lead = "object | list | fenced";
    if (own_calls && syntax_.bare_python) {
      rule("python", python);
      lead += std::string(" | python | \"[\" ws python") + (many_ ? " (\", \" python)*" : "") + " \"]\"";
    }
    rule("lead", lead);
    constraint_.calls.lead = "lead";
  }

  void add_thoughts(const CallGrammarOptions& options) {
    constraint_.calls.in_thoughts = options.in_reasoning;
    constraint_.calls.thoughts_end = options.reasoning_end;
    if (options.reasoning_end == "</think>") constraint_.calls.thoughts_begin = "<think>";
    if (options.reasoning_end == "[/THINK]") constraint_.calls.thoughts_begin = "[THINK]";
    if (options.reasoning_end == "<|END_THINKING|>") constraint_.calls.thoughts_begin = "<|START_THINKING|>";
  }

  const CallSyntax syntax_;
  const ToolSet& tools_;
  const bool legacy_list_;
  bool many_ = true;
  api::Constraint constraint_;
};

}  // namespace

std::string ebnf_literal(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') out += "\\n";
    else out += c;
  }
  return out + "\"";
}

std::string arguments_schema(const Tool& tool) {
  Json schema = parameters_schema(tool);
  schema["type"] = "object";
  const bool is_closed_form = schema.contains("properties") && schema["properties"].is_object() &&
                              !has_any(schema, {"additionalProperties", "unevaluatedProperties", "patternProperties", "propertyNames", "minProperties", "$ref", "$dynamicRef",
                                                "allOf", "anyOf", "oneOf", "not", "if", "dependentRequired", "dependentSchemas", "dependencies"});
  if (is_closed_form && declares_what_it_requires(schema)) schema["additionalProperties"] = false;
  return dump_json(schema);
}

std::string forced_call_format(std::string_view format, const ToolSet& tools) {
  return std::string(can_write(call_syntax(format), tools) ? format : kJsonFormat);
}

bool is_exact_in_free_text(std::string_view format, const ToolSet& tools) {
  const CallSyntax syntax = call_syntax(format);
  return !syntax.only_forced && can_write(syntax, tools);
}

std::string forced_call_prefix(std::string_view format, const ToolSet& tools, const ForcedCall& forced) {
  const CallSyntax syntax = call_syntax(forced_call_format(format, tools));
  std::string text = syntax.begin;
  if (!forced.name.empty()) text += forced.name + syntax.before_arguments;
  // A space belongs to the token that follows.
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

api::Constraint call_constraint(std::string_view format, const ToolSet& tools, const CallGrammarOptions& options, bool legacy_list) {
  const bool whole = options.forced.required;
  const CallSyntax syntax = call_syntax(whole ? forced_call_format(format, tools) : std::string(format));
  api::Constraint constraint = Writer(syntax, tools, legacy_list).write(options, whole, whole || is_exact_in_free_text(format, tools));
  constraint.calls.markers = visible_markers(make_call_format(format, tools));
  if (whole) constraint.calls.prefix = forced_call_prefix(format, tools, options.forced);
  return constraint;
}

}  // namespace hanlin::agent
