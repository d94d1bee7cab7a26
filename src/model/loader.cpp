#include "model/loader.h"

#include "model/arch/registry.h"

namespace hanlin {

Result<LoadedModel> load_model(const std::string& path, const LoadOptions& options) {
  LoadedModel model;
  HANLIN_ASSIGN(model.files, ModelFiles::open(path));
  HANLIN_ASSIGN(IdentifiedModel identified, identify_model(*model.files));
  model.spec = identified.spec;
  HANLIN_ASSIGN(std::shared_ptr<Backend> backend, make_cpu_backend(options.backend));
  if (model.spec.kind == ModelKind::kDecoder) {
    const DecoderOptions decoder{options.kv_dtype, options.max_step_tokens};
    HANLIN_ASSIGN(model.decoder, Decoder::load(model.files, model.spec, *identified.architecture, std::move(backend), decoder));
  } else {
    HANLIN_ASSIGN(model.encoder, Encoder::load(model.files, model.spec, *identified.architecture, std::move(backend)));
    model.spec = model.encoder->spec();  // the head's size is known now
  }
  return model;
}

}  // namespace hanlin
