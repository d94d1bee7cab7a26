#include "hub/digest.h"

#include <openssl/evp.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

namespace hanlin::hub {

struct Digest::State {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
};

Digest::Digest(Kind kind) : state_(std::make_unique<State>()) {
  const EVP_MD* algorithm = kind == Kind::kSha256 ? EVP_sha256() : EVP_sha1();
  HANLIN_CHECK(state_->context && EVP_DigestInit_ex(state_->context.get(), algorithm, nullptr) == 1, "OpenSSL has no SHA");
}

Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;

void Digest::update(std::span<const uint8_t> bytes) { EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()); }

void Digest::update(std::string_view text) { EVP_DigestUpdate(state_->context.get(), text.data(), text.size()); }

std::string Digest::hex() {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned int n_bytes = 0;
  EVP_DigestFinal_ex(state_->context.get(), raw, &n_bytes);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned int i = 0; i < n_bytes; ++i) {
    text += kDigits[raw[i] >> 4];
    text += kDigits[raw[i] & 15];
  }
  return text;
}

std::string sha256_hex(std::string_view text) {
  Digest digest(Digest::Kind::kSha256);
  digest.update(text);
  return digest.hex();
}

Result<std::string> sha256_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{Code::kNotFound, path + ": cannot open: " + std::strerror(errno)};
  Digest digest(Digest::Kind::kSha256);
  std::vector<char> block(size_t{1} << 20);
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())) || file.gcount() > 0) {
    digest.update(std::string_view(block.data(), static_cast<size_t>(file.gcount())));
  }
  if (file.bad()) return Error{Code::kIo, path + ": cannot read: " + std::strerror(errno)};
  return digest.hex();
}

}  // namespace hanlin::hub
