// Fetching from the Hugging Face hub, or a server that speaks its protocol, or any web server.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "hub/blob_writer.h"
#include "hub/model_cache.h"
#include "hub/pull.h"
#include "hub/url.h"

namespace hanlin::hub {

// A file as its server announces it.
struct RemoteFile {
  std::string path;  // inside the repository
  Url url;
  std::string blob;  // name in the cache: the entity tag
  Expected expected;
};

struct RemoteRepository {
  std::string commit;
  std::vector<std::string> files;
};

class HubSource {
 public:
  HubSource(const HubSettings& settings, const PullListener& listen) : settings_(settings), listen_(listen) {}

  // GET /api/models/<repository>/revision/<revision>
  Result<RemoteRepository> repository(const std::string& repository, const std::string& revision) const;
  // HEAD /<repository>/resolve/<commit>/<path>: size and hash. Errors: kCorrupt if the server announces no entity tag.
  Result<RemoteFile> file(const std::string& repository, const std::string& commit, const std::string& path) const;
  // HEAD of any address; without an entity tag only the length is checked.
  Result<RemoteFile> plain_file(const Url& url, const std::string& sha256) const;

  // Fetches the files that are not among the blobs yet, one after the other, resuming and retrying.
  Status download(const ModelCache& cache, const std::string& repository, const std::vector<RemoteFile>& files) const;

 private:
  Status download_one(const RemoteFile& file, const std::string& blob_path, int64_t n_before, int64_t n_total) const;
  Status transfer(const RemoteFile& file, BlobWriter& writer, int64_t n_before, int64_t n_total) const;

  const HubSettings& settings_;
  const PullListener& listen_;
};

}  // namespace hanlin::hub
