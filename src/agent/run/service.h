// Agent runs as a service: started, watched, approved, cancelled, resumed; kept in a store.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/chat_style.h"
#include "agent/memory/memory.h"
#include "agent/run/approvals.h"
#include "agent/run/events.h"
#include "agent/run/progress.h"
#include "agent/run/request.h"
#include "agent/runnable_tool.h"
#include "api/models.h"
#include "store/runs.h"

namespace hanlin::agent {

struct RunServiceOptions {
  size_t max_active = 8;            // runs at the same time; further ones are refused
  std::string tool_format = "auto"; // as ChatStyles
};

// A run as people see it.
struct RunView {
  std::string id;
  std::string state;  // running, waiting (for a person), interrupted, completed, not_finished, failed, cancelled
  RunRequest request;
  int64_t created_ms = 0, updated_ms = 0, n_events = 0;
  RunProgress progress;
  std::vector<ApprovalRequest> approvals;  // open questions
};

// Safe from any thread. Errors: kNotFound for unknown ids; kInvalidArgument with a param; kResourceExhausted when max_active run;
// kUnavailable while stopping; those of the store.
class RunService {
 public:
  // The store must not hold runs of another living service: those that look alive are marked as interrupted.
  static Result<std::unique_ptr<RunService>> create(RunServiceOptions options, std::shared_ptr<const api::ModelSet> models, std::shared_ptr<const ToolBox> tools,
                                                    std::unique_ptr<store::RunStore> store);
  ~RunService();  // stop()

  // Returns its id; the run goes on in a thread of its own. Blocks only while a summary or vectors of an earlier conversation are made. A tool of the request that does not exist, or a model that does
  // not, is an error.
  Result<std::string> start(const RunRequest& request);
  Result<RunView> get(const std::string& id);
  Result<std::vector<store::StoredRun>> list(const store::RunQuery& query) { return store_->list(query); }
  Result<std::vector<RunEvent>> events(const std::string& id, int64_t after_seq, int64_t limit);
  // Goes on with an interrupted run. Calls that had begun are not begun again: the model is told that their effect is unknown.
  Status resume(const std::string& id);
  // The run ends within moments with the status "cancelled". kInvalidArgument if it has ended.
  Status cancel(const std::string& id);
  Status decide(const std::string& id, const std::string& approval_id, const Decision& decision, const Json& arguments);
  // Forgets an ended run.
  Status remove(const std::string& id);

  // Calls `sink` with the stored events after `after_seq`, then with all that come, in order, one at a time, from this or other threads.
  // `at_end` is called once, after the last event: the run has ended, was interrupted or is not alive. The sink must return quickly and
  // not call back. Dropping the handle ends it; a call that is under way may still finish.
  struct Watcher {
    RunSink sink;
    std::function<void()> at_end;
  };
  Result<std::shared_ptr<void>> watch(const std::string& id, int64_t after_seq, Watcher watcher);

  const ToolBox& tools() const { return *tools_; }
  // Starts no more runs and interrupts those there are, so that they can be resumed. Does not wait.
  void interrupt();
  // The same, and waits for their threads.
  void stop();

 private:
  struct Active;
  RunService(RunServiceOptions options, std::shared_ptr<const api::ModelSet> models, std::shared_ptr<const ToolBox> tools, std::unique_ptr<store::RunStore> store);
  Result<const api::ServedModel*> model_of(const RunRequest& request) const;
  // Everything said before the task.
  Result<std::vector<api::Message>> conversation(const RunRequest& request);
  Result<std::unique_ptr<Memory>> memory_of(const RunRequest& request) const;  // null: it sees all
  // The event "context": what of the conversation the model sees; none: there was none.
  Result<std::optional<RunEvent>> remember(const RunRequest& request);
  Result<std::shared_ptr<ToolBox>> tools_of(const RunRequest& request) const;
  // `first`: the event "resumed", or the first of a new run, if it has one.
  Status launch(const std::string& id, const RunRequest& request, RunProgress progress, const std::optional<RunEvent>& first);
  void work(Active& active, std::stop_token stop);
  Status emit(Active& active, RunEvent event);
  static void show(Active& active, const RunEvent& event);
  std::shared_ptr<Active> active(const std::string& id);  // null: it has no thread

  const RunServiceOptions options_;
  const std::shared_ptr<const api::ModelSet> models_;
  const std::shared_ptr<const ToolBox> tools_;
  const std::unique_ptr<store::RunStore> store_;
  ChatStyles styles_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Active>> active_;
  bool stopping_ = false;
};

}  // namespace hanlin::agent
