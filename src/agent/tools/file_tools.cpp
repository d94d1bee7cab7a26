#include "agent/tools/file_tools.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "agent/sandbox/spawn.h"
#include "agent/tools/arguments.h"
#include "net/http_call.h"

namespace hanlin::agent {
namespace {

namespace fs = std::filesystem;

class FileTool : public RunnableTool {
 public:
  explicit FileTool(FileToolHead head) : head_(std::move(head)) {}
  const Tool& tool() const final { return head_.tool; }
  Permission permission() const final { return head_.permission; }
  Result<std::string> run(const Json& arguments, const ToolContext& context) final {
    if (!arguments.is_object()) return Error{Code::kInvalidArgument, name() + ": expected an object of arguments"};
    Json all = arguments;
    for (const auto& [key, value] : head_.defaults.items()) {
      if (!all.contains(key)) all[key] = value;
    }
    return call(all, context);
  }

 protected:
  virtual Result<std::string> call(const Json& arguments, const ToolContext& context) = 0;
  const std::string& name() const { return head_.tool.name; }
  const FileToolHead& head() const { return head_; }

 private:
  const FileToolHead head_;
};

// ---- http ---------------------------------------------------------------------------------------------------------

bool has_no_body(const std::string& method) { return method == "GET" || method == "HEAD"; }

class HttpTool final : public FileTool {
 public:
  HttpTool(FileToolHead head, HttpToolSpec spec) : FileTool(std::move(head)), spec_(std::move(spec)) {}

 protected:
  Result<std::string> call(const Json& arguments, const ToolContext& context) override {
    net::HttpCall request{.method = spec_.method, .headers = spec_.headers};
    std::string address = spec_.url;
    Json body = Json::object();
    bool has_body = false;
    for (const auto& [key, value] : arguments.items()) {
      const HttpArgument* known = find(key);
      const HttpArgument fallback{key, spec_.rest, key};
      const HttpArgument& argument = known != nullptr ? *known : fallback;
      switch (argument.place) {
        case ArgumentPlace::kPath: break;  // below: it must be there
        case ArgumentPlace::kQuery: add_query(argument, value, &address); break;
        case ArgumentPlace::kHeader: request.headers.emplace_back(argument.name_there, plain_text(value)); break;
        case ArgumentPlace::kBody:
          has_body = true;
          if (key == spec_.whole_body) body = value;
          else body[argument.name_there] = value;
      }
    }
    for (const HttpArgument& argument : spec_.arguments) {
      if (argument.place == ArgumentPlace::kPath) HANLIN_TRY(fill(argument, arguments, &address));
    }
    HANLIN_ASSIGN(request.url, hub::parse_url(address));
    if (!has_no_body(spec_.method) && (has_body || spec_.rest == ArgumentPlace::kBody)) {
      request.body = dump_json(body);
      add_header(&request, "Content-Type", "application/json");
    }
    add_header(&request, "Accept", "application/json, text/plain;q=0.9, */*;q=0.5");
    HANLIN_ASSIGN(const net::HttpAnswer answer, net::http_call(request, spec_.rules, net::within({context.deadline, context.stop}, spec_.timeout), head().max_bytes));
    return describe(answer);
  }

 private:
  const HttpArgument* find(const std::string& name) const {
    const auto found = std::find_if(spec_.arguments.begin(), spec_.arguments.end(), [&](const HttpArgument& a) { return a.name == name; });
    return found == spec_.arguments.end() ? nullptr : &*found;
  }
  static void add_header(net::HttpCall* request, const char* name, const char* value) {
    const auto same = [&](const auto& header) { return strcasecmp(header.first.c_str(), name) == 0; };
    if (std::none_of(request->headers.begin(), request->headers.end(), same)) request->headers.emplace_back(name, value);
  }
  static void add_query(const HttpArgument& argument, const Json& value, std::string* address) {
    const auto add = [&](const std::string& text) {
      *address += address->find('?') == std::string::npos ? '?' : '&';
      *address += percent_encode(argument.name_there) + "=" + text;
    };
    if (!value.is_array()) return add(percent_encode(plain_text(value)));
    std::string joined;
    for (const Json& item : value) {
      if (argument.explode) add(percent_encode(plain_text(item)));
      else joined += (joined.empty() ? "" : ",") + percent_encode(plain_text(item));
    }
    if (!argument.explode) add(joined);
  }
  // One segment of the path stays one segment; in the query anything goes.
  static Status fill(const HttpArgument& argument, const Json& arguments, std::string* address) {
    const Json value = arguments.contains(argument.name) ? arguments[argument.name] : Json();
    const std::string text = value.is_null() ? "" : plain_text(value), mark = "{" + argument.name_there + "}", encoded = percent_encode(text);
    const bool in_query = address->find(mark) > address->find('?');
    if (value.is_null() || (!in_query && (text.empty() || text == "." || text == ".."))) {
      return Error{Code::kInvalidArgument, fmt::format("argument {}: is part of an address and may not be missing, empty, \".\" or \"..\"", argument.name), argument.name};
    }
    for (size_t at = address->find(mark); at != std::string::npos; at = address->find(mark, at + encoded.size())) address->replace(at, mark.size(), encoded);
    return {};
  }

