// Base64 of float vectors, as OpenAI's clients ask for embeddings.
#pragma once

#include <string>
#include <vector>

namespace hanlin::server {

// RFC 4648 alphabet with padding, over the values as little-endian IEEE 754 float32.
std::string base64_floats(const std::vector<float>& values);

}  // namespace hanlin::server
