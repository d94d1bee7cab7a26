#include "agent/memory/memory.h"

#include <gtest/gtest.h>

#include "agent/memory/turns.h"
#include "api/scripted.h"

namespace hanlin::agent {
namespace {

using Messages = std::vector<api::Message>;

// "role:content" of each message; calls as "role>name".
std::vector<std::string> shown(const Messages& messages) {
  std::vector<std::string> lines;
  for (const api::Message& message : messages) lines.push_back(message.role + (message.tool_calls.empty() ? ":" + message.content : ">" + message.tool_calls[0].name));
  return lines;
}
using Lines = std::vector<std::string>;

Messages talk() {
  return {{"system", "be kind"},
          {"user", "my cat is Tom"},
          {.role = "assistant", .content = "", .tool_calls = {{"1", "note", "{}"}}},
          {.role = "tool", .content = "noted", .tool_call_id = "1"},
          {"assistant", "a nice name"},
          {"user", "and it rains"},
          {"assistant", "oh"},
          {"user", "who is Tom"}};
}

TEST(Turns, KeepCallsAndResultsTogether) {
  const Turns turns = split_turns(talk());
  EXPECT_EQ(turns.n_head, 1u);
  ASSERT_EQ(turns.turns.size(), 3u);
  EXPECT_EQ(turns.turns[0].begin, 1u);
  EXPECT_EQ(turns.turns[0].end, 5u);
  EXPECT_EQ(turn_text(talk(), turns.turns[0]), "user: my cat is Tom\nassistant calls note({})\ntool: noted\nassistant: a nice name");
  EXPECT_EQ(split_turns({{"assistant", "Welcome"}, {"user", "hi"}}).turns.size(), 2u);
  EXPECT_TRUE(split_turns({}).turns.empty());
  EXPECT_EQ(shown(compose(talk(), turns, 2, "a note")), (Lines{"system:be kind\n\na note", "user:who is Tom"}));
  EXPECT_EQ(shown(compose({{"user", "hi"}}, split_turns({{"user", "hi"}}), 0, "n")), (Lines{"system:n", "user:hi"}));
}

TEST(WindowMemory, KeepsTheLastTurns) {
  EXPECT_EQ(shown(make_window_memory(2)->select(talk()).value()), (Lines{"system:be kind", "user:and it rains", "assistant:oh", "user:who is Tom"}));
  EXPECT_EQ(shown(make_window_memory(0)->select(talk()).value()), (Lines{"system:be kind", "user:who is Tom"}));
  EXPECT_EQ(make_window_memory(3)->select(talk())->size(), talk().size());
  EXPECT_TRUE(make_window_memory(3)->select({})->empty());
}

// Tokens of the scripted generator are bytes; each message counts 4 more.
std::shared_ptr<api::ScriptedGenerator> summariser(std::optional<Error> error = {}) {
  return std::make_shared<api::ScriptedGenerator>(api::ModelInfo{.name = "m"}, [error](const api::GenerateRequest&, const std::string& prompt) {
    const bool knows = prompt.find("Tom") != std::string::npos;
    return api::Script{.tokens = {knows ? "The cat is Tom." : "Nothing."}, .final_error = error};
  });
}

TEST(SummaryMemory, SummarisesWhatLeavesOnce) {
  const auto generator = summariser();
  const auto memory = make_summary_memory({.generator = generator, .budget_tokens = 60, .summary_tokens = 20});
  Messages messages = talk();
  EXPECT_EQ(shown(memory->select({messages.begin(), messages.begin() + 2}).value()), (Lines{"system:be kind", "user:my cat is Tom"}));
  EXPECT_EQ(generator->counts().n_submitted, 0) << "within the budget";

  const Lines wanted = {"system:be kind\n\nSummary of the conversation so far:\nThe cat is Tom.", "user:who is Tom"};
  EXPECT_EQ(shown(memory->select(messages).value()), wanted);
  const std::string prompt = std::get<api::ChatPrompt>(generator->last_request().prompt).messages.at(1).content;
  EXPECT_NE(prompt.find("assistant calls note({})"), std::string::npos);
  EXPECT_NE(prompt.find("and it rains"), std::string::npos);
  EXPECT_EQ(generator->last_request().max_tokens, 20);
  EXPECT_EQ(shown(memory->select(messages).value()), wanted);
  EXPECT_EQ(generator->counts().n_submitted, 1) << "the summary is kept";

  messages.push_back({"assistant", "your cat"});
  messages.push_back({"user", "thanks a lot"});
  EXPECT_EQ(shown(memory->select(messages).value())[1], "user:thanks a lot");
  const std::string second = std::get<api::ChatPrompt>(generator->last_request().prompt).messages.at(1).content;
  EXPECT_NE(second.find("The cat is Tom."), std::string::npos) << "goes on from the summary";
  EXPECT_NE(second.find("who is Tom"), std::string::npos);
  EXPECT_EQ(second.find("and it rains"), std::string::npos);

  messages[1].content = "my dog is Rex, and he is a very good dog";
  messages[7].content = "who?";
  EXPECT_EQ(shown(memory->select(messages).value())[0].substr(0, 60), "system:be kind\n\nSummary of the conversation so far:\nNothing.") << "another past";
}

TEST(SummaryMemory, TheLastTurnStaysAndErrorsAreTold) {
  const auto memory = make_summary_memory({.generator = summariser(), .budget_tokens = 10, .summary_tokens = 5});
  EXPECT_EQ(shown(memory->select({{"user", std::string(100, 'x')}}).value()), (Lines{"user:" + std::string(100, 'x')}));
  const auto broken = make_summary_memory({.generator = summariser(Error{Code::kUnavailable, "down"}), .budget_tokens = 60, .summary_tokens = 20});
  EXPECT_EQ(broken->select(talk()).error().code, Code::kUnavailable);
}

// Vectors are counts of letters: similar texts have similar letters.
TEST(RetrievalMemory, RecallsWhatIsSimilar) {
  const auto embedder = std::make_shared<api::ScriptedEmbedder>(api::ModelInfo{.name = "v"}, 128, 1000);
  const Messages messages = {{"user", "zzzz zzzz"}, {"assistant", "zzzz"}, {"user", "cats cats cats cats"}, {"assistant", "cats"}, {"user", "what now"}, {"user", "cats cats"}};
  const auto memory = make_retrieval_memory({.embedder = embedder, .n_recent_turns = 1, .n_recalled = 1});
  EXPECT_EQ(shown(memory->select(messages).value()), (Lines{"system:From earlier in this conversation:\nuser: cats cats cats cats\nassistant: cats", "user:cats cats"}));

  const auto both = make_retrieval_memory({.embedder = embedder, .n_recent_turns = 2, .n_recalled = 5, .min_similarity = -1});
  EXPECT_EQ(shown(both->select(messages).value())[0],
            "system:From earlier in this conversation:\nuser: zzzz zzzz\nassistant: zzzz\n---\nuser: cats cats cats cats\nassistant: cats") << "in their order";
  const auto none = make_retrieval_memory({.embedder = embedder, .n_recent_turns = 1, .min_similarity = 0.999});
  EXPECT_EQ(shown(none->select(messages).value()), (Lines{"user:cats cats"}));
  EXPECT_EQ(make_retrieval_memory({.embedder = embedder, .n_recent_turns = 9})->select(messages)->size(), messages.size());
}

TEST(RetrievalMemory, EmbedsEachTurnOnce) {
  struct Counting final : api::Embedder {
    api::ScriptedEmbedder inner{api::ModelInfo{.name = "v"}, 16, 1000};
    std::vector<size_t> n_inputs;
    const api::EmbedderInfo& embedder_info() const override { return inner.embedder_info(); }
    Result<api::EmbedResult> embed(const api::EmbedRequest& request) override {
      n_inputs.push_back(request.inputs.size());
      return inner.embed(request);
    }
    Result<std::vector<int32_t>> tokenize(const std::string& text, bool a, bool b) const override { return inner.tokenize(text, a, b); }
    Result<std::string> detokenize(const std::vector<int32_t>& ids) const override { return inner.detokenize(ids); }
    int64_t memory_bytes() const override { return 0; }
  };
  const auto embedder = std::make_shared<Counting>();
  const auto memory = make_retrieval_memory({.embedder = embedder, .n_recent_turns = 1});
  Messages messages = {{"user", "one"}, {"user", "two"}, {"user", "three"}};
  ASSERT_TRUE(memory->select(messages).ok());
  ASSERT_TRUE(memory->select(messages).ok());
  messages.push_back({"user", "four"});
  ASSERT_TRUE(memory->select(messages).ok());
  EXPECT_EQ(embedder->n_inputs, (std::vector<size_t>{3, 2}));
}

}  // namespace
}  // namespace hanlin::agent
