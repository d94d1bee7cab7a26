#include "hub/hub_source.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <filesystem>
#include <thread>

#include "base/json.h"
#include "hub/file_lock.h"
#include "hub/http_client.h"

namespace hanlin::hub {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxIdleAttempts = 4;  // attempts in a row that bring not one byte
constexpr int kMaxAttempts = 200;    // a line that breaks this often will not get better

// "\"abc\"" or "W/\"abc\"" → "abc"
std::string plain_etag(std::string etag) {
  if (etag.starts_with("W/")) etag.erase(0, 2);
  std::erase(etag, '"');
  return etag;
}

bool is_transient(const Error& error) { return error.code == Code::kUnavailable || error.code == Code::kDeadlineExceeded; }

// Does "bytes 100-199/200" start at `first`?
bool range_starts_at(const std::string& content_range, int64_t first) {
  int64_t value = -1;
  constexpr std::string_view kUnit = "bytes ";
  if (!content_range.starts_with(kUnit)) return false;
  std::from_chars(content_range.data() + kUnit.size(), content_range.data() + content_range.size(), value);
  return value == first;
}

HttpRequest request_for(const HubSettings& settings, const Url& url) {
  HttpRequest request;
  request.url = url;
  // Only the hub itself is told the token.
  if (const auto endpoint = parse_url(settings.endpoint); endpoint.ok() && url.same_server(*endpoint)) request.bearer_token = settings.token;
  return request;
}

std::optional<int64_t> parse_size(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

}  // namespace

Result<RemoteRepository> HubSource::repository(const std::string& repository, const std::string& revision) const {
  HANLIN_ASSIGN(const Url url, parse_url(fmt::format("{}/api/models/{}/revision/{}", settings_.endpoint, repository, encode_path(revision))));
  HANLIN_ASSIGN(const std::string body, http_get(request_for(settings_, url)));
  auto json = parse_json(body);
  const auto bad = [&](const char* expected) { return Error{Code::kCorrupt, fmt::format("{}: expected {}", url.shown(), expected)}; };
  if (!json.ok() || !json->is_object()) return bad("a JSON object that describes a repository");
  RemoteRepository info;
  if (!json->contains("sha") || !(*json)["sha"].is_string()) return bad("the commit in \"sha\"");
  info.commit = (*json)["sha"];
  if (!json->contains("siblings") || !(*json)["siblings"].is_array()) return bad("the files in \"siblings\"");
  for (const Json& sibling : (*json)["siblings"]) {
    if (!sibling.is_object() || !sibling.contains("rfilename") || !sibling["rfilename"].is_string()) return bad("\"rfilename\" of each file");
    info.files.push_back(sibling["rfilename"]);
  }
  return info;
}

Result<RemoteFile> HubSource::file(const std::string& repository, const std::string& commit, const std::string& path) const {
  HANLIN_ASSIGN(const Url url, parse_url(fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, repository, commit, encode_path(path))));
  HttpRequest request = request_for(settings_, url);
  request.method = "HEAD";
  request.follow_to_other_servers = false;
  HANLIN_ASSIGN(const HttpResponse response, http_send(request, nullptr, nullptr));
  if (response.status >= 400) return http_error(response);

  // A large file is answered with a redirect to its storage; the linked values describe the file itself.
  std::string etag = plain_etag(response.header("x-linked-etag"));
  if (etag.empty()) etag = plain_etag(response.header("etag"));
  std::optional<int64_t> n_bytes = parse_size(response.header("x-linked-size"));
  if (!n_bytes && response.status / 100 == 2) n_bytes = response.content_length();
  if (!is_repository_path(etag) || etag.find('/') != std::string::npos) {
    return Error{Code::kCorrupt, fmt::format("{}: expected an entity tag that names the content, got \"{}\"", url.shown(), etag)};
  }
  return RemoteFile{path, url, etag, {n_bytes, etag}};
}

Result<RemoteFile> HubSource::plain_file(const Url& url, const std::string& sha256) const {
  HttpRequest request = request_for(settings_, url);
  request.method = "HEAD";
  HANLIN_ASSIGN(const HttpResponse response, http_send(request, nullptr, nullptr));
  if (response.status >= 400) return http_error(response);
  const std::string path = url.target.substr(0, url.target.find('?'));
  return RemoteFile{path.substr(path.rfind('/') + 1), url, "url-" + sha256_hex(url.text()), {response.content_length(), sha256}};
}

