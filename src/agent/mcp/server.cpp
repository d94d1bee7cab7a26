#include "agent/mcp/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <istream>
#include <ostream>

#include "agent/mcp/session.h"
#include "base/log.h"
#include "base/task_pool.h"

namespace hanlin::agent::mcp {
namespace {

constexpr int64_t kParseError = -32700, kInvalidRequest = -32600, kInvalidParams = -32602, kInternalError = -32603;
constexpr const char* kVersionKey = "io.modelcontextprotocol/protocolVersion";
constexpr int kCallsAtOnce = 8;
constexpr size_t kCallsWaiting = 1000;

// Without an id where the request has none that could be repeated: the protocol's schema knows no null here.
Json error_reply(const Json& id, int64_t code, const std::string& message, Json data = Json()) {
  Json reply{{"jsonrpc", "2.0"}};
  if (!id.is_null()) reply["id"] = id;
  reply["error"] = {{"code", code}, {"message", message}};
  if (!data.is_null()) reply["error"]["data"] = std::move(data);
  return reply;
}
Json result_reply(const Json& id, Json result) { return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}}; }

Json all_versions() {
  Json versions = Json::array({kModernVersion});
  for (const char* version : kHandshakeVersions) versions.push_back(version);
  return versions;
}

Json schema_of(const Tool& tool) {
  Json object = parameters_schema(tool);
  if (!object.contains("type")) object["type"] = "object";
  return object;
}

}  // namespace

Server::Server(ToolBox box, ServerOptions options) : box_(std::move(box)), options_(std::move(options)) {}

Json Server::server_info() const { return {{"name", "hanlin"}, {"version", options_.version}}; }

bool Server::may_block(const Json& message) {
  if (message.is_array()) return std::any_of(message.begin(), message.end(), [](const Json& item) { return may_block(item); });
  return member(message, "method") == "tools/call";
}

Json Server::handle(const Json& message) {
  if (!message.is_array()) return handle_one(message);
  if (message.empty()) return error_reply(Json(), kInvalidRequest, "expected a message, got an empty list");
  Json replies = Json::array();
  for (const Json& item : message) {
    if (Json reply = handle_one(item); !reply.is_null()) replies.push_back(std::move(reply));
  }
  return replies.empty() ? Json() : replies;
}

void Server::cancel_all() {
  const std::lock_guard lock(mutex_);
  closing_ = true;
  for (auto& [id, stop] : running_) stop.request_stop();
}

Json Server::handle_one(const Json& message) {
  const Json id = member(message, "id"), method = member(message, "method"), params = member(message, "params");
  const bool has_id = id.is_string() || id.is_number_integer();
  if (!method.is_string()) {
    if (message.is_object() && (message.contains("result") || message.contains("error"))) return Json();  // we ask for nothing
    return error_reply(has_id ? id : Json(), kInvalidRequest, "expected a JSON-RPC message with a method");
  }
  if (id.is_null() && !(message.contains("id"))) {
    if (method == "notifications/cancelled") {
      const std::lock_guard lock(mutex_);
      const std::string key = dump_json(member(params, "requestId"));
      if (const auto found = running_.find(key); found != running_.end()) found->second.request_stop();
      else if (cancelled_early_.size() < kCallsWaiting) cancelled_early_.insert(key);
    }
    return Json();
  }
  if (!has_id) return error_reply(Json(), kInvalidRequest, "expected an id that is a text or an integer");
  if (!params.is_null() && !params.is_object()) return error_reply(id, kInvalidParams, "expected params that are an object");
  const Json meta = member(params, "_meta"), version = member(meta, kVersionKey);
  if (!version.is_null() && version != kModernVersion) {
    return error_reply(id, kUnsupportedVersion, "Unsupported protocol version", {{"supported", all_versions()}, {"requested", version.is_string() ? version : Json(dump_json(version))}});
  }
  return answer({id, method.get<std::string>(), params.is_null() ? Json::object() : params, !version.is_null()});
}

Json Server::answer(const Request& request) {
  Json reply;
  if (request.method == "server/discover" && request.is_modern) reply = result_reply(request.id, discover());
  else if (request.method == "initialize" && !request.is_modern) reply = initialize(request);
  else if (request.method == "ping" && !request.is_modern) reply = result_reply(request.id, Json::object());
  else if (request.method == "tools/list") reply = list(request);
  else if (request.method == "tools/call") reply = call(request);
  else reply = error_reply(request.id, kMethodNotFound, "Method not found: " + request.method);
  if (request.is_modern && reply.is_object() && reply.contains("result")) {
    reply["result"]["resultType"] = "complete";
    reply["result"]["_meta"]["io.modelcontextprotocol/serverInfo"] = server_info();
  }
  return reply;
}

Json Server::initialize(const Request& request) {
  const Json wanted = member(request.params, "protocolVersion");
  if (!wanted.is_string()) return error_reply(request.id, kInvalidParams, "expected protocolVersion");
  // The version asked for, or the newest of ours; the client leaves if it cannot do that.
  const auto known = std::find(std::begin(kHandshakeVersions), std::end(kHandshakeVersions), wanted.get<std::string>());
  Json result{{"protocolVersion", known == std::end(kHandshakeVersions) ? kHandshakeVersions[0] : *known},
              {"capabilities", {{"tools", Json::object()}}},
              {"serverInfo", server_info()}};
  if (!options_.instructions.empty()) result["instructions"] = options_.instructions;
  return result_reply(request.id, std::move(result));
}

