// The files of web/, compiled into the program by embed_assets.cmake.
#pragma once

#include <span>
#include <string_view>

namespace hanlin::server {

struct Asset {
  std::string_view name;  // "app.js"
  std::string_view etag;  // quoted digest of the content
  std::string_view content;
};
std::span<const Asset> assets();

}  // namespace hanlin::server