  Result<std::string> describe(const net::HttpAnswer& answer) const {
    const bool binary = answer.body.find('\0') != std::string::npos;
    std::string text = binary ? fmt::format("[no text: {} bytes of binary data]", answer.body.size()) : answer.body;
    if (answer.cut) text += fmt::format("\n[cut here after {} bytes: the answer is longer]", answer.body.size());
    if (answer.status / 100 == 2) return text.empty() ? std::string("(an empty answer)") : text;
    const Code code = answer.status >= 500 || answer.status == 429 ? Code::kUnavailable : Code::kInvalidArgument;
    return Error{code, fmt::format("{}: HTTP {}{}{}", name(), answer.status, text.empty() ? "" : ": ", cap_text(text, 2000))};
  }

  const HttpToolSpec spec_;
};

// ---- command ------------------------------------------------------------------------------------------------------

class CommandTool final : public FileTool {
 public:
  CommandTool(FileToolHead head, CommandToolSpec spec) : FileTool(std::move(head)), spec_(std::move(spec)) {}

 protected:
  Result<std::string> call(const Json& arguments, const ToolContext& context) override {
    const std::string input = dump_json(arguments) + "\n";
    const ToolContext bounded = with_limit(context, spec_.timeout);
    const ProcessLimits limits{.deadline = bounded.deadline, .stop = bounded.stop, .max_output_bytes = head().max_bytes};
    HANLIN_ASSIGN(ProcessOutput output, spec_.sandbox ? in_sandbox(input, limits) : as_user(input, limits));
    if (output.cancelled) return Error{Code::kCancelled, name() + ": the run was cancelled"};
    const std::string last_words = tail(output.err.text);
    if (output.timed_out) return Error{Code::kDeadlineExceeded, fmt::format("{}: took longer than it may{}", name(), last_words)};
    if (output.exit_status != 0) return Error{Code::kInvalidArgument, fmt::format("{}: failed with exit status {}{}", name(), output.exit_status, last_words)};
    std::string text = std::move(output.out.text);
    while (text.ends_with('\n')) text.pop_back();
    if (output.out.n_left_out > 0) text += fmt::format("\n[cut here: {} more bytes]", output.out.n_left_out);
    return text.empty() ? std::string("(no output)") : text;
  }

 private:
  static std::string tail(std::string text) {
    constexpr size_t kTail = 1000;
    while (text.ends_with('\n')) text.pop_back();
    if (text.size() > kTail) text = "…" + text.substr(text.size() - kTail);
    return text.empty() ? "" : ": " + text;
  }
  Result<ProcessOutput> in_sandbox(const std::string& input, const ProcessLimits& limits) const {
    SandboxJob job{.argv = spec_.argv, .input = input, .mounts = {{spec_.folder, "/tool"}}, .limits = spec_.sandbox_limits, .kind = spec_.sandbox_kind};
    job.limits.wall = std::max(spec_.timeout, std::chrono::seconds(1));
    job.limits.max_output_bytes = limits.max_output_bytes;
    return run_in_sandbox(job, limits);
  }
  Result<ProcessOutput> as_user(const std::string& input, const ProcessLimits& limits) const {
    HANLIN_ASSIGN(ChildPipes pipes, ChildPipes::make());
    HANLIN_ASSIGN(const pid_t pid, spawn({.argv = spec_.argv, .folder = spec_.folder}, pipes));
    return communicate(pid, pipes, input, limits, [pid] { kill(-pid, SIGKILL); });
  }

