#include "agent/mcp/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/tools/arguments.h"
#include "base/log.h"

namespace hanlin::agent::mcp {
namespace {

constexpr int kMaxPages = 200;

std::string text_at(const Json& object, const char* name) {
  return object.is_object() && object.contains(name) && object[name].is_string() ? object[name].get<std::string>() : "";
}

class McpTool final : public RunnableTool {
 public:
  McpTool(std::shared_ptr<Client> client, std::string name, Tool tool) : client_(std::move(client)), name_(std::move(name)), tool_(std::move(tool)) {}
  const Tool& tool() const override { return tool_; }
  Permission permission() const override { return client_->options().permission; }
  Result<std::string> run(const Json& arguments, const ToolContext& context) override { return client_->call(name_, arguments, context); }

 private:
  const std::shared_ptr<Client> client_;
  const std::string name_;  // the server's
  const Tool tool_;
};

std::string block_text(const Json& block) {
  const std::string type = text_at(block, "type"), mime = text_at(block, "mimeType");
  if (type == "text") return text_at(block, "text");
  if (type == "image" || type == "audio") return fmt::format("[{} {}, {} bytes as base64]", type, mime, text_at(block, "data").size());
  if (type == "resource_link") return fmt::format("[link {}: {}]", text_at(block, "name"), text_at(block, "uri"));
  if (type == "resource" && block.contains("resource")) {
    const Json& resource = block["resource"];
    if (resource.is_object() && resource.contains("text")) return fmt::format("[{}]\n{}", text_at(resource, "uri"), text_at(resource, "text"));
    return fmt::format("[{} {}, {} bytes as base64]", text_at(resource, "uri"), text_at(resource, "mimeType"), text_at(resource, "blob").size());
  }
  return fmt::format("[content of the kind {}]", type);
}

}  // namespace

std::string result_text(const Json& result, size_t max_bytes) {
  std::string text;
  if (result.contains("content") && result["content"].is_array()) {
    for (const Json& block : result["content"]) text += (text.empty() ? "" : "\n") + block_text(block);
  }
  if (text.empty() && result.contains("structuredContent")) text = dump_json(result["structuredContent"]);
  return text.empty() ? "(no content)" : cap_text(std::move(text), max_bytes);
}

std::string tool_name(const std::string& prefix, const std::string& name) {
  std::string result = prefix + name;
  for (char& c : result) {
    if (!is_tool_name(std::string_view(&c, 1))) c = '_';
  }
  return result.substr(0, 64);
}

Client::Client(ClientOptions options, TransportFactory transport) : options_(std::move(options)), transport_(std::move(transport)) {}

std::string Client::version() const {
  const std::lock_guard lock(mutex_);
  return session_ ? session_->version() : "";
}

// One thread connects, the others wait for it.
Result<std::shared_ptr<Session>> Client::session(const ToolContext& context) {
  std::unique_lock connecting(connecting_, std::defer_lock);
  while (!connecting.try_lock_for(std::chrono::milliseconds(50))) HANLIN_TRY(check_time(context, "MCP server " + options_.name));
  {
    const std::lock_guard lock(mutex_);
    if (session_ && session_->health().ok()) return session_;
    if (const auto now = std::chrono::steady_clock::now(); now < retry_at_) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(retry_at_ - now).count();
      return Error{Code::kUnavailable, fmt::format("MCP server {}: next try in {} ms; {}", options_.name, left, last_error_.message)};
    }
    if (session_) log_warning(fmt::format("MCP server {}: {}; connecting again", options_.name, session_->health().error().message));
    session_.reset();
    tools_.reset();
  }
  auto connected = [&]() -> Result<std::shared_ptr<Session>> {
    for (const bool again : {false, true}) {
      HANLIN_ASSIGN(auto transport, transport_());
      auto session = std::make_shared<Session>(std::move(transport), options_.session);
      const Status status = session->connect(context);
      if (status.ok()) return session;
      // A server that dies of an unknown first request is started once more.
      if (again || status.error().code != Code::kUnavailable || session->health().ok()) return status.error();
    }
    return Error{Code::kInternal, "MCP: unreachable"};
  }();
  const std::lock_guard lock(mutex_);
  // The pause grows with every start, and begins anew only when the server has lived longer than the longest one.
  const auto now = std::chrono::steady_clock::now();
  pause_ = now - retry_at_ > options_.longest_retry ? options_.first_retry : std::min(std::max(pause_ * 2, options_.first_retry), options_.longest_retry);
  retry_at_ = now + pause_;
  if (!connected.ok()) {
    last_error_ = connected.error();
    return std::move(connected).error().with_context("MCP server " + options_.name);
  }
  last_error_ = Error{Code::kUnavailable, "it ended right after its last start"};
  return session_ = *connected;
}

