#include "agent/runnable_tool.h"

#include <algorithm>

namespace hanlin::agent {

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
