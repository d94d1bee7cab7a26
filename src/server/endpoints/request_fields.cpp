#include "server/endpoints/request_fields.h"

#include <fmt/format.h>

#include <charconv>

#include "base/json.h"
#include "server/error_map.h"

namespace hanlin::server {
namespace {

constexpr int64_t kMaxChoices = 128;
constexpr size_t kMaxStops = 16;
constexpr size_t kMaxStopBytes = 1024;
constexpr size_t kMaxStopTokens = 256;
constexpr size_t kMaxLogitBias = 1024;

template <typename Can>
Result<const api::ServedModel*> find_model(const EndpointContext& context, JsonFields& fields, const api::ServedModel* fallback,
                                           const char* ability, const Can& can) {
  const std::string name = fields.text("model");
  HANLIN_TRY(fields.status());
  if (name.empty()) {
    if (fallback) return fallback;
    return Error{Code::kNotFound, fmt::format("model: no model that can {} is loaded", ability), "model"};
  }
  const api::ServedModel* model = context.models.find(name);
  if (!model) return model_not_found(name);
  if (!can(*model)) return Error{Code::kInvalidArgument, fmt::format("model: \"{}\" cannot {}", name, ability), "model"};
  return model;
}

std::vector<std::pair<int32_t, float>> read_logit_bias(JsonFields& fields) {
  const Json* value = fields.find("logit_bias");
  if (!value) return {};
  std::vector<std::pair<int32_t, float>> bias;
  if (!value->is_object() || value->size() > kMaxLogitBias) {
    fields.fail("logit_bias", fmt::format("expected an object of at most {} entries, got {}", kMaxLogitBias,
                                          value->is_object() ? fmt::format("{}", value->size()) : describe_json(*value)));
    return {};
  }
  for (const auto& [key, amount] : value->items()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0) {
      fields.fail("logit_bias", "expected token ids as keys, got \"" + key.substr(0, 40) + "\"");
      return {};
    }
    const double number = amount.is_number() ? amount.get<double>() : 1e9;
    if (!(number >= -100 && number <= 100)) {
      fields.fail("logit_bias", "expected numbers from -100 to 100, got " + describe_json(amount));
      return {};
    }
    bias.emplace_back(id, static_cast<float>(number));
  }
  return bias;
}

// The text of "content", or nothing after a mistake.
std::string read_content(JsonFields& message, const std::string& path, JsonFields& fields) {
  const Json* content = message.find("content");
  if (!content) return {};
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) {
    fields.fail(path + ".content", "expected a string or a list of parts, got " + describe_json(*content));
    return {};
  }
  std::string text;
  for (size_t i = 0; i < content->size(); ++i) {
    const Json& part = (*content)[i];
    const std::string where = fmt::format("{}.content[{}]", path, i);
    const std::string type = part.is_object() && part.contains("type") && part["type"].is_string() ? part["type"].get<std::string>() : "";
    const char* slot = type == "refusal" ? "refusal" : "text";
    if (type != "text" && type != "refusal" && type != "input_text") {
      fields.fail(where + ".type", "expected \"text\", got " + (type.empty() ? describe_json(part) : "\"" + type.substr(0, 40) + "\"; this model reads text only"));
    } else if (!part.contains(slot) || !part[slot].is_string()) {
      fields.fail(where + "." + slot, "expected a string");
    } else {
      text += part[slot].get_ref<const std::string&>();
    }
  }
  return text;
}

// The older form: one call without an id.
std::vector<api::ToolCall> read_function_call(JsonFields& message, const std::string& path, JsonFields& fields) {
  const Json* call = message.find("function_call");
  if (!call) return {};
  if (!call->is_object() || !call->contains("name") || !(*call)["name"].is_string()) {
    fields.fail(path + ".function_call", "expected an object with name and arguments");
    return {};
  }
  const Json arguments = call->value("arguments", Json(""));
  return {{"", (*call)["name"].get<std::string>(), arguments.is_string() ? arguments.get<std::string>() : dump_json(arguments)}};
}

