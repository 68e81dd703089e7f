#pragma once

#include <memory>
#include <vector>

#include "millrace/base/byte_stream.h"
#include "millrace/base/bytes.h"
#include "millrace/base/hash.h"
#include "millrace/checkpoint/manifest.h"
#include "millrace/model/row.h"
#include "millrace/objectstore/object_store.h"

namespace millrace::checkpoint {

/// Rows that some sink has not applied: window::OutputRows whose bytes are shared.
struct OwedRows {
  Output output = Output::kResults;
  OutputSeqs last = {};
  int64_t last_file_end = 0;
  Hash128 before;
  Hash128 after;
  Buffer bytes;
};

/// Rows that become one object. [first, last] are the numbers by which their owner knows them.
struct NewOwed {
  std::vector<OwedRows> rows;
  int64_t first = 0;
  int64_t last = 0;
};

/// What a manifest has to name: objects that are there, then new ones.
struct Owed {
  std::vector<OwedObject> saved;
  std::vector<NewOwed> fresh;
};

/// The object of these rows in a cut (docs/formats/manifest.md). Reads all bytes; where it may
/// block.
OwedObject Describe(const Manifest& cut, const std::vector<OwedRows>& rows);
/// Its bytes.
std::shared_ptr<ByteSource> BytesOf(std::vector<OwedRows> rows);
/// The rows of an object, checked. kNotFound, kCorruption: it is not what was put.
Task<Result<std::vector<OwedRows>>> LoadOwed(ObjectStore* objects, OwedObject object);

}  // namespace millrace::checkpoint
