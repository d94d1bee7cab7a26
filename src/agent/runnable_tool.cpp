#include "agent/runnable_tool.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"

namespace hanlin::agent {

const char* permission_name(Permission permission) {
  return permission == Permission::kAllow ? "allow" : permission == Permission::kAsk ? "ask" : "deny";
}

std::optional<Permission> permission_by_name(std::string_view name) {
  for (const Permission permission : {Permission::kAllow, Permission::kAsk, Permission::kDeny}) {
    if (name == permission_name(permission)) return permission;
  }
  return {};
}

Result<std::string> run_tool(RunnableTool& tool, const Json& arguments, const ToolContext& context) {
  try {
    return tool.run(arguments, context);
  } catch (const std::exception& exception) {
    return Error{Code::kInternal, fmt::format("{} failed: {}", tool.tool().name, exception.what())};
  }
}

std::string cap_text(std::string text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  const size_t n_left = text.size() - end;
  text.resize(end);
  return text + fmt::format("\n[cut here: {} more bytes]", n_left);
}

ToolBox::ToolBox(std::vector<std::shared_ptr<RunnableTool>> tools) {
  for (auto& tool : tools) {
    if (find(tool->tool().name) == nullptr) tools_.push_back(std::move(tool));
  }
}

RunnableTool* ToolBox::find(std::string_view name) const {
  const auto found = std::find_if(tools_.begin(), tools_.end(), [&](const auto& tool) { return tool->tool().name == name; });
  return found == tools_.end() ? nullptr : found->get();
}

ToolSet ToolBox::descriptions() const {
  std::vector<Tool> found;
  for (const auto& tool : tools_) found.push_back(tool->tool());
  return ToolSet(std::move(found));
}

}  // namespace hanlin::agent
