#include "hub/reference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "base/fields.h"
#include "hub/model_cache.h"
#include "hub/url.h"

namespace hanlin::hub {
namespace {

// Of several GGUF files the first of these is taken: small with little loss first.
constexpr const char* kPreferredTypes[] = {"Q4_K_M", "Q4_K_S", "Q5_K_M", "Q4_1", "Q4_0", "Q6_K", "Q8_0", "BF16", "F16", "F32"};

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// Is `type` a word of the file's name? "Q4_K" is no word of "m-Q4_K_M.gguf".
bool names_type(const std::string& file, const std::string& type) {
  const std::string name = upper(file), word = upper(type);
  for (size_t at = name.find(word); at != std::string::npos; at = name.find(word, at + 1)) {
    const char before = at == 0 ? '-' : name[at - 1];
    const char after = at + word.size() < name.size() ? name[at + word.size()] : '.';
    if ((before == '-' || before == '.' || before == '_' || before == '/') && (after == '-' || after == '.' || after == '/')) return true;
  }
  return false;
}

// Files that belong to a model directory: weights, configuration, tokenizer, template, modules of sentence-transformers.
bool belongs_to_directory(const std::string& file) {
  const size_t slash = file.find('/');
  if (slash != std::string::npos) {  // 1_Pooling/config.json, 2_Dense/model.safetensors
    return std::isdigit(static_cast<unsigned char>(file[0])) && file.find('/', slash + 1) == std::string::npos &&
           (file.ends_with(".json") || file.ends_with(".safetensors"));
  }
  static constexpr const char* kEndings[] = {".json", ".safetensors", ".model", ".jinja", "vocab.txt", "merges.txt"};
  return std::any_of(std::begin(kEndings), std::end(kEndings), [&](const char* ending) { return file.ends_with(ending); });
}

bool is_weights(const std::string& file) {
  return file == "model.safetensors" || file == "model.safetensors.index.json" || (file.starts_with("model-") && file.ends_with(".safetensors"));
}

std::vector<std::string> gguf_models(const std::vector<std::string>& files) {
  std::vector<std::string> found;
  for (const std::string& file : files) {
    // Only first parts, and no image projectors, which are no models of their own.
    if (file.ends_with(".gguf") && split_parts(file)[0] == file && upper(file).find("MMPROJ") == std::string::npos) found.push_back(file);
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<ModelReference> parse_hub(ModelReference reference, std::string rest) {
  reference.kind = ModelReference::Kind::kHub;
  if (const size_t colon = rest.find(':'); colon != std::string::npos) {
    reference.selection = rest.substr(colon + 1);
    rest.resize(colon);
  }
  if (const size_t at = rest.find('@'); at != std::string::npos) {
    reference.revision = rest.substr(at + 1);
    rest.resize(at);
  }
  reference.repository = rest;
  if (!is_repository_id(reference.repository) || !is_repository_path(reference.revision) ||
      (!reference.selection.empty() && !is_repository_path(reference.selection))) {
    return Error{Code::kInvalidArgument, fmt::format("model \"{}\": expected org/name, org/name:file or org/name@revision:file", reference.text)};
  }
  return reference;
}

// https://hub/org/name[/(resolve|blob|tree)/revision[/file]] → org/name@revision:file
Result<ModelReference> parse_address(ModelReference reference, const HubSettings& settings) {
  HANLIN_ASSIGN(const Url url, parse_url(reference.text));
  bool is_hub = url.host == "huggingface.co" || url.host == "hf.co";
  if (const auto endpoint = parse_url(settings.endpoint); endpoint.ok()) is_hub |= url.same_server(*endpoint);
  std::vector<std::string> parts;
  const std::string path = url.target.substr(0, url.target.find('?'));
  for (size_t begin = 1; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    parts.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  const bool has_revision = parts.size() >= 4 && (parts[2] == "resolve" || parts[2] == "blob" || parts[2] == "tree");
  if (is_hub && (parts.size() == 2 || has_revision)) {
    std::string rest = parts[0] + "/" + parts[1];
    if (has_revision) rest += "@" + parts[3];
    if (parts.size() > 4) rest += fmt::format(":{}", fmt::join(parts.begin() + 4, parts.end(), "/"));
    return parse_hub(std::move(reference), rest);
  }
  reference.kind = ModelReference::Kind::kUrl;
  reference.url = reference.text;
  if (parts.empty() || !is_repository_path(parts.back())) {
    return Error{Code::kInvalidArgument, fmt::format("URL \"{}\": expected the address of a file", reference.text)};
  }
  return reference;
}

}  // namespace

Result<ModelReference> parse_reference(const std::string& text, const Catalog& catalog, const HubSettings& settings) {
  ModelReference reference;
  reference.text = text;
  if (text.starts_with("http://") || text.starts_with("https://")) return parse_address(std::move(reference), settings);
  if (text.starts_with("hf:")) return parse_hub(std::move(reference), text.substr(3));
  if (const CatalogModel* model = catalog.find(text)) {
    reference.kind = ModelReference::Kind::kCatalog;
    reference.catalog = model;
    reference.repository = model->repository;
    return reference;
  }
  std::error_code ec;
  if (!text.empty() && std::filesystem::exists(text, ec)) {
    reference.path = text;
    return reference;
  }
  const bool looks_local = text.empty() || text[0] == '/' || text[0] == '.' || text[0] == '~' || text.ends_with(".gguf") ||
                           std::count(text.begin(), text.end(), '/') > 1;
  if (text.find(':') == std::string::npos && looks_local) {
    return Error{Code::kNotFound, fmt::format("model \"{}\": there is no such file or directory", text)};
  }
  if (text.find('/') != std::string::npos) return parse_hub(std::move(reference), text);
  std::vector<std::string> names;
  for (const CatalogModel& model : catalog.models()) names.push_back(model.name);
  const auto suggestion = nearest(text, names);
  return Error{Code::kNotFound, fmt::format("model \"{}\": expected a path, org/name or one of {}{}", text, fmt::join(names, ", "),
                                            suggestion ? fmt::format(" (did you mean {}?)", *suggestion) : "")};
}

Result<FileSelection> select_files(const std::vector<std::string>& files, const std::string& selection) {
  const std::vector<std::string> ggufs = gguf_models(files);
  const bool is_directory = std::any_of(files.begin(), files.end(), is_weights);
  const auto choose = [&](const std::string& gguf) -> Result<FileSelection> {
    FileSelection chosen{split_parts(gguf), gguf};
    for (const std::string& part : chosen.files) {
      if (std::find(files.begin(), files.end(), part) == files.end()) return Error{Code::kNotFound, fmt::format("part {} is missing", part)};
    }
    return chosen;
  };
  if (!selection.empty()) {
    if (std::find(files.begin(), files.end(), selection) != files.end()) return choose(selection);
    for (const std::string& gguf : ggufs) {
      if (names_type(gguf, selection)) return choose(gguf);
    }
    return Error{Code::kNotFound, fmt::format("expected a file or quantisation \"{}\", got {}", selection,
                                              ggufs.empty() ? "no GGUF file at all" : fmt::format("{}", fmt::join(ggufs, ", ")))};
  }
  if (is_directory) {
    FileSelection chosen;
    std::copy_if(files.begin(), files.end(), std::back_inserter(chosen.files), belongs_to_directory);
    return chosen;
  }
  for (const char* type : kPreferredTypes) {
    for (const std::string& gguf : ggufs) {
      if (names_type(gguf, type)) return choose(gguf);
    }
  }
  if (!ggufs.empty()) return choose(ggufs[0]);
  return Error{Code::kNotFound, "expected safetensors or GGUF files, got neither"};
}

}  // namespace hanlin::hub
