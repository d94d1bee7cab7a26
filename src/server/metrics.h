// Counters and histograms of the service, and the text that /metrics answers with.
#pragma once

#include <memory>
#include <string>

#include "api/models.h"

namespace hanlin::server {

// Any thread. Label values come from the route table and the served models only, so their number is bounded.
class Metrics {
 public:
  explicit Metrics(std::shared_ptr<const api::ModelSet> models);
  ~Metrics();

  // `endpoint` is a route's path pattern, or "other".
  void request_done(const std::string& endpoint, int status, double seconds);
  void first_token(const std::string& model, double seconds);
  void per_token(const std::string& model, double seconds);  // mean over one request's later tokens
  void embedded_tokens(const std::string& model, int64_t n_tokens);

  // Prometheus text format 0.0.4; reads the generators' own numbers at this moment.
  std::string exposition() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hanlin::server
