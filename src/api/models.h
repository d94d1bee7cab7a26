// The models a process serves, by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/embed.h"
#include "api/generate.h"

namespace hanlin::api {

// One served model: what it can do is what is not null.
struct ServedModel {
  std::string name;                 // what clients write in "model"
  std::vector<std::string> aliases = {};
  std::shared_ptr<TextGenerator> generator = {};
  std::shared_ptr<Embedder> embedder = {};
  std::shared_ptr<Reranker> reranker = {};
  int64_t created_unix = 0;
};

// Filled by wire.cpp before the service starts; read-only afterwards, so safe from any thread.
struct ModelSet {
  std::vector<ServedModel> models;

  // The model called `name` (or alias), or null.
  const ServedModel* find(const std::string& name) const {
    for (const ServedModel& model : models) {
      if (model.name == name) return &model;
      for (const std::string& alias : model.aliases) {
        if (alias == name) return &model;
      }
    }
    return nullptr;
  }
  // The first model that can do it, or null: what a request without "model" gets.
  const ServedModel* first_generator() const { return first([](const ServedModel& m) { return m.generator != nullptr; }); }
  const ServedModel* first_embedder() const { return first([](const ServedModel& m) { return m.embedder != nullptr; }); }
  const ServedModel* first_reranker() const { return first([](const ServedModel& m) { return m.reranker != nullptr; }); }

 private:
  template <typename Pred>
  const ServedModel* first(const Pred& pred) const {
    for (const ServedModel& model : models) {
      if (pred(model)) return &model;
    }
    return nullptr;
  }
};

}  // namespace hanlin::api
