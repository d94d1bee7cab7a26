#include "agent/tool_prompt.h"

#include <algorithm>
#include <cstdint>
#include <map>

#include "agent/call_grammar.h"
#include "agent/call_parser/call_format.h"
#include "agent/call_parser/value_reader.h"
#include "agent/language.h"
#include "base/json.h"

namespace hanlin::agent {
namespace {

std::string tool_objects(const ToolSet& tools, const char* separator) {
  std::string text;
  for (const Tool& tool : tools.tools()) {
    text += text.empty() ? "" : separator;
    text += "{\"name\": " + json_string(tool.name);
    if (!tool.description.empty()) text += ", \"description\": " + json_string(tool.description);
    text += ", \"parameters\": " + (tool.parameters_json.empty() ? R"({"type": "object", "properties": {}})" : tool.parameters_json) + "}";
  }
  return text;
}

// The prompt that SmolLM2 was tuned with (from its model card).
std::string smollm2_prompt(const ToolSet& tools) {
  return "You are an expert in composing functions. You are given a question and a set of possible functions. \n"
         "Based on the question, you will need to make one or more function/tool calls to achieve the purpose. \n"
         "If none of the functions can be used, point it out and refuse to answer. \n"
         "If the given question lacks the parameters required by the function, also point it out.\n\n"
         "You have access to the following tools:\n<tools>[" + tool_objects(tools, ", ") + "]</tools>\n\n"
         "The output MUST strictly adhere to the following format, and NO other text MUST be included.\n"
         "The example format is as follows. Please make sure the parameter type is correct. If no function call is needed, please make "
         "the tool calls an empty list '[]'.\n<tool_call>[\n"
         "{\"name\": \"func_name1\", \"arguments\": {\"argument1\": \"value1\", \"argument2\": \"value2\"}},\n"
         "... (more tool calls as required)\n]</tool_call>";
}

// The form that Gemma 3's documentation asks for.
std::string gemma_prompt(const ToolSet& tools) {
  return "You have access to functions. If you decide to invoke any of the function(s), you MUST put it in the format of\n"
         "[func_name1(params_name1=params_value1, params_name2=params_value2...), func_name2(params)]\n\n"
         "You SHOULD NOT include any other text in the response if you call a function\n\n[" + tool_objects(tools, ",\n") + "]";
}

std::string generic_prompt(const ToolSet& tools) {
  return "You can call these tools, one JSON object a line:\n" + tool_objects(tools, "\n") +
         "\n\nTo call a tool, answer with nothing but one JSON object:\n{\"name\": \"<name of the tool>\", \"arguments\": {<its arguments>}}\n"
         "When no tool is needed, answer in plain words.";
}

// A JSON value as Python writes it.
std::string python_text(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_null()) return "None";
  if (!value.is_structured()) return dump_json(value);
  std::string text;
  for (const auto& [key, item] : value.items()) {
    text += text.empty() ? "" : ", ";
    text += (value.is_object() ? json_string(key) + ": " : "") + python_text(item);
  }
  return value.is_object() ? "{" + text + "}" : "[" + text + "]";
}

// Nine letters and digits, the same for the same id.
std::string short_id(const std::string& id) {
  uint64_t hash = 14695981039346656037ull;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  std::string text;
  for (int i = 0; i < 9; ++i, hash /= 62) text += "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[hash % 62];
  return text;
}

// Every result knows whose it is: calls without an id get one, results the name of their tool.
void link_results(std::vector<api::Message>* messages, bool short_ids) {
  std::map<std::string, std::string> names;
  std::string last_id;
  int n_made = 0;
  for (api::Message& message : *messages) {
    for (api::ToolCall& call : message.tool_calls) {
      if (call.id.empty()) call.id = "call_" + std::to_string(n_made++);
      last_id = call.id;
      names[call.id] = call.name;
      if (short_ids) call.id = short_id(call.id);
    }
    if (message.role == "function") message.role = "tool";
    if (message.role != "tool") continue;
    if (message.tool_call_id.empty()) message.tool_call_id = last_id;
    if (message.name.empty()) message.name = names[message.tool_call_id];
    if (short_ids) message.tool_call_id = short_id(message.tool_call_id);
  }
}

void show_tools(const ChatStyle& style, const ToolSet& tools, std::vector<api::Message>* messages) {
  const std::string text = tools_as_text(style.format, tools);
  const bool has_system = !messages->empty() && (messages->front().role == "system" || messages->front().role == "developer");
  if (has_system) {
    messages->front().content += (messages->front().content.empty() ? "" : "\n\n") + text;
  } else if (style.takes_system) {
    messages->insert(messages->begin(), api::Message{"system", text});
  } else {
    for (api::Message& message : *messages) {
      if (message.role != "user") continue;
      message.content = text + "\n\n" + message.content;
      return;
    }
    messages->insert(messages->begin(), api::Message{"user", text});
  }
}

void show_calls(const std::string& format, api::Message* message) {
  for (const api::ToolCall& call : message->tool_calls) {
    if (!message->content.empty()) message->content += "\n";
    message->content += call_as_text(format, call.name, call.arguments);
  }
  message->tool_calls.clear();
}

// Results in a row become one message of the user, and join a message of the user that follows.
std::vector<api::Message> fold_results(const std::string& format, std::vector<api::Message> messages) {
  const bool python = call_syntax(format).arguments == CallSyntax::Arguments::kPython;
  std::vector<api::Message> folded;
  bool after_result = false;
  for (api::Message& message : messages) {
    const bool result = message.role == "tool";
    if (result) {
      message = {"user", python ? "```tool_output\n" + message.content + "\n```" : "<tool_response>\n" + message.content + "\n</tool_response>"};
    }
    if (after_result && message.role == "user") folded.back().content += (result ? "\n" : "\n\n") + message.content;
    else folded.push_back(std::move(message));
    after_result = result || (after_result && folded.back().role == "user");
  }
  return folded;
}

std::string opening_text(const ChatStyle& style, const ToolSet& tools, const ForcedCall& forced) {
  const std::string text = forced_call_prefix(style.format, tools, forced);
  return style.opens_reasoning && !text.empty() ? "\n" + style.reasoning_end + "\n\n" + text : text;
}

// Behind results small models go on calling, the same or anything else, until one sentence says that an answer is expected.
void add_hint(std::vector<api::Message>* messages) {
  if (messages->empty() || messages->back().role != "tool") return;
  const auto question = std::find_if(messages->rbegin(), messages->rend(), [](const api::Message& message) { return message.role == "user"; });
  messages->push_back({.role = "user", .content = words_for(question == messages->rend() ? "" : question->content).after_results});
}

}  // namespace