Json Server::discover() const {
  Json result{{"supportedVersions", {kModernVersion}}, {"capabilities", {{"tools", Json::object()}}}, {"ttlMs", 3600000}, {"cacheScope", "private"}};
  if (!options_.instructions.empty()) result["instructions"] = options_.instructions;
  return result;
}

Json Server::list(const Request& request) const {
  size_t first = 0;
  if (const Json cursor = member(request.params, "cursor"); !cursor.is_null()) {
    const std::string text = cursor.is_string() ? cursor.get<std::string>() : "";
    const bool is_number = !text.empty() && text.size() < 9 && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    first = is_number ? std::stoul(text) : 0;
    if (first == 0 || first >= box_.tools().size()) return error_reply(request.id, kInvalidParams, "Unknown cursor");
  }
  Json result{{"tools", Json::array()}};
  size_t idx = first;
  for (; idx < box_.tools().size() && result["tools"].size() < options_.page_size; ++idx) {
    const RunnableTool& tool = *box_.tools()[idx];
    if (tool.permission() == Permission::kDeny) continue;
    Json shown{{"name", tool.tool().name}};
    if (!tool.tool().description.empty()) shown["description"] = tool.tool().description;
    shown["inputSchema"] = schema_of(tool.tool());
    result["tools"].push_back(std::move(shown));
  }
  if (idx < box_.tools().size()) result["nextCursor"] = std::to_string(idx);
  if (request.is_modern) result["ttlMs"] = 3600000, result["cacheScope"] = "private";
  return result_reply(request.id, std::move(result));
}

Json Server::call(const Request& request) {
  const Json name = member(request.params, "name"), arguments = member(request.params, "arguments");
  if (!name.is_string()) return error_reply(request.id, kInvalidParams, "expected the name of a tool");
  RunnableTool* const tool = box_.find(name.get<std::string>());
  if (tool == nullptr || tool->permission() == Permission::kDeny) return error_reply(request.id, kInvalidParams, "Unknown tool: " + name.get<std::string>());
  if (!arguments.is_null() && !arguments.is_object()) return error_reply(request.id, kInvalidParams, "expected arguments that are an object");

  const std::string key = dump_json(request.id);
  std::stop_source stop;
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_early_.erase(key) > 0) return Json();
    if (closing_) stop.request_stop();
    if (!running_.emplace(key, stop).second) return error_reply(request.id, kInvalidRequest, "a request with this id is still running");
  }
  Json result = result_of_call(*tool, arguments.is_null() ? Json::object() : arguments, stop.get_token());
  const std::lock_guard lock(mutex_);
  running_.erase(key);
  return stop.stop_requested() ? Json() : result_reply(request.id, std::move(result));  // nobody waits for a cancelled one
}

// What goes wrong in a tool is a result that the model can read, no error of the protocol.
Json Server::result_of_call(RunnableTool& tool, const Json& arguments, std::stop_token stop) const {
  const ToolContext context{.deadline = std::chrono::steady_clock::now() + options_.call_timeout, .stop = std::move(stop)};
  const Status checked = options_.check ? options_.check(tool.tool(), arguments) : Status();
  const Result<std::string> output = checked.ok() ? run_tool(tool, arguments, context) : Result<std::string>(checked.error());
  const std::string& text = output.ok() ? *output : output.error().message;
  return {{"content", {{{"type", "text"}, {"text", text}}}}, {"isError", !output.ok()}};
}

// ---- stdio --------------------------------------------------------------------------------------------------------

namespace {

// The next line without its end. False: there is none, or it is too long.
bool read_line(std::istream& in, size_t max_bytes, std::string* line) {
  line->clear();
  std::streambuf* const bytes = in.rdbuf();
  for (int c = bytes->sbumpc(); c != std::char_traits<char>::eof(); c = bytes->sbumpc()) {
    if (c == '\n') return true;
    *line += static_cast<char>(c);
    if (line->size() > max_bytes) return false;
  }
  return !line->empty();
}

}  // namespace

Status serve_stdio(Server& server, std::istream& in, std::ostream& out) {
  std::mutex writing;
  const auto send = [&](const Json& reply) {
    if (reply.is_null()) return;
    const std::lock_guard lock(writing);
    out << dump_json(reply) << '\n' << std::flush;
  };
  std::mutex counting;
  std::condition_variable finished;
  int n_open = 0;
  TaskPool calls(kCallsAtOnce, kCallsWaiting);
  const auto start = [&](Json message) {
    {
      const std::lock_guard lock(counting);
      ++n_open;
    }
    const bool posted = calls.try_post([&, message] {
      send(server.handle(message));
      const std::lock_guard lock(counting);
      --n_open;
      finished.notify_all();
    });
    if (posted) return;
    send(error_reply(member(message, "id"), kInternalError, "too many calls are waiting"));
    const std::lock_guard lock(counting);
    --n_open;
  };
  std::string line;
  const size_t max_bytes = server.options().max_message_bytes;
  while (out.good() && read_line(in, max_bytes, &line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    auto message = parse_json(line);
    if (!message.ok()) {
      send(error_reply(Json(), kParseError, message.error().message));
    } else if (!Server::may_block(*message)) {
      send(server.handle(*message));
    } else {
      start(std::move(message).value());
    }
  }
  {
    std::unique_lock lock(counting);
    finished.wait_for(lock, server.options().grace, [&] { return n_open == 0; });
  }
  server.cancel_all();
  calls.stop();
  if (line.size() > max_bytes) return Error{Code::kResourceExhausted, fmt::format("MCP: a message of more than {} bytes", max_bytes)};
  return {};
}

}  // namespace hanlin::agent::mcp
