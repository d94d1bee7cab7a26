#include "agent/sandbox/spawn.h"

#include <fmt/format.h>
#include <spawn.h>

#include <cerrno>
#include <csignal>
#include <cstring>

extern char** environ;

namespace hanlin::agent {
namespace {

std::vector<std::string> environment_of(const SpawnOptions& options) {
  std::vector<std::string> all;
  for (const auto& [name, value] : options.environment) all.push_back(name + "=" + value);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const std::string_view name = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& [own, value] : options.environment) replaced |= own == name;
    if (!replaced) all.emplace_back(text);
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

Result<pid_t> spawn(const SpawnOptions& options, ChildPipes& pipes) {
  if (options.argv.empty()) return Error{Code::kInvalidArgument, "command: expected a program"};
  std::vector<std::string> args = options.argv, variables = environment_of(options);
  const std::vector<char*> argv = pointers(args), envp = pointers(variables);

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, pipes.child_in.get(), 0);
  posix_spawn_file_actions_adddup2(&actions, pipes.child_out.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, pipes.child_err.get(), 2);
  if (!options.folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, options.folder.c_str());
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (const int signal : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&defaults, signal);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t pid = -1;
  const int failure = posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  pipes.child_in.reset(), pipes.child_out.reset(), pipes.child_err.reset();
  if (failure == 0) return pid;
  return Error{failure == ENOENT ? Code::kNotFound : Code::kIo, fmt::format("command {}: {}", options.argv[0], std::strerror(failure))};
}

}  // namespace hanlin::agent
