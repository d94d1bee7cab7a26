// The kinds of tools that files describe (tool_file.h reads them): how each is run.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/runnable_tool.h"
#include "agent/sandbox/sandbox.h"
#include "base/json.h"
#include "net/address_rules.h"

namespace hanlin::agent {

// What every tool of a file has.
struct FileToolHead {
  Tool tool;
  Permission permission = Permission::kAllow;
  Json defaults = Json::object();  // of top-level arguments, as their schema gives them; filled in where a call has none
  size_t max_bytes = 64 << 10;     // of the result; more is cut, and the result says so
};

// Where an argument goes in an HTTP request.
enum class ArgumentPlace { kPath, kQuery, kHeader, kBody };
struct HttpArgument {
  std::string name;          // the argument's
  ArgumentPlace place = ArgumentPlace::kQuery;
  std::string name_there;    // in the query, header or body
  bool explode = true;       // a list in the query: "a=1&a=2"; otherwise "a=1,2"
};

// A request to one server. "{argument}" in `url` stands in the path or query.
struct HttpToolSpec {
  std::string method = "GET";
  std::string url;  // environment already filled in
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<HttpArgument> arguments;   // with a place of their own
  ArgumentPlace rest = ArgumentPlace::kQuery;  // of all others: kQuery or kBody
  std::string whole_body;                // name of the argument that is the body; empty: an object of all kBody arguments
  net::HttpRules rules;
  std::chrono::milliseconds timeout{30000};
};
// The answer's body is the result; a status other than 2xx is an error with the body in it.
std::shared_ptr<RunnableTool> make_http_tool(FileToolHead head, HttpToolSpec spec);

// A program that gets the arguments as one JSON object on stdin and prints the result.
struct CommandToolSpec {
  std::vector<std::string> argv;
  std::string folder;  // working folder; in the sandbox it is shown read-only at /tool
  std::chrono::seconds timeout{30};
  bool sandbox = false;
  SandboxKind sandbox_kind = SandboxKind::kNative;
  SandboxLimits sandbox_limits = {};
};
// kNotFound: in the sandbox, a program that it does not show.
Result<std::shared_ptr<RunnableTool>> make_command_tool(FileToolHead head, CommandToolSpec spec);

// A fixed result. In its texts "{argument}" is replaced by the argument; a text that is nothing else becomes its JSON value.
std::shared_ptr<RunnableTool> make_fixed_tool(FileToolHead head, Json result);

// A tool that a person runs (is_manual()); it asks, unless it is denied.
std::shared_ptr<RunnableTool> make_manual_tool(FileToolHead head);

// Which servers such a tool may reach: only the one that its file names. A private address is allowed if the file names it as such
// ("127.0.0.1", "localhost"), or says that the name belongs to a private network.
net::HttpRules rules_for_named_server(const hub::Url& url, bool private_network);

// What is not unreserved in RFC 3986 becomes %XX.
std::string percent_encode(std::string_view text);
// A JSON value as it stands in an address or a text: a string without its quotes, everything else as JSON.
std::string plain_text(const Json& value);

}  // namespace hanlin::agent