Result<Json> Client::request(const std::string& method, const Json& params, const ToolContext& context, const ProgressFn& progress) {
  HANLIN_ASSIGN(const auto session, this->session(context));
  auto result = session->request(method, params, context, progress);
  if (result.ok()) return result;
  return std::move(result).error().with_context("MCP server " + options_.name);
}

// All pages of the server's list.
Result<std::vector<Client::ServerTool>> Client::list(const ToolContext& context, std::chrono::steady_clock::time_point* stale_at) {
  std::vector<ServerTool> found;
  std::set<std::string> names, cursors;
  *stale_at = std::chrono::steady_clock::time_point::max();
  Json params = Json::object();
  for (int n_pages = 0;; ++n_pages) {
    HANLIN_ASSIGN(const Json page, request("tools/list", params, context));
    if (!page.contains("tools") || !page["tools"].is_array()) return Error{Code::kCorrupt, "MCP server " + options_.name + ": tools/list without tools"};
    if (page.contains("ttlMs") && page["ttlMs"].is_number_integer()) {
      const int64_t ttl_ms = std::clamp<int64_t>(page["ttlMs"].get<int64_t>(), 0, 86400000);
      *stale_at = std::min(*stale_at, std::chrono::steady_clock::now() + std::chrono::milliseconds(ttl_ms));
    }
    for (const Json& item : page["tools"]) {
      const std::string own = text_at(item, "name"), name = tool_name(options_.prefix, own);
      auto tool = describe_tool(name, text_at(item, "description"), item.is_object() && item.contains("inputSchema") ? item["inputSchema"] : Json::object());
      if (!tool.ok() || own.empty() || !names.insert(name).second) {
        log_warning(fmt::format("MCP server {}: tool \"{}\" is left out: {}", options_.name, own, tool.ok() ? "its name is taken" : tool.error().message));
        continue;
      }
      found.push_back({own, std::move(tool).value()});
    }
    if (found.size() > options_.max_tools) return Error{Code::kResourceExhausted, fmt::format("MCP server {}: more than {} tools", options_.name, options_.max_tools)};
    const std::string cursor = text_at(page, "nextCursor");
    if (cursor.empty()) break;
    if (n_pages + 1 == kMaxPages || !cursors.insert(cursor).second) return Error{Code::kCorrupt, "MCP server " + options_.name + ": its list of tools has no end"};
    params["cursor"] = cursor;
  }
  return found;
}

Result<std::vector<std::shared_ptr<RunnableTool>>> Client::tools(const ToolContext& context) {
  HANLIN_ASSIGN(const auto session, this->session(context));
  std::optional<std::vector<ServerTool>> known;
  {
    const std::lock_guard lock(mutex_);
    const bool changed = session->take_tools_changed();
    if (!changed && std::chrono::steady_clock::now() < tools_stale_at_) known = tools_;
  }
  if (!known) {
    auto stale_at = std::chrono::steady_clock::time_point::max();
    HANLIN_ASSIGN(known, list(context, &stale_at));
    const std::lock_guard lock(mutex_);
    tools_ = known, tools_stale_at_ = stale_at;
  }
  std::vector<std::shared_ptr<RunnableTool>> tools;
  for (const ServerTool& item : *known) tools.push_back(std::make_shared<McpTool>(shared_from_this(), item.own_name, item.tool));
  return tools;
}

Result<std::string> Client::call(const std::string& tool, const Json& arguments, const ToolContext& context, const ProgressFn& progress) {
  HANLIN_ASSIGN(const Json result, request("tools/call", {{"name", tool}, {"arguments", arguments}}, context, progress));
  std::string text = result_text(result, options_.max_result_bytes);
  if (result.contains("isError") && result["isError"] == true) return Error{Code::kInvalidArgument, std::move(text)};
  return text;
}

}  // namespace hanlin::agent::mcp
