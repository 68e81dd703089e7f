#pragma once

#include <string_view>
#include <vector>

#include "millrace/model/row.h"

namespace millrace {

/// The rows of every output in these bytes, as that output has them.
inline std::vector<OutputRow> DecodeRows(std::string_view bytes) {
  std::vector<OutputRow> rows;
  for (ByteReader in(bytes); !in.done();) {
    const OutputRow row = DecodeRow(&in).value();
    for (int o = 1; o <= kOutputs; ++o) {
      if (auto as = RowOf(static_cast<Output>(o), row)) rows.push_back(std::move(*as));
    }
  }
  return rows;
}

}  // namespace millrace
