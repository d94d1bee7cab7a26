#include <editline/readline.h>
#include <fmt/format.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "app/commands.h"
#include "app/generation.h"
#include "app/wire.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mmap_file.h"

namespace hanlin::app {
namespace {

constexpr const char* kHelp =
    "  /help              this list\n"
    "  /system TEXT       set the system message and start again\n"
    "  /clear             forget the conversation\n"
    "  /undo              take back the last question and its answer\n"
    "  /retry             another answer to the last question\n"
    "  /set NAME VALUE    change temperature, top_p, top_k, min_p, max_tokens, seed or repetition_penalty\n"
    "  /show              the settings\n"
    "  /save FILE         write the conversation as JSON\n"
    "  /load FILE         read one back\n"
    "  /stats             tokens and speed of the last answer\n"
    "  /exit              leave (also Ctrl-D); Ctrl-C stops an answer\n"
    "  \"\"\"                starts and ends a text of several lines\n";

struct Options {
  SamplingFlags sampling;
  std::string system;
  FieldSet sampling_fields;  // bound to `sampling`, for /set
};

// One conversation at the terminal.
class Chat {
 public:
  Chat(Options& options, api::TextGenerator& generator) : options_(options), generator_(generator) { reset(); }

  void loop() {
    const bool terminal = is_terminal(0);
    if (terminal) fmt::print("Chatting with {}. /help lists the commands.\n", generator_.info().name);
    while (true) {
      std::string line;
      if (!read_line(terminal, line)) break;
      if (line.find_first_not_of(" \t") == std::string::npos) continue;
      if (line[0] == '/') {
        if (!command(line)) break;
        continue;
      }
      messages_.push_back({"user", line});
      answer();
    }
    if (terminal) fmt::print("\n");
  }

 private:
  void reset() {
    messages_.clear();
    if (!options_.system.empty()) messages_.push_back({"system", options_.system});
  }

  bool read_one(bool terminal, const char* prompt, std::string& line) {
    if (!terminal) return static_cast<bool>(std::getline(std::cin, line));
    char* text = ::readline(prompt);
    if (text == nullptr) return false;
    line = text;
    if (!line.empty()) ::add_history(text);
    std::free(text);
    return true;
  }

  bool read_line(bool terminal, std::string& line) {
    if (!read_one(terminal, "> ", line)) return false;
    if (line.rfind("\"\"\"", 0) != 0) return true;
    std::string text = line.substr(3), more;
    while (read_one(terminal, "… ", more)) {
      if (more.ends_with("\"\"\"")) {
        text += "\n" + more.substr(0, more.size() - 3);
        break;
      }
      text += "\n" + more;
    }
    line = text;
    return true;
  }

  void answer() {
    api::GenerateRequest request;
    request.prompt = api::ChatPrompt{.messages = messages_};
    options_.sampling.apply(request);
    std::string text;
    const auto last = generate_to_end(generator_, std::move(request), [&](const api::TokenEvent& event) {
      text += event.text;
      std::fwrite(event.text.data(), 1, event.text.size(), stdout);
      std::fflush(stdout);
    });
    fmt::print("\n");
    if (!last.ok()) {
      fmt::print(stderr, "{}\n", last.error().message);
      messages_.pop_back();
      return;
    }
    last_ = *last;
    messages_.push_back({"assistant", text});
  }

  bool has_question() const { return !messages_.empty() && messages_.back().role != "system"; }
  void drop_answer() {
    if (has_question() && messages_.back().role == "assistant") messages_.pop_back();
  }

  // False: leave.
  bool command(const std::string& line) {
    std::istringstream words(line);
    std::string name, rest;
    words >> name;
    std::getline(words >> std::ws, rest);
    if (name == "/exit" || name == "/quit" || name == "/bye") return false;
    if (name == "/help") fmt::print("{}", kHelp);
    else if (name == "/clear") reset();
    else if (name == "/system") {
      options_.system = rest;
      reset();
    } else if (name == "/undo") {
      drop_answer();
      if (has_question()) messages_.pop_back();
    } else if (name == "/retry") {
      drop_answer();
      if (has_question()) answer();
      else fmt::print("There is no question yet.\n");
    } else if (name == "/set") set(rest);
    else if (name == "/show") {
      for (const Field& field : options_.sampling_fields.fields()) fmt::print("  {:<20} {}\n", field.name(), field.text());
    } else if (name == "/save") save(rest);
    else if (name == "/load") load(rest);
    else if (name == "/stats") fmt::print("{}\n", speed_line(last_));
    else fmt::print("'{}' is no command; /help lists them.\n", name);
    return true;
  }

  void set(const std::string& rest) {
    std::istringstream words(rest);
    std::string name, value;
    words >> name;
    std::getline(words >> std::ws, value);
    if (const auto status = options_.sampling_fields.set(name, value, Source::kFlag, "/set " + name); !status.ok()) fmt::print("{}\n", status.error().message);
  }

  void save(const std::string& path) {
    Json list = Json::array();
    for (const api::Message& message : messages_) list.push_back({{"role", message.role}, {"content", message.content}});
    const auto status = write_file_atomic(path, dump_json(list, 2) + "\n");
    fmt::print("{}\n", status.ok() ? fmt::format("{} messages saved to {}", list.size(), path) : status.error().message);
  }

  void load(const std::string& path) {
    const auto text = read_file(path);
    const auto json = text.ok() ? parse_json(*text) : Result<Json>(text.error());
    if (!json.ok()) {
      fmt::print("{}\n", json.error().message);
      return;
    }
    std::vector<api::Message> messages;
    for (const Json& item : json->is_array() ? *json : Json::array()) {
      if (!item.is_object() || !item.contains("role") || !item.contains("content") || !item["role"].is_string() || !item["content"].is_string()) {
        fmt::print("{}: expected a list of {{\"role\", \"content\"}} objects\n", path);
        return;
      }
      messages.push_back({item["role"].get<std::string>(), item["content"].get<std::string>()});
    }
    messages_ = std::move(messages);
    fmt::print("{} messages loaded\n", messages_.size());
  }

  Options& options_;
  api::TextGenerator& generator_;
  std::vector<api::Message> messages_;
  api::TokenEvent last_;
};

Status chat(Options& options, LoadedConfig& loaded) {
  std::setlocale(LC_CTYPE, "");
  HANLIN_ASSIGN(RunningModels running, start_one(loaded.values, kDefaultModels[0]));
  const api::ServedModel* model = running.set->first_generator();
  if (model == nullptr || !model->generator->info().has_chat_template) {
    return Error{Code::kInvalidArgument, fmt::format("'{}' has no chat template; `hanlin generate --raw` continues a text", running.set->models[0].name)};
  }
  Chat(options, *model->generator).loop();
  return {};
}

}  // namespace

Command chat_command() {
  auto options = std::make_shared<Options>();
  options->sampling.add_to(options->sampling_fields);
  Command command{.name = "chat",
                  .summary = "Talk with a model in the terminal",
                  .examples =
                      "  hanlin chat                                          # the default chat model\n"
                      "  hanlin chat --model smollm2-135m --temperature 0.2   # another one, less surprising\n"
                      "  hanlin chat --system '用中文回答。'                   # with a system message"};
  options->sampling.add_to(command.options);
  command.options.add("system", &options->system, "System message of the conversation");
  command.config_flags = true;
  command.run = [options](LoadedConfig& loaded) { return chat(*options, loaded); };
  return command;
}

}  // namespace hanlin::app
