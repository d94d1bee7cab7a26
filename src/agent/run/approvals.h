// Consent of a person for a call.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace hanlin::agent {

struct Decision {
  bool approved = false;
  std::string reason = {};                     // told to the model when denied
  std::optional<std::string> result = {};      // approved: this is the result, the tool does not run
};

struct ApprovalRequest {
  std::string id, call_id, name;
  Json arguments;
};

// The open questions of one run. Any thread.
class Approvals {
 public:
  void ask(ApprovalRequest request);
  // Waits for the decision on `id`; none until `deadline` or `stop`: nothing. The question is closed afterwards.
  std::optional<Decision> wait(const std::string& id, std::chrono::steady_clock::time_point deadline, std::stop_token stop);
  // Errors: kNotFound (no such open question), kInvalidArgument with param "arguments" (an approval must repeat exactly the
  // arguments that were asked about).
  Status decide(const std::string& id, const Decision& decision, const Json& arguments);

 private:
  struct Question {
    ApprovalRequest request;
    std::optional<Decision> decision = {};
  };
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, Question> questions_;
};

}  // namespace hanlin::agent
