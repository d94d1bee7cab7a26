// Agent runs over HTTP, on a scripted model.
#include <fmt/format.h>

#include <atomic>

#include "agent/run/service.h"
#include "agent/runnable_tool.h"
#include "server/testing/server_fixture.h"

namespace hanlin::server::testing {
namespace {

constexpr char kSchema[] = R"({"type":"object","properties":{"text":{"type":"string"}},"required":["text"]})";

class Echo final : public agent::RunnableTool {
 public:
  Echo(std::string name, agent::Permission permission) : tool_{.name = std::move(name), .description = "says it again", .parameters_json = kSchema}, permission_(permission) {}
  const agent::Tool& tool() const override { return tool_; }
  agent::Permission permission() const override { return permission_; }
  Result<std::string> run(const Json& arguments, const agent::ToolContext&) override { return "echo " + arguments["text"].get<std::string>(); }

 private:
  const agent::Tool tool_;
  const agent::Permission permission_;
};

// The model calls `tool` with the task as text, then answers with the result it saw.
api::Script call_then_answer(const api::GenerateRequest& request, const std::string& tool) {
  const auto& messages = std::get<api::ChatPrompt>(request.prompt).messages;
  std::string task, result;
  for (const api::Message& message : messages) {
    if (message.content.find("echo ") != std::string::npos) result = message.content;
    else if (message.role == "user" && task.empty()) task = message.content;
  }
  if (!result.empty()) return {.tokens = {"It says: ", result}};
  return {.tokens = {"<tool_call>", "{\"name\": \"" + tool + "\", \"arguments\": {\"text\": \"" + task + "\"}}", "</tool_call>"}};
}

class AgentTest : public ServerTest {
 protected:
  void start_agents(ServerOptions options = {}, std::string tool = "echo") {
    generator_ = std::make_shared<api::ScriptedGenerator>(model_info("talker"), [tool](const api::GenerateRequest& request, const std::string&) { return call_then_answer(request, tool); });
    auto models = std::make_shared<api::ModelSet>();
    models->models.push_back({.name = "talker", .generator = generator_});
    auto tools = std::make_shared<agent::ToolBox>(
        std::vector<std::shared_ptr<agent::RunnableTool>>{std::make_shared<Echo>("echo", agent::Permission::kAllow), std::make_shared<Echo>("ask_first", agent::Permission::kAsk)});
    runs_ = agent::RunService::create({}, models, tools, store::open_sqlite_runs(":memory:").value()).value();
    options.port = 0;
    options.log_requests = false;
    server_ = Server::start(options, models, runs_).value();
  }
  void TearDown() override {
    if (runs_) runs_->stop();
    ServerTest::TearDown();
  }
  ClientResponse del(const std::string& path) {
    Client client(port());
    client.send("DELETE " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
    return client.read_response();
  }
  // The run once it is in one of these states.
  Json wait_state(const std::string& id, std::initializer_list<std::string> states) {
    for (const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60); std::chrono::steady_clock::now() < give_up; std::this_thread::yield()) {
      Json run = parse(get("/api/v1/agent/runs/" + id));
      for (const std::string& state : states) {
        if (run["state"] == state) return run;
      }
    }
    ADD_FAILURE() << "the run " << id << " never came to its state";
    return {};
  }

