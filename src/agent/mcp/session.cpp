#include "agent/mcp/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace hanlin::agent::mcp {
namespace {

constexpr int kMaxInputRounds = 5;
constexpr std::chrono::milliseconds kPoll{50};

ToolContext at_most(const ToolContext& context, std::chrono::milliseconds limit) {
  ToolContext result = context;
  result.deadline = std::min(context.deadline, std::chrono::steady_clock::now() + limit);
  return result;
}

Json client_info() { return {{"name", "hanlin"}, {"version", "0.1"}}; }

bool holds(const Json& list, const char* version) { return list.is_array() && std::find(list.begin(), list.end(), version) != list.end(); }
bool holds_handshake(const Json& list) {
  return std::any_of(std::begin(kHandshakeVersions), std::end(kHandshakeVersions), [&](const char* version) { return holds(list, version); });
}

std::string file_uri(const std::string& path) { return "file://" + path; }

}  // namespace

Json member(const Json& object, const char* name) { return object.is_object() && object.contains(name) ? object[name] : Json(); }

Session::Session(std::unique_ptr<Transport> transport, SessionOptions options) : options_(std::move(options)), transport_(std::move(transport)) {}
Session::~Session() {
  listener_ = {};  // stops and waits
  transport_.reset();
}

Json Session::client_capabilities() const {
  Json capabilities = Json::object();
  if (!options_.roots.empty()) capabilities["roots"] = Json::object();
  return capabilities;
}

// ---- what comes ---------------------------------------------------------------------------------------------------

void Session::receive(Json message) {
  if (message.is_array()) {  // a batch, in 2025-03-26
    for (Json& item : message) receive(std::move(item));
    return;
  }
  if (message.is_null()) {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
    return;
  }
  const Json id = member(message, "id"), method = member(message, "method");
  if (method.is_string() && !id.is_null()) return answer_server(message);
  if (method.is_string()) {
    const Json params = member(message, "params");
    if (method == "notifications/tools/list_changed") tools_changed_ = true;
    if (method != "notifications/progress" || !member(params, "progressToken").is_number_integer()) return;
    ProgressFn progress;
    {
      const std::lock_guard lock(mutex_);
      const auto found = waiting_.find(params["progressToken"].get<int64_t>());
      if (found != waiting_.end()) progress = found->second->progress;
    }
    const auto number = [&](const char* name) { return member(params, name).is_number() ? params[name].get<double>() : 0.0; };
    if (progress) progress(number("progress"), number("total"), member(params, "message").is_string() ? params["message"].get<std::string>() : "");
    return;
  }
  const std::lock_guard lock(mutex_);
  const auto found = id.is_number_integer() ? waiting_.find(id.get<int64_t>()) : waiting_.end();
  if (found == waiting_.end()) return log_debug("MCP: an answer that nobody waits for (any more)");
  found->second->reply = std::move(message);
  changed_.notify_all();
}

std::optional<Json> Session::result_for_server(const std::string& method) const {
  if (method == "ping") return Json::object();
  if (method != "roots/list" || options_.roots.empty()) return std::nullopt;
  Json roots = Json::array();
  for (const std::string& root : options_.roots) roots.push_back({{"uri", file_uri(root)}});
  return Json{{"roots", roots}};
}

void Session::answer_server(const Json& request) {
  const std::string method = request["method"].get<std::string>();
  Json reply{{"jsonrpc", "2.0"}, {"id", request["id"]}};
  if (auto result = result_for_server(method)) reply["result"] = std::move(*result);
  else reply["error"] = {{"code", kMethodNotFound}, {"message", "Hanlin does not offer " + method}};
  if (const Status sent = transport_->send(reply, at_most({}, options_.connect_timeout)); !sent.ok()) log_warning("MCP: " + sent.error().message);
}

// ---- requests -----------------------------------------------------------------------------------------------------

void Session::notify(const std::string& method, Json params) {
  Json message{{"jsonrpc", "2.0"}, {"method", method}};
  if (!params.is_null()) message["params"] = std::move(params);
  if (const Status sent = transport_->send(message, at_most({}, std::chrono::seconds(2))); !sent.ok()) log_debug("MCP: " + sent.error().message);
}