Status HubSource::download(const ModelCache& cache, const std::string& repository, const std::vector<RemoteFile>& files) const {
  std::error_code ec;
  int64_t n_total = 0, n_missing = 0, n_before = 0;
  for (const RemoteFile& file : files) {
    const int64_t n_bytes = file.expected.n_bytes.value_or(0);
    const std::string blob = cache.blob_path(repository, file.blob);
    n_total += n_bytes;
    const auto n_partial = fs::file_size(blob + ".incomplete", ec);
    if (!fs::exists(blob)) n_missing += n_bytes - (ec ? 0 : static_cast<int64_t>(n_partial));
  }
  fs::create_directories(cache.root(), ec);
  const auto space = fs::space(cache.root(), ec);
  if (!ec && n_missing > static_cast<int64_t>(space.available)) {
    return Error{Code::kResourceExhausted, fmt::format("{}: {} MB are needed, {} MB are free; set HF_HOME to a larger disk",
                                                       cache.root(), n_missing / 1000000, space.available / 1000000)};
  }
  for (const RemoteFile& file : files) {
    HANLIN_ASSIGN(const FileLock lock, FileLock::acquire(cache.lock_path(repository, file.blob), [&] {
      if (listen_) listen_({PullEvent::Kind::kNote, "waiting for another pull of " + file.path});
    }));
    const std::string blob = cache.blob_path(repository, file.blob);
    if (!fs::exists(blob)) {
      HANLIN_TRY(download_one(file, blob, n_before, n_total));
      if (listen_) listen_({PullEvent::Kind::kVerified, "", file.path});
    }
    n_before += file.expected.n_bytes.value_or(0);
  }
  return {};
}

Status HubSource::download_one(const RemoteFile& file, const std::string& blob_path, int64_t n_before, int64_t n_total) const {
  for (int round = 0;; ++round) {
    HANLIN_ASSIGN(BlobWriter writer, BlobWriter::open(blob_path, file.expected));
    if (writer.n_written() > 0 && listen_) {
      listen_({PullEvent::Kind::kNote, fmt::format("resuming {} after {} bytes", file.path, writer.n_written())});
    }
    HANLIN_TRY(transfer(file, writer, n_before, n_total));
    const Status finished = writer.finish();
    // One fresh start: the piece from before the break may have been the wrong one.
    if (finished.ok() || finished.error().code != Code::kCorrupt || round == 1) return finished;
    if (listen_) listen_({PullEvent::Kind::kNote, finished.error().message + "; fetching it once more"});
  }
}

Status HubSource::transfer(const RemoteFile& file, BlobWriter& writer, int64_t n_before, int64_t n_total) const {
  int n_idle_attempts = 0;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const int64_t n_at_start = writer.n_written();
    if (file.expected.n_bytes && n_at_start == *file.expected.n_bytes) return {};
    HttpRequest request = request_for(settings_, file.url);
    if (n_at_start > 0) request.range_from = n_at_start;
    const auto result = http_send(
        request,
        [&](const HttpResponse& response) -> Status {
          if (response.status == 200 && n_at_start > 0) return writer.restart();  // the server ignores ranges
          if (response.status == 206 && !range_starts_at(response.header("content-range"), n_at_start)) {
            return Error{Code::kCorrupt, fmt::format("{}: expected the bytes from {}, got \"{}\"", file.path, n_at_start, response.header("content-range"))};
          }
          return {};
        },
        [&](std::span<const uint8_t> bytes) -> Status {
          HANLIN_TRY(writer.append(bytes));
          if (listen_) listen_({PullEvent::Kind::kProgress, "", file.path, n_before + writer.n_written(), n_total});
          return {};
        });
    if (result.ok() && result->status / 100 == 2) {
      if (!file.expected.n_bytes || writer.n_written() >= *file.expected.n_bytes) return {};
    } else if (result.ok() && result->status == 416) {
      HANLIN_TRY(writer.restart());
    } else if (result.ok() && result->status < 500 && result->status != 429) {
      return http_error(*result);
    } else if (!result.ok() && !is_transient(result.error())) {
      return result.error();
    }

    n_idle_attempts = writer.n_written() > n_at_start ? 0 : n_idle_attempts + 1;
    if (n_idle_attempts == kMaxIdleAttempts) return result.ok() ? http_error(*result) : result.error();
    if (listen_) listen_({PullEvent::Kind::kNote, fmt::format("{}: broken off after {} bytes, trying again", file.path, writer.n_written())});
    if (n_idle_attempts > 0) std::this_thread::sleep_for(std::chrono::milliseconds(500 << n_idle_attempts));
  }
  return Error{Code::kUnavailable, fmt::format("{}: broken off {} times", file.url.authority(), kMaxAttempts)};
}

}  // namespace hanlin::hub
