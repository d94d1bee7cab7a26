#include "model/loader.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "base/log.h"
#include "model/arch/registry.h"
#include "model/packed_file.h"

namespace hanlin {
namespace {

// One load: what is known before the matrices are there.
struct Load {
  const LoadOptions& options;
  std::shared_ptr<const ModelFiles> files;
  IdentifiedModel identified;
  std::shared_ptr<Backend> backend;

  Result<LoadedModel> with(WeightMaker& maker) const {
    LoadedModel model{files, identified.spec, nullptr, nullptr};
    if (model.spec.kind == ModelKind::kDecoder) {
      const DecoderOptions decoder{options.kv_dtype, options.max_step_tokens};
      HANLIN_ASSIGN(model.decoder, Decoder::load(files, model.spec, *identified.architecture, backend, maker, decoder));
    } else {
      HANLIN_ASSIGN(model.encoder, Encoder::load(files, model.spec, *identified.architecture, backend, maker));
      model.spec = model.encoder->spec();  // the head's size is known now
    }
    return model;
  }
  Result<LoadedModel> fresh() const {
    FreshWeights maker(*backend);
    return with(maker);
  }
};

bool has_room(const std::string& directory, int64_t n_bytes) {
  namespace fs = std::filesystem;
  std::error_code ec;
  fs::path existing = fs::absolute(directory, ec);
  while (!existing.empty() && existing != existing.root_path() && !fs::exists(existing, ec)) existing = existing.parent_path();
  const auto space = fs::space(existing, ec);
  return !ec && space.available / 11 >= static_cast<uintmax_t>(n_bytes) / 10;
}

// Loads and writes a packed file on the way. Errors: the model's, or why the file could not be written.
Result<LoadedModel> load_and_pack(const Load& load, const std::string& packed, const std::string& model_path, std::vector<SourceFile> sources) {
  const auto started = std::chrono::steady_clock::now();
  remove_orphaned_packed(load.options.packed.directory);
  std::error_code ec;
  const std::string source_path = std::filesystem::absolute(model_path, ec);
  HANLIN_ASSIGN(const auto writer, PackedWriter::create(packed, load.backend->packed_layout(), source_path, std::move(sources)));
  FiledWeights maker(*load.backend, *writer);
  HANLIN_ASSIGN(LoadedModel model, load.with(maker));
  HANLIN_TRY(writer->finish());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  log_info(fmt::format("packed weights written to {}: {:.1f} MB in {:.2f} s", packed, static_cast<double>(writer->n_bytes()) / 1e6, seconds));
  return model;
}

Result<LoadedModel> load_packed(const Load& load, const std::string& model_path) {
  std::vector<SourceFile> sources;
  for (const MmapFile* map : load.files->maps()) sources.push_back(identify_source(*map));
  const std::string packed = packed_path(load.options.packed.directory, model_path);
  if (auto file = PackedFile::open(packed, load.backend->packed_layout(), sources); file.ok()) {
    MappedWeights maker(*load.backend, std::move(*file));
    HANLIN_ASSIGN(LoadedModel model, load.with(maker));
    if (maker.n_missing() > 0) {
      log_info(fmt::format("{}: {} matrices were missing; it is removed and made again at the next load", packed, maker.n_missing()));
      remove_packed(load.options.packed.directory, model_path);
    }
    return model;
  } else if (file.error().code == Code::kNotFound) {
    log_debug(fmt::format("{}: no packed weights yet", packed));
  } else {
    log_info(fmt::format("{}; packing again", file.error().message));
  }
  if (load.options.packed.cache == PackedCache::kAuto && !has_room(load.options.packed.directory, load.files->matrix_bytes())) {
    log_info(fmt::format("{}: too little room on the disk for packed weights; the model is packed at every load", load.options.packed.directory));
    return load.fresh();
  }
  auto model = load_and_pack(load, packed, model_path, std::move(sources));
  if (model.ok()) return model;
  // What is wrong with the model will be said again, what is wrong with the packed file is no reason not to load.
  const std::string why = model.error().message;
  const bool busy = model.error().code == Code::kUnavailable;
  auto fresh = load.fresh();
  if (fresh.ok() && busy) log_info(fmt::format("packed weights are not written: {}", why));
  if (fresh.ok() && !busy) log_warning(fmt::format("packed weights are not kept: {}", why));
  return fresh;
}

}  // namespace

Result<LoadedModel> load_model(const std::string& path, const LoadOptions& options) {
  HANLIN_ASSIGN(std::shared_ptr<const ModelFiles> files, ModelFiles::open(path));
  HANLIN_ASSIGN(IdentifiedModel identified, identify_model(*files));
  HANLIN_ASSIGN(std::shared_ptr<Backend> backend, make_cpu_backend(options.backend));
  const Load load{options, std::move(files), std::move(identified), std::move(backend)};
  const PackedOptions& packed = options.packed;
  const bool wanted = packed.cache == PackedCache::kOn || (packed.cache == PackedCache::kAuto && load.files->matrix_bytes() >= kPackedAutoBytes);
  return wanted && !packed.directory.empty() ? load_packed(load, path) : load.fresh();
}

}  // namespace hanlin
