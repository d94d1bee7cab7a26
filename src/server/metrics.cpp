#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace hanlin::server {
namespace {

using prometheus::Histogram;
using prometheus::MetricFamily;
using prometheus::MetricType;

const Histogram::BucketBoundaries kRequestSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};
const Histogram::BucketBoundaries kFirstTokenSeconds = {0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80};
const Histogram::BucketBoundaries kPerTokenSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5};

// One number of GeneratorStats as a metric.
struct StatMetric {
  const char* name;
  const char* help;
  MetricType type;
  int64_t api::GeneratorStats::*field;
};
constexpr StatMetric kStatMetrics[] = {
    {"hanlin_requests_running", "Requests that are generating now", MetricType::Gauge, &api::GeneratorStats::n_running},
    {"hanlin_queue_waiting", "Requests that wait for their first step", MetricType::Gauge, &api::GeneratorStats::n_waiting},
    {"hanlin_prompt_tokens_total", "Prompt tokens read", MetricType::Counter, &api::GeneratorStats::prompt_tokens_total},
    {"hanlin_generated_tokens_total", "Tokens generated", MetricType::Counter, &api::GeneratorStats::generated_tokens_total},
    {"hanlin_draft_tokens_total", "Tokens guessed from the text so far and computed ahead", MetricType::Counter, &api::GeneratorStats::draft_tokens_total},
    {"hanlin_forced_tokens_total", "Tokens that a constraint left no choice about, taken without sampling", MetricType::Counter, &api::GeneratorStats::forced_tokens_total},
    {"hanlin_draft_tokens_right_total", "Guessed tokens that came true", MetricType::Counter, &api::GeneratorStats::draft_tokens_right_total},
    {"hanlin_cached_prompt_tokens_total", "Prompt tokens found in the prefix cache", MetricType::Counter, &api::GeneratorStats::cached_tokens_total},
    {"hanlin_generation_requests_total", "Generations accepted", MetricType::Counter, &api::GeneratorStats::requests_total},
    {"hanlin_generation_rejected_total", "Generations refused because the queue was full", MetricType::Counter, &api::GeneratorStats::rejected_total},
    {"hanlin_preemptions_total", "Generations set back because the cache was full", MetricType::Counter, &api::GeneratorStats::preemptions_total},
    {"hanlin_kv_blocks_total", "Blocks of the key-value cache", MetricType::Gauge, &api::GeneratorStats::kv_blocks_total},
    {"hanlin_kv_blocks_used", "Blocks that running requests hold", MetricType::Gauge, &api::GeneratorStats::kv_blocks_used},
    {"hanlin_kv_blocks_cached", "Blocks kept for later requests with the same prefix", MetricType::Gauge, &api::GeneratorStats::kv_blocks_cached},
};

prometheus::ClientMetric sample(MetricType type, const std::string& model, double value) {
  prometheus::ClientMetric metric;
  metric.label.push_back({"model", model});
  if (type == MetricType::Counter) metric.counter.value = value;
  else metric.gauge.value = value;
  return metric;
}

int64_t memory_bytes(const api::ServedModel& model) {
  int64_t bytes = 0;
  if (model.generator) bytes += model.generator->stats().memory_bytes;
  if (model.embedder) bytes += model.embedder->memory_bytes();
  if (model.reranker) bytes += model.reranker->memory_bytes();
  return bytes;
}

}  // namespace

struct Metrics::Impl {
  std::shared_ptr<const api::ModelSet> models;
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter().Name("nlp_requests_total").Help("HTTP requests answered").Register(registry);
  prometheus::Family<Histogram>& durations =
      prometheus::BuildHistogram().Name("nlp_request_duration_seconds").Help("From the end of a request's header to its last byte").Register(registry);
  prometheus::Family<Histogram>& first_token =
      prometheus::BuildHistogram().Name("hanlin_time_to_first_token_seconds").Help("From the end of a request's header to the first token").Register(registry);
  prometheus::Family<Histogram>& per_token =
      prometheus::BuildHistogram().Name("hanlin_time_per_output_token_seconds").Help("Mean time between tokens, one observation a request").Register(registry);
  prometheus::Family<prometheus::Counter>& embedded =
      prometheus::BuildCounter().Name("hanlin_embedded_tokens_total").Help("Tokens read by embedding and reranking").Register(registry);
};

Metrics::Metrics(std::shared_ptr<const api::ModelSet> models) : impl_(std::make_unique<Impl>()) { impl_->models = std::move(models); }
Metrics::~Metrics() = default;

void Metrics::request_done(const std::string& endpoint, int status, double seconds) {
  impl_->requests.Add({{"endpoint", endpoint}, {"status", std::to_string(status)}}).Increment();
  impl_->durations.Add({{"endpoint", endpoint}}, kRequestSeconds).Observe(seconds);
}
void Metrics::first_token(const std::string& model, double seconds) {
  impl_->first_token.Add({{"model", model}}, kFirstTokenSeconds).Observe(seconds);
}
void Metrics::per_token(const std::string& model, double seconds) {
  impl_->per_token.Add({{"model", model}}, kPerTokenSeconds).Observe(seconds);
}
void Metrics::embedded_tokens(const std::string& model, int64_t n_tokens) {
  impl_->embedded.Add({{"model", model}}).Increment(static_cast<double>(n_tokens));
}

std::string Metrics::exposition() const {
  std::vector<MetricFamily> families = impl_->registry.Collect();
  MetricFamily memory{"nlp_model_memory_bytes", "Weights, cache and activations of a loaded model", MetricType::Gauge, {}};
  std::vector<std::pair<std::string, api::GeneratorStats>> stats;
  for (const api::ServedModel& model : impl_->models->models) {
    memory.metric.push_back(sample(MetricType::Gauge, model.name, static_cast<double>(memory_bytes(model))));
    if (model.generator) stats.emplace_back(model.name, model.generator->stats());
  }
  families.push_back(std::move(memory));
  for (const StatMetric& metric : kStatMetrics) {
    MetricFamily family{metric.name, metric.help, metric.type, {}};
    for (const auto& [model, values] : stats) {
      family.metric.push_back(sample(metric.type, model, static_cast<double>(values.*metric.field)));
    }
    families.push_back(std::move(family));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace hanlin::server
