#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <deque>
#include <iostream>
#include <mutex>

#include "agent/run/service.h"
#include "app/agent_view.h"
#include "app/agents.h"
#include "app/commands.h"
#include "app/generation.h"
#include "app/tool_settings.h"
#include "app/wire.h"
#include "base/json.h"

namespace hanlin::app {
namespace {

struct Options {
  std::vector<std::string> task;
  agent::RunRequest request;
  bool react = false, json = false, quiet = false, list = false, list_tools = false;
  std::string replay, resume;
  int64_t seed = -1;
  std::vector<std::string> use_tools;
};

volatile sig_atomic_t g_interrupts = 0;
void on_interrupt(int) {
  // The second time the user means it.
  if (g_interrupts > 0) ::_exit(130);
  g_interrupts = 1;
}

// Events cross from the run's threads to ours here.
struct Mailbox {
  std::mutex mutex;
  std::condition_variable arrived;
  std::deque<agent::RunEvent> events;
  bool ended = false;
};

// Runs of the terminal: shows one and asks its user.
class Terminal {
 public:
  Terminal(const Options& options, agent::RunService& service)
      : service_(service),
        view_({.steps = !options.quiet && !options.json, .colour = is_terminal(2) && std::getenv("NO_COLOR") == nullptr, .live_answer = is_terminal(1) && is_terminal(2) && !options.json && !options.react},
              [](const std::string& text) { write(stderr, text); },
              [&options](const std::string& text) {
                if (!options.json) write(stdout, text);
              }) {}

  // Until the run has ended. The first Ctrl-C cancels it.
  Result<agent::RunView> follow(const std::string& id, int64_t after_seq) {
    struct sigaction action {}, previous {};
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, &previous);
    g_interrupts = 0;
    const auto mailbox = std::make_shared<Mailbox>();
    HANLIN_ASSIGN(const auto handle, service_.watch(id, after_seq, {[mailbox](const agent::RunEvent& event) {
      const std::lock_guard lock(mailbox->mutex);
      mailbox->events.push_back(event);
      mailbox->arrived.notify_one();
    }, [mailbox] {
      const std::lock_guard lock(mailbox->mutex);
      mailbox->ended = true;
      mailbox->arrived.notify_one();
    }}));
    bool cancelled = false;
    for (bool ended = false; !ended;) {
      std::deque<agent::RunEvent> events;
      {
        std::unique_lock lock(mailbox->mutex);
        // The short wait is for Ctrl-C, which cannot wake a condition variable.
        mailbox->arrived.wait_for(lock, std::chrono::milliseconds(50), [&] { return !mailbox->events.empty() || mailbox->ended; });
        events.swap(mailbox->events);
        ended = mailbox->ended;
      }
      if (g_interrupts > 0 && !std::exchange(cancelled, true)) (void)service_.cancel(id);
      for (const agent::RunEvent& event : events) {
        view_.on_event(event);
        if (event.type == "approval") ask(id, event.data);
      }
    }
    sigaction(SIGINT, &previous, nullptr);
    return service_.get(id);
  }

  void show(const std::vector<agent::RunEvent>& events) {
    for (const agent::RunEvent& event : events) view_.on_event(event);
  }

 private:
  static void write(FILE* file, const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), file);
    std::fflush(file);
  }

  void ask(const std::string& id, const Json& question) {
    agent::Decision decision;
    if (!is_terminal(0)) {
      decision.reason = "there is no terminal to ask; --allow-tools " + question["name"].get<std::string>() + " allows it";
    } else {
      const agent::RunnableTool* tool = service_.tools().find(question["name"].get<std::string>());
      const bool by_hand = tool != nullptr && tool->is_manual();
      write(stderr, by_hand ? "    you run this one; its result: " : "    allow this call? [y/N] ");
      std::string line;
      const bool answered = static_cast<bool>(std::getline(std::cin, line)) && !line.empty();
      decision.approved = answered && (by_hand || line == "y" || line == "Y" || line == "yes" || line == "是");
      if (by_hand) decision.result = line;
    }
    // An answer that comes too late is none: the run says so itself.
    (void)service_.decide(id, question["id"].get<std::string>(), decision, question["arguments"]);
  }

  agent::RunService& service_;
  AgentView view_;
};