std::vector<api::ToolCall> read_tool_calls(JsonFields& message, const std::string& path, JsonFields& fields) {
  const Json* list = message.find("tool_calls");
  if (!list) return read_function_call(message, path, fields);
  if (!list->is_array()) {
    fields.fail(path + ".tool_calls", "expected a list, got " + describe_json(*list));
    return {};
  }
  std::vector<api::ToolCall> calls;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string where = fmt::format("{}.tool_calls[{}]", path, i);
    const Json& item = (*list)[i];
    const Json* function = item.is_object() && item.contains("function") ? &item["function"] : nullptr;
    if (!function || !function->is_object()) {
      fields.fail(where + ".function", "expected an object with name and arguments");
      return {};
    }
    JsonFields outer(item, where + "."), inner(*function, where + ".function.");
    api::ToolCall call;
    call.id = outer.text("id");
    call.name = inner.required_text("name");
    const Json* arguments = inner.find("arguments");
    if (arguments) call.arguments = arguments->is_string() ? arguments->get<std::string>() : dump_json(*arguments);
    for (const JsonFields* part : {&outer, &inner}) {
      if (const Status status = part->status(); !status.ok()) fields.fail(where, status.error().message);
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

}  // namespace

Result<const api::ServedModel*> generator_model(const EndpointContext& context, JsonFields& fields) {
  return find_model(context, fields, context.models.first_generator(), "generate text", [](const api::ServedModel& m) { return m.generator != nullptr; });
}
Result<const api::ServedModel*> embedder_model(const EndpointContext& context, JsonFields& fields) {
  return find_model(context, fields, context.models.first_embedder(), "embed", [](const api::ServedModel& m) { return m.embedder != nullptr; });
}
Result<const api::ServedModel*> reranker_model(const EndpointContext& context, JsonFields& fields) {
  return find_model(context, fields, context.models.first_reranker(), "rerank", [](const api::ServedModel& m) { return m.reranker != nullptr; });
}

void read_generation_fields(const EndpointContext& context, JsonFields& fields, api::GenerateRequest* request) {
  api::SamplingParams& sampling = request->sampling;
  sampling.temperature = static_cast<float>(fields.number("temperature", sampling.temperature, 0, 2));
  sampling.top_p = static_cast<float>(fields.number_above("top_p", sampling.top_p, 0, 1));
  const int64_t top_k = fields.integer("top_k", sampling.top_k, -1, INT32_MAX);
  sampling.top_k = static_cast<int>(std::max<int64_t>(top_k, 0));  // -1 means off, too
  sampling.min_p = static_cast<float>(fields.number("min_p", sampling.min_p, 0, 1));
  sampling.typical_p = static_cast<float>(fields.number_above("typical_p", sampling.typical_p, 0, 1));
  sampling.repetition_penalty = static_cast<float>(fields.number_above("repetition_penalty", sampling.repetition_penalty, 0, 10));
  sampling.presence_penalty = static_cast<float>(fields.number("presence_penalty", sampling.presence_penalty, -2, 2));
  sampling.frequency_penalty = static_cast<float>(fields.number("frequency_penalty", sampling.frequency_penalty, -2, 2));
  sampling.logit_bias = read_logit_bias(fields);
  if (const auto seed = fields.optional_integer("seed", INT64_MIN, INT64_MAX)) sampling.seed = static_cast<uint64_t>(*seed);
  request->stop = fields.text_or_texts("stop", kMaxStops, kMaxStopBytes);
  request->stop_token_ids = fields.token_ids("stop_token_ids", kMaxStopTokens);
  request->ignore_eos = fields.boolean("ignore_eos", false);
  request->include_stop = fields.boolean("include_stop_str_in_output", false);
  request->n = static_cast<int>(fields.integer("n", 1, 1, kMaxChoices));
  request->priority = static_cast<int>(fields.integer("priority", 0, INT32_MIN, INT32_MAX));
  request->id = context.request_id;
  const double limit = std::chrono::duration<double>(context.options.request_timeout).count();
  const double timeout = fields.number_above("timeout", limit, 0, 1e9);
  request->deadline = context.received + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                             std::chrono::duration<double>(std::min(timeout, limit)));
}

int64_t read_dimensions(JsonFields& fields, const api::Embedder& embedder) {
  const int64_t most = embedder.embedder_info().dimensions;
  return fields.integer("dimensions", 0, 1, most > 0 ? most : INT32_MAX);
}

StreamFields read_stream_fields(JsonFields& fields) {
  StreamFields result;
  result.stream = fields.boolean("stream", false);
  const Json* options = fields.find("stream_options");
  if (!options) return result;
  if (!options->is_object()) {
    fields.fail("stream_options", "expected an object, got " + describe_json(*options));
  } else if (!result.stream) {
    fields.fail("stream_options", "expected only together with \"stream\": true");
  } else {
    JsonFields inner(*options, "stream_options.");
    result.include_usage = inner.boolean("include_usage", false);
    if (!inner.ok()) fields.fail(inner.status().error());
  }
  return result;
}

std::vector<api::Message> read_messages(JsonFields& fields) {
  const Json* list = fields.find("messages");
  if (!list || !list->is_array() || list->empty()) {
    fields.fail("messages", "expected a list of at least one message, got " + (list ? describe_json(*list) : std::string("nothing")));
    return {};
  }
  std::vector<api::Message> messages;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    const Json& item = (*list)[i];
    if (!item.is_object()) {
      fields.fail(path, "expected an object with role and content, got " + describe_json(item));
      return {};
    }
    JsonFields inner(item, path + ".");
    api::Message message;
    message.role = inner.required_text("role");
    static constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool", "function"};
    if (inner.ok() && std::find(std::begin(kRoles), std::end(kRoles), message.role) == std::end(kRoles)) {
      fields.fail(path + ".role", "expected system, developer, user, assistant or tool, got \"" + message.role.substr(0, 40) + "\"");
    }
    message.tool_calls = read_tool_calls(inner, path, fields);
    if (!inner.find("content") && message.role != "assistant") {
      fields.fail(path + ".content", "expected a string or a list of text parts, got nothing");
    }
    message.content = read_content(inner, path, fields);
    message.name = inner.text("name");
    message.tool_call_id = inner.text("tool_call_id");
    message.reasoning = inner.text("reasoning_content");
    if (const Status status = inner.status(); !status.ok() && fields.ok()) {
      // The inner reader already put the path in front; keep its own parameter name.
      std::string name = status.error().param;
      fields.fail(name, status.error().message.substr(std::min(status.error().message.size(), name.size() + 2)));
    }
    if (!fields.ok()) return {};
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace hanlin::server