  std::shared_ptr<agent::RunService> runs_;
};

// The values of `field` in the data of all frames.
std::vector<std::string> fields_of(const std::string& stream, const std::string& field) {
  std::vector<std::string> found;
  for (size_t at = 0; (at = stream.find("data: {", at)) != std::string::npos; ++at) {
    const Result<Json> data = parse_json(stream.substr(at + 6, stream.find('\n', at) - at - 6));
    if (data.ok() && data->contains(field)) found.push_back((*data)[field].is_string() ? (*data)[field].get<std::string>() : dump_json((*data)[field]));
  }
  return found;
}

TEST_F(AgentTest, ARunIsWaitedFor) {
  start_agents();
  const ClientResponse response = post("/api/v1/agent/runs", R"({"task":"hi","wait":true})");
  ASSERT_EQ(response.status, 200) << response.body;
  const Json run = parse(response);
  EXPECT_EQ(run["state"], "completed") << response.body;
  EXPECT_EQ(run["calls"][0]["result"], "echo hi");
  EXPECT_EQ(run["calls"][0]["arguments"]["text"], "hi");
  EXPECT_TRUE(run["answer"].get<std::string>().find("echo hi") != std::string::npos) << response.body;
  EXPECT_EQ(run["steps"], 2);
  EXPECT_GT(run["usage"]["total_tokens"], 0);
  EXPECT_EQ(run["request"]["limits"]["max_steps"], 12);
}

TEST_F(AgentTest, ARunIsStreamed) {
  start_agents();
  const ClientResponse response = post("/api/v1/agent/runs", R"({"task":"hi","stream":true})");
  ASSERT_EQ(response.status, 200);
  EXPECT_TRUE(response.headers.at("content-type").starts_with("text/event-stream"));
  std::vector<std::string> types;
  for (const std::string& type : fields_of(response.body, "type")) {
    if (type != "text") types.push_back(type);
  }
  EXPECT_EQ(types, (std::vector<std::string>{"step", "turn", "call", "result", "step", "turn", "finished"}));
  EXPECT_NE(response.body.find("event: finished\n"), std::string::npos);
  EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n"));
}

TEST_F(AgentTest, ARunGoesOnWithoutItsClientAndIsReplayed) {
  start_agents();
  const ClientResponse created = post("/api/v1/agent/runs", R"({"task":"hi"})");
  ASSERT_EQ(created.status, 201) << created.body;
  const std::string id = parse(created)["id"].get<std::string>();
  EXPECT_EQ(created.headers.at("location"), "/api/v1/agent/runs/" + id);
  wait_state(id, {"completed"});
  const std::string path = "/api/v1/agent/runs/" + id + "/events";
  const auto all = fields_of(get(path).body, "seq");
  EXPECT_EQ(all, (std::vector<std::string>{"1", "2", "3", "4", "5", "6", "7"}));
  EXPECT_EQ(fields_of(get(path, "Last-Event-ID: 5\r\n").body, "seq"), (std::vector<std::string>{"6", "7"}));
  EXPECT_EQ(fields_of(get(path + "?after=6").body, "seq"), (std::vector<std::string>{"7"}));
  const Json page = parse(get(path + "?stream=false&after=1&limit=2"));
  ASSERT_EQ(page["data"].size(), 2u);
  EXPECT_EQ(page["data"][0]["type"], "turn");
  EXPECT_EQ(get(path + "?after=x").status, 400);
}

TEST_F(AgentTest, ConsentIsGivenOverHttp) {
  start_agents({}, "ask_first");
  const std::string id = parse(post("/api/v1/agent/runs", R"({"task":"hi"})"))["id"].get<std::string>();
  const Json waiting = wait_state(id, {"waiting"});
  ASSERT_EQ(waiting["approvals"].size(), 1u);
  const std::string path = "/api/v1/agent/runs/" + id + "/approvals/" + waiting["approvals"][0]["id"].get<std::string>();
  const ClientResponse wrong = post(path, R"({"approve":true,"arguments":{"text":"ho"}})");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(parse(wrong)["error"]["param"], "arguments");
  EXPECT_EQ(post(path, "{}").status, 400);
  EXPECT_EQ(post("/api/v1/agent/runs/" + id + "/approvals/none", R"({"approve":false})").status, 404);
  EXPECT_EQ(post(path, R"({"approve":true,"arguments":{"text":"hi"}})").status, 200);
  EXPECT_EQ(wait_state(id, {"completed"})["calls"][0]["result"], "echo hi");
  EXPECT_EQ(post(path, R"({"approve":false})").status, 400);  // it waits for nothing any more
}

TEST_F(AgentTest, RunsAreListedCancelledAndForgotten) {
  start_agents({}, "ask_first");
  const std::string a = parse(post("/api/v1/agent/runs", R"({"task":"a"})"))["id"].get<std::string>();
  const std::string b = parse(post("/api/v1/agent/runs", R"({"task":"b"})"))["id"].get<std::string>();
  wait_state(a, {"waiting"});
  wait_state(b, {"waiting"});
  EXPECT_EQ(del("/api/v1/agent/runs/" + a).status, 400);
  EXPECT_EQ(post("/api/v1/agent/runs/" + a + "/cancel", "").status, 200);
  EXPECT_EQ(wait_state(a, {"cancelled"})["answer"], Json());
  EXPECT_EQ(post("/api/v1/agent/runs/" + a + "/resume", "").status, 400);
  EXPECT_EQ(parse(get("/api/v1/agent/runs?state=waiting"))["data"].size(), 1u);
  const Json first = parse(get("/api/v1/agent/runs?limit=1"));
  EXPECT_EQ(first["has_more"], true);
  const Json second = parse(get("/api/v1/agent/runs?limit=1&before=" + first["next"].get<std::string>()));
  EXPECT_NE(second["data"][0]["id"], first["data"][0]["id"]);
  EXPECT_EQ(second["has_more"], false);
  EXPECT_EQ(del("/api/v1/agent/runs/" + a).status, 200);
  EXPECT_EQ(get("/api/v1/agent/runs/" + a).status, 404);
}

TEST_F(AgentTest, MistakesAreNamed) {
  start_agents();
  const std::pair<const char*, const char*> cases[] = {{R"({})", "task"}, {R"({"task":"t","tools":["nope"]})", "tools"}, {R"({"task":"t","limits":{"max_steps":0}})", "limits.max_steps"},
                                                       {R"({"task":"t","wait":"yes"})", "wait"}, {R"({"task":"t","colour":1})", "colour"}};
  for (const auto& [body, param] : cases) {
    const ClientResponse response = post("/api/v1/agent/runs", body);
    EXPECT_EQ(response.status, 400) << body;
    EXPECT_EQ(parse(response)["error"]["param"], param) << body;
  }
  EXPECT_EQ(post("/api/v1/agent/runs", R"({"task":"t","model":"nobody"})").status, 404);
  EXPECT_EQ(get("/api/v1/agent/runs/run_x/events").status, 404);
  EXPECT_EQ(get("/api/v1/agent/runs/run_x/nothing").status, 404);
}

TEST_F(AgentTest, ToolsAreListed) {
  start_agents();
  const Json tools = parse(get("/api/v1/agent/tools"));
  ASSERT_EQ(tools["data"].size(), 2u);
  EXPECT_EQ(tools["data"][1]["name"], "ask_first");
  EXPECT_EQ(tools["data"][1]["permission"], "ask");
  EXPECT_EQ(tools["data"][1]["parameters"]["required"][0], "text");
}

TEST_F(AgentTest, AServiceWithoutAgentsSaysSo) {
  start();
  EXPECT_EQ(post("/api/v1/agent/runs", R"({"task":"t"})").status, 404);
  EXPECT_EQ(get("/api/v1/agent/tools").status, 404);
}

TEST_F(AgentTest, StreamsEndWhenTheServiceDrains) {
  start_agents({}, "ask_first");
  const std::string id = parse(post("/api/v1/agent/runs", R"({"task":"hi"})"))["id"].get<std::string>();
  wait_state(id, {"waiting"});
  Client watcher(port());
  watcher.send("GET /api/v1/agent/runs/" + id + "/events HTTP/1.1\r\nHost: x\r\n\r\n");
  watcher.read_until("event: approval");
  server_->begin_drain();
  EXPECT_NE(watcher.read_until("[DONE]").find("event: interrupted"), std::string::npos);
  EXPECT_EQ(runs_->get(id)->state, "interrupted");
}

}  // namespace
}  // namespace hanlin::server::testing
