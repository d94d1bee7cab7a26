#include "agent/tools/run_code.h"

#include <fmt/format.h>

#include "agent/tools/arguments.h"

namespace hanlin::agent {
namespace {

constexpr int64_t kMaxCodeBytes = 100000;  // one argument of a program may have 128 KiB

struct RunCodeArgs {
  std::string code;
  void fields(ArgumentList& list) { list.add("code", &code, "The whole program; what it prints is the result").required().range(1, kMaxCodeBytes); }
};

class RunCode final : public TypedTool<RunCodeArgs> {
 public:
  RunCode(std::string name, std::string description, std::vector<std::string> interpreter, RunCodeOptions options)
      : TypedTool(std::move(name), std::move(description)), interpreter_(std::move(interpreter)), options_(std::move(options)) {}

 protected:
  Result<std::string> call(const RunCodeArgs& args, const ToolContext& context) override {
    SandboxJob job{.argv = interpreter_, .mounts = options_.mounts, .limits = options_.limits, .kind = options_.kind};
    job.argv.push_back(args.code);
    HANLIN_ASSIGN(const ProcessOutput output, run_in_sandbox(job, {.deadline = context.deadline, .stop = context.stop}));
    if (output.cancelled) return Error{Code::kCancelled, tool().name + ": the run was cancelled"};
    return describe_output(output, options_.limits);
  }

 private:
  const std::vector<std::string> interpreter_;
  const RunCodeOptions options_;
};

Result<std::shared_ptr<RunnableTool>> make(const std::string& name, const std::string& language, std::vector<std::string> interpreter, const RunCodeOptions& options) {
  // Proves all layers and the interpreter at once.
  std::vector<std::string> probe = interpreter;
  probe.push_back(name == "python" ? "print(1)" : "echo 1");
  SandboxJob job{.argv = std::move(probe), .mounts = options.mounts, .limits = options.limits, .kind = options.kind};
  auto tried = run_in_sandbox(job, {});
  if (!tried.ok()) return std::move(tried).error().with_context(name);
  if (tried->out.text != "1\n") {
    return Error{Code::kUnsupported, fmt::format("{}: {} does not work in the sandbox: status {}, {}", name, interpreter[0], tried->exit_status, tried->err.text)};
  }
  const std::string description = fmt::format(
      "Runs a {} in a sandbox without network and without the user's files; /work and /tmp are writable and empty at each call. At most {} s and {} MB.", language,
      options.limits.wall.count(), options.limits.memory_bytes >> 20);
  return std::shared_ptr<RunnableTool>(std::make_shared<RunCode>(name, description, std::move(interpreter), options));
}

void add_stream(const Captured& stream, const char* heading, std::string* text) {
  if (stream.text.empty()) return;
  if (!text->empty() && !text->ends_with('\n')) *text += '\n';
  *text += heading + stream.text;
  if (stream.n_left_out > 0) *text += fmt::format("\n[cut here: {} more bytes]", stream.n_left_out);
}

}  // namespace

std::string describe_output(const ProcessOutput& output, const SandboxLimits& limits) {
  std::string text;
  add_stream(output.out, "", &text);
  add_stream(output.err, "[stderr]\n", &text);
  std::string end;
  if (output.timed_out) end = fmt::format("[stopped: it took longer than it may (at most {} s)]", limits.wall.count());
  else if (output.exit_status == 128 + 24) end = fmt::format("[stopped: more than {} s of computing]", limits.cpu.count());
  else if (output.exit_status > 128) end = fmt::format("[ended by signal {}]", output.exit_status - 128);
  else if (output.exit_status != 0) end = fmt::format("[exit status {}]", output.exit_status);
  if (text.empty() && end.empty()) return "(no output)";
  if (!end.empty() && !text.empty() && !text.ends_with('\n')) text += '\n';
  return text + end;
}

Result<std::shared_ptr<RunnableTool>> make_python(const RunCodeOptions& options) {
  return make("python", "Python 3 program", {options.python, "-I", "-c"}, options);
}

Result<std::shared_ptr<RunnableTool>> make_shell(const RunCodeOptions& options) { return make("shell", "shell script (sh)", {"/bin/sh", "-c"}, options); }

}  // namespace hanlin::agent
