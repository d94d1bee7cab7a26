#include "agent/tools/http_get.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/tools/arguments.h"
#include "net/http_call.h"

namespace hanlin::agent {
namespace {

struct HttpGetArgs {
  std::string url;
  void fields(ArgumentList& list) { list.add("url", &url, "https:// or http:// address").required().range(1, 4000); }
};

class HttpGet final : public TypedTool<HttpGetArgs> {
 public:
  explicit HttpGet(HttpGetOptions options)
      : TypedTool("http_get", fmt::format("Fetches a document over HTTP. Allowed hosts: {}.", fmt::join(options.rules.hosts, ", "))), options_(std::move(options)) {}

 protected:
  Result<std::string> call(const HttpGetArgs& args, const ToolContext& context) override {
    HANLIN_ASSIGN(hub::Url url, hub::parse_url(args.url));
    HANLIN_ASSIGN(const net::HttpAnswer answer, net::http_call({.url = std::move(url)}, options_.rules, net::within({context.deadline, context.stop}, options_.timeout), options_.max_bytes));
    const std::string type = answer.header("content-type");
    const bool binary = answer.body.find('\0') != std::string::npos;
    std::string text = fmt::format("HTTP {} {}{}\n\n", answer.status, answer.url.shown(), type.empty() ? "" : " (" + type + ")");
    text += binary ? fmt::format("[no text: {}{} bytes of binary data]", answer.body.size(), answer.cut ? " or more" : "") : answer.body;
    if (answer.cut && !binary) text += fmt::format("\n[cut here after {} bytes: the document is longer]", answer.body.size());
    return text;
  }

 private:
  const HttpGetOptions options_;
};

}  // namespace

std::shared_ptr<RunnableTool> make_http_get(const HttpGetOptions& options) { return std::make_shared<HttpGet>(options); }

}  // namespace hanlin::agent
