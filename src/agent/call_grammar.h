// The grammar of calls: what a model may write so that every call parses, names an offered tool and has arguments that
// follow the tool's JSON Schema.
#pragma once

#include <string>
#include <string_view>

#include "agent/call_parser/call_format.h"
#include "agent/tool_prompt.h"
#include "agent/tool_set.h"
#include "api/generate.h"

namespace hanlin::agent {

struct CallGrammarOptions {
  ForcedCall forced = {};          // demanded: the answer is calls and nothing else
  int max_calls = 1 << 20;         // 1: nothing follows the first call
  bool in_reasoning = false;       // the prompt opened the thoughts, …
  std::string reasoning_end = "</think>";  // … which end with this
  std::string answer_schema = {};  // not empty: what is no call is a JSON text that follows this JSON Schema, not free text
  std::string answer_param = {};   // the request field it came from
};

// The format in which calls of these tools are demanded: `format`, or a JSON form that every parser reads where `format`
// has no notation for their arguments in which a schema can be enforced.
std::string forced_call_format(std::string_view format, const ToolSet& tools);
// Whether everything that the format's parser takes for a call follows the grammar in free text, too. If not, only calls as
// bare or fenced JSON do.
bool is_exact_in_free_text(std::string_view format, const ToolSet& tools);
// What the prompt holds of a demanded call.
std::string forced_call_prefix(std::string_view format, const ToolSet& tools, const ForcedCall& forced);
// The constraint for answers that are read with make_call_format(format, tools, exact = true). A strict tool's schema is enforced or
// refused when the request is submitted (param "tools[2].function.parameters"; `list` is the list's name); another's falls
// back to any object.
api::Constraint call_constraint(std::string_view format, const ToolSet& tools, const CallGrammarOptions& options, bool legacy_list = false);

// A text as a string of EBNF.
std::string ebnf_literal(std::string_view text);

// The schema that arguments are held to: the tool's own; an object; undeclared properties only where it asks for them.
std::string arguments_schema(const Tool& tool);

}  // namespace hanlin::agent