void print_runs(const std::vector<store::StoredRun>& runs) {
  for (const store::StoredRun& run : runs) {
    const auto request = parse_json(run.request_json);
    std::string task = request.ok() ? request->value("task", "") : "";
    for (char& c : task) c = c == '\n' ? ' ' : c;
    const std::time_t seconds = run.created_ms / 1000;
    char time[32] = "";
    std::tm local{};
    if (localtime_r(&seconds, &local) != nullptr) std::strftime(time, sizeof time, "%Y-%m-%d %H:%M", &local);
    fmt::print("{}  {:<12}  {}  {}\n", run.id, run.state, time, agent::cap_text(task, 80));
  }
}

Json result_json(const agent::RunView& view) {
  return {{"id", view.id}, {"state", view.state}, {"answer", view.progress.answer}, {"limit", view.progress.limit}, {"error", view.progress.error}, {"steps", view.progress.n_steps},
          {"prompt_tokens", view.progress.prompt_tokens}, {"completion_tokens", view.progress.completion_tokens}, {"seconds", view.progress.seconds}, {"calls", agent::done_calls_json(view.progress)}};
}

Status finish(const Options& options, const agent::RunView& view) {
  if (options.json) fmt::print("{}\n", dump_json(result_json(view), 2));
  else if (!options.quiet) fmt::print(stderr, "{} · {} steps · {} tokens · {:.1f} s · {}\n", view.state, view.progress.n_steps, view.progress.prompt_tokens + view.progress.completion_tokens, view.progress.seconds, view.id);
  if (view.state == "failed") return Error{Code::kUnavailable, "agent: " + view.progress.error};
  if (view.state != "completed") return Error{Code::kCancelled, "agent: the run is " + view.state};
  return {};
}

// Without a model: what is stored.
Status show_stored(const Options& options, const Config& config) {
  Config without_tools = config;
  without_tools.tool_settings = {};
  HANLIN_ASSIGN(const Agents agents, start_agents(without_tools, std::make_shared<api::ModelSet>()));
  if (!agents.lock) return Error{Code::kUnavailable, fmt::format("{}: used by another hanlin; ask it (GET /api/v1/agent/runs), or wait until it has ended", runs_path(config))};
  if (options.list) {
    HANLIN_ASSIGN(const auto runs, agents.service->list({}));
    print_runs(runs);
    return {};
  }
  HANLIN_ASSIGN(const auto events, agents.service->events(options.replay, 0, INT64_MAX));
  if (options.json) {
    for (const agent::RunEvent& event : events) fmt::print("{}\n", dump_json({{"seq", event.seq}, {"time_ms", event.time_ms}, {"type", event.type}, {"data", event.data}}));
    return {};
  }
  Terminal(options, *agents.service).show(events);
  return {};
}

// The model, and an embedder where the memory needs one.
Result<RunningModels> start_agent_models(const Options& options, const LoadedConfig& loaded) {
  if (options.request.memory.kind != "retrieval") return start_one(loaded.values, kDefaultModels[0]);
  HANLIN_ASSIGN(const std::vector<ModelChoice> choices, choose_models(loaded.values, kDefaultModels));
  return start_models(loaded.values, choices);
}

Status print_tools(const Config& config) {
  HANLIN_ASSIGN(const agent::ToolBox box, open_tools(config.tool_settings));
  for (const auto& tool : box.tools()) fmt::print("{:<20} {:<5}  {}\n", tool->tool().name, agent::permission_name(tool->permission()), tool->tool().description);
  return {};
}

// One task after the other, each knowing those before it, until the input ends.
Status converse(Options& options, agent::RunService& service) {
  fmt::print(stderr, "A task a line; an empty line or Ctrl-D ends.\n");
  std::string line;
  while (fmt::print(stderr, "> "), std::getline(std::cin, line) && line.find_first_not_of(" \t\r") != std::string::npos) {
    options.request.task = line;
    HANLIN_ASSIGN(const std::string id, service.start(options.request));
    HANLIN_ASSIGN(const agent::RunView view, Terminal(options, service).follow(id, 0));
    if (const Status status = finish(options, view); !status.ok()) fmt::print(stderr, "{}\n", status.error().message);
    else options.request.previous = id;
  }
  return {};
}