std::string tools_as_text(const std::string& format, const ToolSet& tools) {
  if (format == "smollm2") return smollm2_prompt(tools);
  if (format == "pythonic" || format == "gemma3_tool_code") return gemma_prompt(tools);
  if (format == "generic_plain") return generic_prompt(tools);
  const CallSyntax syntax = call_syntax(format);
  std::string arguments = "{\"key\": \"value\"}";
  if (syntax.arguments == CallSyntax::Arguments::kPython) arguments = "key=\"value\"";
  if (syntax.arguments != CallSyntax::Arguments::kJson && syntax.arguments != CallSyntax::Arguments::kPython) return generic_prompt(tools);
  return "You can call these tools, one JSON object a line:\n" + tool_objects(tools, "\n") +
         "\n\nTo call a tool, answer with nothing but:\n" + syntax.begin + "name_of_the_tool" + syntax.before_arguments + arguments + syntax.end +
         "\nWhen no tool is needed, answer in plain words.";
}

std::string call_as_text(const std::string& format, const std::string& name, const std::string& arguments_json) {
  const CallSyntax syntax = call_syntax(format);
  const std::string json = arguments_json.empty() ? "{}" : arguments_json;
  if (syntax.arguments == CallSyntax::Arguments::kJson) return syntax.begin + name + syntax.before_arguments + json + syntax.end;
  const Result<Json> arguments = parse_json(json);
  if (syntax.arguments != CallSyntax::Arguments::kPython || !arguments.ok() || !arguments->is_object()) {
    return "{\"name\": " + json_string(name) + ", \"arguments\": " + json + "}";
  }
  std::string text;
  for (const auto& [key, value] : arguments->items()) text += (text.empty() ? "" : ", ") + key + "=" + python_text(value);
  return syntax.begin + name + syntax.before_arguments + text + syntax.end;
}

void fit_prompt(const ChatStyle& style, const ToolSet& tools, const ForcedCall& forced, api::ChatPrompt* prompt) {
  link_results(&prompt->messages, style.format.starts_with("mistral"));
  if (style.needs_hints && !tools.empty() && !forced.required) add_hint(&prompt->messages);
  if (!style.shows_calls) {
    for (api::Message& message : prompt->messages) show_calls(style.format, &message);
  }
  if (!style.shows_results) prompt->messages = fold_results(style.format, std::move(prompt->messages));
  if (!style.shows_tools) {
    prompt->tools_json.clear();
    if (!tools.empty()) show_tools(style, tools, &prompt->messages);
  }
  if (forced.required) prompt->answer_prefix = opening_text(style, tools, forced);
}

}  // namespace hanlin::agent
