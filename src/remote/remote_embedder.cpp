#include "remote/remote_embedder.h"

#include <fmt/format.h>

#include <cstring>
#include <ctime>

#include "base/json.h"

namespace hanlin::remote {
namespace {

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Little-endian floats in base64. False: it is something else.
bool read_base64(const std::string& text, std::vector<float>* vector) {
  std::string bytes;
  uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    const int value = base64_value(c);
    if (value < 0) return false;
    bits = bits << 6 | static_cast<uint32_t>(value);
    if ((n_bits += 6) >= 8) bytes.push_back(static_cast<char>(bits >> (n_bits -= 8)));
  }
  if (bytes.size() % sizeof(float) != 0) return false;
  vector->resize(bytes.size() / sizeof(float));
  std::memcpy(vector->data(), bytes.data(), bytes.size());
  return true;
}

// A list of numbers, or base64.
bool read_vector(const Json& json, std::vector<float>* vector) {
  if (json.is_string()) return read_base64(json.get_ref<const std::string&>(), vector);
  if (!json.is_array()) return false;
  for (const Json& number : json) {
    if (!number.is_number()) return false;
    vector->push_back(number.get<float>());
  }
  return true;
}

}  // namespace

Result<std::shared_ptr<RemoteEmbedder>> RemoteEmbedder::create(const RemoteOptions& options) {
  HANLIN_ASSIGN(std::unique_ptr<Service> service, Service::create(options));
  return std::shared_ptr<RemoteEmbedder>(new RemoteEmbedder(std::move(service)));
}

RemoteEmbedder::RemoteEmbedder(std::unique_ptr<Service> service) : service_(std::move(service)) {
  const RemoteOptions& options = service_->options();
  first_info_.model = {.name = options.name, .path = options.base_url, .architecture = "remote", .context_length = options.context_length, .vocab_size = 0,
                       .n_parameters = 0, .has_chat_template = false, .created_unix = std::time(nullptr)};
  first_info_.max_tokens = options.context_length;
}

void RemoteEmbedder::learn_dimensions(int64_t dimensions) {
  std::call_once(learned_, [&] {
    known_info_ = first_info_;
    known_info_.dimensions = dimensions;
    known_ = true;
  });
}

Result<api::EmbedResult> RemoteEmbedder::embed(const api::EmbedRequest& request) {
  api::EmbedResult result;
  const auto n_batch = static_cast<size_t>(std::max(service_->options().embed_batch, 1));
  for (size_t begin = 0; begin < request.inputs.size(); begin += n_batch) {
    HANLIN_TRY(embed_batch(request, begin, std::min(request.inputs.size(), begin + n_batch), &result));
  }
  if (request.dimensions == 0 && !result.vectors.empty()) {
    const auto n_values = static_cast<int64_t>(result.vectors[0].size());
    learn_dimensions(n_values);
    if (n_values != embedder_info().dimensions) {
      return Error{Code::kCorrupt, fmt::format("{}: expected vectors of {} values as before, got {}", service_->where(), embedder_info().dimensions, n_values)};
    }
  }
  return result;
}

Status RemoteEmbedder::embed_batch(const api::EmbedRequest& request, size_t begin, size_t end, api::EmbedResult* result) const {
  Json body = {{"model", service_->options().model}, {"input", Json::array()}, {"encoding_format", "base64"}};
  for (size_t i = begin; i < end; ++i) std::visit([&](const auto& input) { body["input"].push_back(input); }, request.inputs[i]);
  if (request.dimensions > 0) body["dimensions"] = request.dimensions;
  if (request.truncate) body["truncate"] = true;
  HANLIN_ASSIGN(const Json answer, service_->call("POST", "/embeddings", body, service_->limits({}, {})));

  const auto corrupt = [&](const std::string& what) { return Error{Code::kCorrupt, fmt::format("{}: {}", service_->where(), what)}; };
  const auto data = answer.find("data");
  if (data == answer.end() || !data->is_array() || data->size() != end - begin) {
    return corrupt(fmt::format("expected {} vectors in \"data\", got {}", end - begin, data == answer.end() ? 0 : data->size()));
  }
  std::vector<std::vector<float>> vectors(data->size());
  for (size_t i = 0; i < data->size(); ++i) {
    const Json& item = (*data)[i];
    if (!item.is_object() || !item.contains("embedding")) return corrupt("expected an \"embedding\" in each entry of \"data\"");
    const size_t index = item.contains("index") && item["index"].is_number_unsigned() ? item["index"].get<size_t>() : i;
    if (index >= vectors.size() || !vectors[index].empty()) return corrupt(fmt::format("expected each index from 0 to {} once", vectors.size() - 1));
    if (!read_vector(item["embedding"], &vectors[index]) || vectors[index].empty()) return corrupt("expected numbers or base64 as embedding");
  }
  const size_t n_values = result->vectors.empty() ? vectors[0].size() : result->vectors[0].size();
  for (std::vector<float>& vector : vectors) {
    const auto wanted = request.dimensions > 0 ? static_cast<size_t>(request.dimensions) : n_values;
    if (vector.size() != wanted) return corrupt(fmt::format("expected vectors of {} values, got one of {}", wanted, vector.size()));
    result->vectors.push_back(std::move(vector));
  }
  if (const auto usage = answer.find("usage"); usage != answer.end() && usage->is_object() && usage->contains("prompt_tokens") && (*usage)["prompt_tokens"].is_number_integer()) {
    result->prompt_tokens += (*usage)["prompt_tokens"].get<int64_t>();
  }
  return {};
}

Result<std::vector<int32_t>> RemoteEmbedder::tokenize(const std::string& text, bool add_special, bool) const {
  return service_->tokenize({{"prompt", text}, {"add_special_tokens", add_special}});
}

}  // namespace hanlin::remote
