// Files of packed weights: a model's matrices in the layout the backend computes with, mapped instead of made. A packed
// file is a copy that can be made again at any time: whatever is wrong with one, it is ignored and written anew.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mmap_file.h"
#include "base/read_ahead.h"
#include "base/result.h"
#include "model/packed_table.h"

namespace hanlin {

// What identifies the state of a mapped source file, wherever it lies. Reads some 70 pages of it.
SourceFile identify_source(const MmapFile& file);

// The packed file of the model at `model_path` (as load_model takes it) in `directory`.
std::string packed_path(const std::string& directory, const std::string& model_path);

struct PackedUsage {
  int64_t n_files = 0, n_bytes = 0;
};
// What the packed files in `directory` take; nothing if there is no such directory.
PackedUsage packed_usage(const std::string& directory);
// Removes the packed file of one model; returns its bytes, 0 if there is none.
int64_t remove_packed(const std::string& directory, const std::string& model_path);
// Removes packed files whose model is no longer where it was, and what killed processes left unfinished; returns their bytes.
int64_t remove_orphaned_packed(const std::string& directory);

// A packed file, open and mapped, and read into the system's cache in the background. Immutable; reading is safe from any thread.
class PackedFile {
 public:
  // Errors say why the file cannot serve: kNotFound; kCorrupt; kUnsupported for another format or layout; kInvalidArgument
  // for another source; kIo.
  static Result<std::shared_ptr<const PackedFile>> open(const std::string& path, const std::string& layout, std::span<const SourceFile> sources);

  const std::string& path() const { return map_.path(); }
  // The packed form of matrix `name` if it has this type and shape, else an empty span. Valid while this object lives.
  std::span<const uint8_t> find(const std::string& name, DType dtype, int64_t n, int64_t k) const;

 private:
  PackedFile(MmapFile map, PackedTable table) : map_(std::move(map)), table_(std::move(table)), read_ahead_(map_) {}
  MmapFile map_;
  PackedTable table_;
  ReadAhead read_ahead_;
};

// Writes one packed file beside its final name and renames it at the end, so that other processes see a whole file or none.
// While it is written, its lock keeps other processes from writing the same one. Not finished: the destructor removes it.
class PackedWriter {
 public:
  // Makes the directory too. Errors: kUnavailable while another process writes this file; kIo.
  static Result<std::unique_ptr<PackedWriter>> create(const std::string& path, const std::string& layout, const std::string& source_path,
                                                      std::vector<SourceFile> sources);
  PackedWriter(const PackedWriter&) = delete;
  ~PackedWriter();

  // Takes a piece of a matrix at `offset` of it; any thread. false: it could not be written, add() will say why.
  using Sink = std::function<bool(size_t offset, std::span<const uint8_t> bytes)>;
  // A matrix in the file, mapped.
  struct Added {
    std::span<const uint8_t> bytes;
    std::shared_ptr<const void> keep_alive;
  };
  // Adds a matrix of n_bytes, which `fill` hands to the sink. Errors: what `fill` says; kResourceExhausted for a full disk; kIo.
  Result<Added> add(const std::string& name, DType dtype, int64_t n, int64_t k, size_t n_bytes, const std::function<Status(const Sink&)>& fill);
  // Writes the table and gives the file its name. What add() returned stays valid. Errors: kResourceExhausted, kIo.
  Status finish();
  uint64_t n_bytes() const { return end_; }

 private:
  PackedWriter() = default;
  Status write(uint64_t offset, std::span<const uint8_t> bytes) const;

  std::string path_, temporary_path_;
  int fd_ = -1;
  uint64_t end_ = kPackedPage;
  bool finished_ = false;
  PackedTable table_;
};

}  // namespace hanlin
