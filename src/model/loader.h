// From a path to a model that computes.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"
#include "model/decoder.h"
#include "model/encoder.h"
#include "model/files.h"
#include "model/packed_weights.h"
#include "model/spec.h"

namespace hanlin {

struct LoadOptions {
  BackendOptions backend;
  KvDType kv_dtype = KvDType::kF16;
  int64_t max_step_tokens = 512;
  PackedOptions packed;
};

// Exactly one of decoder and encoder is set, by spec.kind.
struct LoadedModel {
  std::shared_ptr<const ModelFiles> files;
  ModelSpec spec;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Encoder> encoder;
};

// Opens, identifies and loads the model at `path` (see ModelFiles::open). Errors name the file and what was expected.
Result<LoadedModel> load_model(const std::string& path, const LoadOptions& options);

}  // namespace hanlin