  const CommandToolSpec spec_;
};

// Where the folders that the sandbox shows have the program.
Result<std::string> absolute_program(const std::string& program) {
  for (const char* folder : {"/usr/local/bin", "/usr/bin", "/bin"}) {
    const std::string candidate = fmt::format("{}/{}", folder, program);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return Error{Code::kNotFound, fmt::format("command {}: there is no such program in /usr/local/bin, /usr/bin or /bin, which the sandbox shows", program)};
}

// ---- result -------------------------------------------------------------------------------------------------------

class FixedTool final : public FileTool {
 public:
  FixedTool(FileToolHead head, Json result) : FileTool(std::move(head)), result_(std::move(result)) {}

 protected:
  Result<std::string> call(const Json& arguments, const ToolContext&) override {
    const Json filled = fill(result_, arguments);
    return cap_text(plain_text(filled), head().max_bytes);
  }

 private:
  // "{name}" for arguments that the tool declares; other braces stay.
  Json fill(const Json& value, const Json& arguments) const {
    if (value.is_string()) return fill_text(value.get_ref<const std::string&>(), arguments);
    if (!value.is_structured()) return value;
    Json filled = value;
    for (auto& [key, item] : filled.items()) item = fill(item, arguments);
    return filled;
  }
  Json fill_text(const std::string& text, const Json& arguments) const {
    std::string filled;
    for (size_t at = 0; at < text.size();) {
      const size_t close = text[at] == '{' ? text.find('}', at) : std::string::npos;
      const std::string key = close == std::string::npos ? "" : text.substr(at + 1, close - at - 1);
      if (!is_declared(key)) {
        filled += text[at++];
        continue;
      }
      const Json value = arguments.contains(key) ? arguments[key] : Json();
      if (at == 0 && close + 1 == text.size()) return value;
      filled += value.is_null() ? "" : plain_text(value);
      at = close + 1;
    }
    return filled;
  }
  bool is_declared(const std::string& key) const {
    const auto& parameters = tool().parameters;
    return std::any_of(parameters.begin(), parameters.end(), [&](const ToolParameter& parameter) { return parameter.name == key; });
  }

  const Json result_;
};

class ManualTool final : public FileTool {
 public:
  using FileTool::FileTool;
  bool is_manual() const override { return true; }

 protected:
  Result<std::string> call(const Json&, const ToolContext&) override {
    return Error{Code::kUnsupported, name() + ": only a person can run this tool, and here is nobody to ask"};
  }
};

}  // namespace

std::shared_ptr<RunnableTool> make_http_tool(FileToolHead head, HttpToolSpec spec) { return std::make_shared<HttpTool>(std::move(head), std::move(spec)); }

Result<std::shared_ptr<RunnableTool>> make_command_tool(FileToolHead head, CommandToolSpec spec) {
  if (spec.sandbox) {
    for (size_t i = 0; i < spec.argv.size(); ++i) {
      std::error_code ec;
      std::string& word = spec.argv[i];
      const fs::path relative = fs::path(word).lexically_normal();
      const bool inside = !word.empty() && !word.starts_with('-') && relative.is_relative() && *relative.begin() != "..";
      if (inside && (i > 0 || word.find('/') != std::string::npos) && fs::exists(fs::path(spec.folder) / relative, ec)) word = "/tool/" + relative.string();
    }
    if (!spec.argv[0].starts_with('/')) {
      HANLIN_ASSIGN(spec.argv[0], absolute_program(spec.argv[0]));
    }
  }
  return std::shared_ptr<RunnableTool>(std::make_shared<CommandTool>(std::move(head), std::move(spec)));
}

std::shared_ptr<RunnableTool> make_fixed_tool(FileToolHead head, Json result) { return std::make_shared<FixedTool>(std::move(head), std::move(result)); }

std::shared_ptr<RunnableTool> make_manual_tool(FileToolHead head) {
  if (head.permission == Permission::kAllow) head.permission = Permission::kAsk;  // there is a person to ask in any case
  return std::make_shared<ManualTool>(std::move(head));
}

net::HttpRules rules_for_named_server(const hub::Url& url, bool private_network) {
  net::HttpRules rules = net::rules_for_server(url);
  unsigned char address[16];
  const bool literal = inet_pton(AF_INET, url.host.c_str(), address) == 1 || inet_pton(AF_INET6, url.host.c_str(), address) == 1;
  if (!literal && !private_network && url.host != "localhost") rules.private_hosts.clear();
  return rules;
}

std::string percent_encode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    encoded += unreserved ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

std::string plain_text(const Json& value) { return value.is_string() ? value.get<std::string>() : dump_json(value); }

}  // namespace hanlin::agent