Status Session::wait_for(int64_t id, const std::string& method, const ToolContext& context) {
  std::unique_lock lock(mutex_);
  const auto waiting = waiting_.at(id);
  while (!waiting->reply) {
    if (context.stop.stop_requested()) return Error{Code::kCancelled, "MCP: " + method + " was cancelled"};
    if (std::chrono::steady_clock::now() >= context.deadline) return Error{Code::kDeadlineExceeded, "MCP: no answer to " + method + " in the time allowed"};
    if (const Status health = transport_->health(); !health.ok()) return health;
    changed_.wait_for(lock, kPoll);
  }
  return {};
}

Result<Session::Reply> Session::exchange(const std::string& method, Json params, const ToolContext& context, const ProgressFn& progress) {
  int64_t id = 0;
  const auto waiting = std::make_shared<Waiting>();
  waiting->progress = progress;
  {
    const std::lock_guard lock(mutex_);
    id = next_id_++;
    waiting_[id] = waiting;
  }
  if (is_modern() || method == "server/discover") {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = kModernVersion;
    params["_meta"]["io.modelcontextprotocol/clientInfo"] = client_info();
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = client_capabilities();
  }
  if (progress) params["_meta"]["progressToken"] = id;
  const Json message{{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}};
  Status status = transport_->send(message, context);
  if (status.ok()) status = wait_for(id, method, context);
  {
    const std::lock_guard lock(mutex_);
    waiting_.erase(id);
  }
  if (!status.ok()) {
    const Code code = status.error().code;
    if ((code == Code::kCancelled || code == Code::kDeadlineExceeded) && method != "initialize" && method != "subscriptions/listen") {
      notify("notifications/cancelled", {{"requestId", id}, {"reason", code == Code::kCancelled ? "cancelled" : "timed out"}});
    }
    return status.error();
  }
  Reply reply;
  const Json& received = *waiting->reply;
  if (const Json error = member(received, "error"); !error.is_null()) {
    const Json code = member(error, "code"), text = member(error, "message");
    reply.error = RpcError{code.is_number_integer() ? code.get<int64_t>() : 0, text.is_string() ? text.get<std::string>() : dump_json(error), member(error, "data")};
  } else {
    reply.result = member(received, "result");
    if (!reply.result.is_object()) return Error{Code::kCorrupt, "MCP: the answer to " + method + " has no result"};
  }
  return reply;
}

Result<Json> Session::request(const std::string& method, Json params, const ToolContext& outer, const ProgressFn& progress) {
  const ToolContext context = at_most(outer, options_.request_timeout);
  if (params.is_null()) params = Json::object();
  for (int round = 0; round < kMaxInputRounds; ++round) {
    HANLIN_ASSIGN(Reply reply, exchange(method, params, context, progress));
    if (reply.error) return Error{Code::kInvalidArgument, fmt::format("MCP error {}: {}", reply.error->code, reply.error->message)};
    if (member(reply.result, "resultType") != "input_required") return reply.result;
    Json responses = Json::object();
    const Json inputs = member(reply.result, "inputRequests");
    if (inputs.is_object()) {
      for (const auto& [key, input] : inputs.items()) {
        const Json wanted = member(input, "method");
        auto result = wanted.is_string() ? result_for_server(wanted.get<std::string>()) : std::nullopt;
        if (!result) return Error{Code::kUnsupported, "MCP: to answer, the server wants " + dump_json(wanted) + ", which Hanlin does not offer"};
        responses[key] = std::move(*result);
      }
    }
    params["inputResponses"] = std::move(responses);
    if (const Json state = member(reply.result, "requestState"); !state.is_null()) params["requestState"] = state;
  }
  return Error{Code::kUnavailable, fmt::format("MCP: {} still wants input after {} rounds", method, kMaxInputRounds)};
}