Status agent_run(Options& options, LoadedConfig& loaded) {
  if (options.list || !options.replay.empty()) return show_stored(options, loaded.values);
  if (options.list_tools) return print_tools(loaded.values);
  agent::RunRequest& request = options.request;
  request.mode = options.react ? agent::RunMode::kReact : agent::RunMode::kFunctions;
  if (options.seed >= 0) request.seed = static_cast<uint64_t>(options.seed);
  if (!options.use_tools.empty()) request.tools = options.use_tools;
  const bool conversation = options.task.empty() && options.resume.empty() && is_terminal(0);
  if (!options.task.empty()) request.task = options.task[0];
  else if (options.resume.empty() && !conversation) {
    HANLIN_ASSIGN(request.task, read_stdin());
  }
  if (options.resume.empty() && !conversation && request.task.find_first_not_of(" \t\r\n") == std::string::npos) {
    return Error{Code::kInvalidArgument, "agent: expected a task, as an argument or on standard input"};
  }
  HANLIN_ASSIGN(RunningModels running, start_agent_models(options, loaded));
  if (running.set->first_generator() == nullptr) return Error{Code::kInvalidArgument, fmt::format("'{}' embeds texts; it does not generate", running.set->models[0].name)};
  HANLIN_ASSIGN(const Agents agents, start_agents(loaded.values, running.set));
  agent::RunService& service = *agents.service;
  if (conversation) return converse(options, service);
  std::string id = options.resume;
  int64_t after_seq = 0;
  if (id.empty()) {
    HANLIN_ASSIGN(id, service.start(request));
  } else {
    HANLIN_ASSIGN(const auto before, service.events(id, 0, INT64_MAX));
    after_seq = before.empty() ? 0 : before.back().seq;
    HANLIN_TRY(service.resume(id));
  }
  HANLIN_ASSIGN(const agent::RunView view, Terminal(options, service).follow(id, after_seq));
  return finish(options, view);
}

}  // namespace

Command agent_command() {
  auto options = std::make_shared<Options>();
  Command command{.name = "agent",
                  .summary = "Solve a task with tools, step by step",
                  .examples =
                      "  hanlin agent 'What is 15% of 3,840, and what day is it today?'    # calculator and clock\n"
                      "  hanlin agent --tools weather.json '北京今天天气怎么样?'             # tools of yours\n"
                      "  hanlin agent --react --search corpus=docs 'What does --kv-type do?'  # Thought, Action, Observation\n"
                      "  hanlin agent --run-python --allow-tools python 'The 100th prime?'     # programs, in the sandbox\n"
                      "  hanlin agent --list; hanlin agent --replay run_…                   # what was done before"};
  command.options.add("react", &options->react, "Write steps as Thought, Action, Action Input instead of function calls");
  command.options.add("system", &options->request.system, "Further instructions for the model");
  command.options.add("use_tools", &options->use_tools, "Only these of the tools, with commas between");
  command.options.add("temperature", &options->request.temperature, "0: always the likeliest token; higher: more surprising").range(0, 100);
  command.options.add("seed", &options->seed, "The same seed gives the same text; below 0: another text each time");
  options->request.limits.fields(command.options);
  command.options.add("json", &options->json, "Print the run as JSON when it has ended; with --replay: its events, one a line");
  command.options.add("quiet", &options->quiet, "Print only the answer");
  command.options.add("list", &options->list, "List the runs that are kept");
  command.options.add("list_tools", &options->list_tools, "List the tools and who decides about their calls");
  command.options.add("previous", &options->request.previous, "Go on with the conversation of this run");
  options->request.memory.fields(command.options, "memory");
  command.options.add("replay", &options->replay, "Show this run again, step by step");
  command.options.add("resume", &options->resume, "Go on with this run, which was interrupted");
  command.positionals.push_back({"task", "What is to be done; left out: standard input, or at a terminal one task after the other", &options->task, 0, 1});
  command.config_flags = true;
  command.run = [options](LoadedConfig& loaded) { return agent_run(*options, loaded); };
  return command;
}

}  // namespace hanlin::app
