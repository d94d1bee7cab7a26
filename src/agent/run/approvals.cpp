#include "agent/run/approvals.h"

#include <fmt/format.h>

namespace hanlin::agent {

void Approvals::ask(ApprovalRequest request) {
  const std::lock_guard lock(mutex_);
  questions_.try_emplace(request.id, Question{request});
}

std::optional<Decision> Approvals::wait(const std::string& id, std::chrono::steady_clock::time_point deadline, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, stop, deadline, [&] { return questions_.at(id).decision.has_value(); });
  std::optional<Decision> decision = std::move(questions_.at(id).decision);
  questions_.erase(id);
  return decision;
}

Status Approvals::decide(const std::string& id, const Decision& decision, const Json& arguments) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = questions_.find(id);
    if (found == questions_.end() || found->second.decision) {
      return Error{Code::kNotFound, fmt::format("approval: no open question has the id '{}'; it may have been answered, or its time is over", id.substr(0, 64)), "approval"};
    }
    if (decision.approved && arguments != found->second.request.arguments) {
      return Error{Code::kInvalidArgument, "arguments: expected exactly those that were asked about, " + dump_json(found->second.request.arguments) + ", got " + dump_json(arguments), "arguments"};
    }
    found->second.decision = decision;
  }
  changed_.notify_all();
  return {};
}

}  // namespace hanlin::agent