// The request is answered when the server ends the subscription; what it tells before that are notifications. A server that ended it,
// or could not be reached for a while, may have changed its tools meanwhile.
void Session::listen() {
  listener_ = std::jthread([this](const std::stop_token& stop) {
    auto pause = kFirstPause;
    while (!stop.stop_requested() && transport_->health().ok()) {
      const auto begun = std::chrono::steady_clock::now();
      const auto reply = exchange("subscriptions/listen", {{"notifications", {{"toolsListChanged", true}}}}, {.stop = stop}, {});
      if (reply.ok() ? reply->error.has_value() : reply.error().code == Code::kInvalidArgument) return;  // not offered after all
      tools_changed_ = true;
      pause = std::chrono::steady_clock::now() - begun > kLongestPause ? kFirstPause : std::min(pause * 2, kLongestPause);
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any().wait_for(lock, stop, pause, [] { return false; });
    }
  });
}

// ---- versions -----------------------------------------------------------------------------------------------------

Result<bool> Session::discover(const ToolContext& context) {
  transport_->set_version(kModernVersion);
  auto reply = exchange("server/discover", Json::object(), at_most(context, options_.probe_timeout), {});
  if (!reply.ok()) {
    // Silence and HTTP's own refusals (4xx) are what old servers answer with; a connection that fails is no sign of an age.
    const Code code = reply.error().code;
    const bool late = code == Code::kDeadlineExceeded && std::chrono::steady_clock::now() < context.deadline;
    if (late || code == Code::kInvalidArgument || code == Code::kCorrupt) return false;
    return std::move(reply).error();
  }
  if (reply->error) {
    const Json supported = member(reply->error->data, "supported");
    if (reply->error->code != kUnsupportedVersion || !supported.is_array() || holds_handshake(supported)) return false;
    return Error{Code::kUnsupported, fmt::format("MCP: the server speaks only {}, Hanlin {} and older", dump_json(supported), kModernVersion)};
  }
  if (!holds(member(reply->result, "supportedVersions"), kModernVersion)) return false;
  version_ = kModernVersion;
  capabilities_ = member(reply->result, "capabilities");
  return true;
}

Status Session::initialize(const ToolContext& context, bool* modern_after_all) {
  transport_->set_version("");
  const Json params{{"protocolVersion", kHandshakeVersions[0]}, {"capabilities", client_capabilities()}, {"clientInfo", client_info()}};
  HANLIN_ASSIGN(const Reply reply, exchange("initialize", params, at_most(context, options_.connect_timeout), {}));
  if (reply.error) {
    *modern_after_all = reply.error->code == kUnsupportedVersion && holds(member(reply.error->data, "supported"), kModernVersion);
    return Error{Code::kUnsupported, fmt::format("MCP: initialize: error {}: {}", reply.error->code, reply.error->message)};
  }
  const Json version = member(reply.result, "protocolVersion");
  if (!holds(Json(std::vector<std::string>(std::begin(kHandshakeVersions), std::end(kHandshakeVersions))), version.is_string() ? version.get<std::string>().c_str() : "")) {
    return Error{Code::kUnsupported, fmt::format("MCP: the server wants protocol version {}, Hanlin speaks {} to {}", dump_json(version), kHandshakeVersions[3], kHandshakeVersions[0])};
  }
  version_ = version.get<std::string>();
  capabilities_ = member(reply.result, "capabilities");
  transport_->set_version(version_);
  notify("notifications/initialized", Json());
  return {};
}

Status Session::connect(const ToolContext& context) {
  HANLIN_TRY(transport_->start([this](Json message) { receive(std::move(message)); }));
  const auto settle = [this](bool modern) {
    const Json tools = member(capabilities_, "tools");
    if (modern && member(tools, "listChanged") == true) listen();
    return modern;
  };
  bool modern = false;
  if (options_.modern) {
    HANLIN_ASSIGN(modern, discover(context));
    if (settle(modern)) return {};
  }
  bool modern_after_all = false;
  const Status status = initialize(context, &modern_after_all);
  if (status.ok() || !modern_after_all) return status;
  // The probe came too early for a slow server, which has since settled on the modern era.
  HANLIN_ASSIGN(modern, discover(context));
  return settle(modern) ? Status() : status;
}

}  // namespace hanlin::agent::mcp
