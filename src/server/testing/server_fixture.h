// A running server on scripted models for tests.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "api/scripted.h"
#include "base/json.h"
#include "server/server.h"
#include "server/testing/http_client.h"

namespace hanlin::server::testing {

inline api::ModelInfo model_info(const std::string& name) {
  return {.name = name, .architecture = "script", .context_length = 100'000, .vocab_size = 256, .has_chat_template = true, .created_unix = 1'700'000'000};
}

// Models: "talker" (generator, alias "default"), "vectors" (embedder of 8 dimensions, 64 tokens; reranker).
class ServerTest : public ::testing::Test {
 protected:
  void start(ServerOptions options = {}, api::ScriptFn script = api::parrot_script) {
    generator_ = std::make_shared<api::ScriptedGenerator>(model_info("talker"), std::move(script));
    auto models = std::make_shared<api::ModelSet>();
    models->models.push_back({.name = "talker", .aliases = {"default"}, .generator = served(generator_)});
    models->models.push_back({.name = "vectors", .embedder = std::make_shared<api::ScriptedEmbedder>(model_info("vectors"), 8, 64),
                              .reranker = std::make_shared<api::ScriptedReranker>(model_info("vectors"))});
    options.port = 0;
    options.log_requests = log_requests_;
    auto started = Server::start(options, models);
    ASSERT_TRUE(started.ok()) << started.error().message;
    server_ = std::move(started).value();
  }
  // What stands between the service and the scripted generator.
  virtual std::shared_ptr<api::TextGenerator> served(std::shared_ptr<api::TextGenerator> generator) { return generator; }
  void TearDown() override {
    if (server_) server_->stop();
  }

  // Lets a generator that was held back (allow_steps(0)) go on in pieces until `done(counts)`. An answer of the service between two pieces
  // shows that its thread has seen the one before, so that it is not overrun before it can say stop.
  void drip(const std::function<bool(const api::ScriptedGenerator::Counts&)>& done) {
    for (auto counts = generator_->counts(); !done(counts); counts = generator_->counts()) {
      if (counts.n_pauses <= counts.n_resumes) generator_->allow_steps(64);
      const int64_t n_wanted = counts.n_tokens + 64;
      generator_->wait_until([&](const auto& now) { return now.n_tokens >= n_wanted || now.n_pauses > now.n_resumes || now.n_finished > 0 || done(now); });
      EXPECT_EQ(get("/health/live").status, 200);
    }
  }

  uint16_t port() const { return server_->port(); }
  ClientResponse get(const std::string& path, const std::string& headers = "") { return Client(port()).get(path, headers); }
  ClientResponse post(const std::string& path, const std::string& body, const std::string& headers = "") {
    return Client(port()).post(path, body, headers);
  }
  static Json parse(const ClientResponse& response) {
    Result<Json> json = parse_json(response.body);
    EXPECT_TRUE(json.ok()) << response.status << ": " << response.body;
    return json.ok() ? std::move(json).value() : Json();
  }

  bool log_requests_ = false;
  std::shared_ptr<api::ScriptedGenerator> generator_;
  std::unique_ptr<Server> server_;
};

}  // namespace hanlin::server::testing
