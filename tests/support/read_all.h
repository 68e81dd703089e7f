#pragma once

#include "millrace/serving/serving_reader.h"

namespace millrace::test {

/// A whole answer, read in pages of a few rows.
inline Task<Result<ServingTable>> ReadAll(ServingReader* reader, ServingQuery query) {
  constexpr size_t kPage = 7;
  MILLRACE_CO_ASSIGN(const std::shared_ptr<RowCursor> cursor,
                     co_await reader->Open(std::move(query)));
  ServingTable table{cursor->names(), cursor->types(), {}};
  for (;;) {
    MILLRACE_CO_ASSIGN(ServingRows rows, co_await cursor->Next(kPage, 1 << 20));
    if (rows.empty()) co_return table;
    for (auto& row : rows) table.rows.push_back(std::move(row));
  }
}

}  // namespace millrace::test
