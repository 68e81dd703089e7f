#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/model/batch.h"
#include "millrace/model/spec.h"

namespace millrace {

/// Collects events of one partition row by row into an EventBatch: what the gateway packs, what
/// JSON records become.
///
/// Use: BeginRecord (once per log record), Producer() for identities, then per event either fill
/// columns() to one value each and call EndRow, or call DefectRow. Build() hands everything over
/// and starts anew.
class BatchBuilder {
 public:
  explicit BatchBuilder(const StreamSpec& stream) : BatchBuilder(stream.schema(), stream.columns) {}

  /// Rows that follow belong to this record. A gateway that does not know its offset yet begins one
  /// with Offset(0).
  void BeginRecord(Offset offset, Micros append_time);
  /// Index of a producer in the current record, whose acked_below is raised to at least
  /// `acked_below`.
  int16_t AddProducer(std::string_view principal, std::string_view id, int64_t acked_below);

  std::vector<ColumnData>& columns() { return columns_; }
  /// Ends a row whose columns were appended. producer -1: no identity. `payload` is copied if
  /// given.
  void EndRow(int16_t producer, int64_t sequence, std::string_view payload = {});
  /// Appends a row that could not be read: NULLs in every column not yet filled.
  void DefectRow(int16_t producer, int64_t sequence, Reason reason, std::string_view detail,
                 std::string_view payload);
  /// Takes values already appended for the unfinished row back.
  void AbandonRow();
  /// Copies row `row` of `from` (same schema) as the next row.
  void AppendRow(const EventBatch& from, size_t row, int16_t producer);

  uint32_t rows() const { return rows_; }
  size_t bytes() const;
  /// Empties the builder. The batch owns its memory.
  EventBatch Build();

 private:
  BatchBuilder(SchemaIdentity schema, std::vector<ColumnSpec> columns);
  void PushRow(int16_t producer, int64_t sequence, Reason reason, std::string_view detail,
               std::string_view payload);

  SchemaIdentity schema_;
  std::vector<ColumnSpec> specs_;
  uint32_t rows_ = 0;
  std::vector<ColumnData> columns_;
  std::vector<RecordSpan> records_;
  std::vector<Producer> producers_;
  std::vector<int16_t> producer_;
  std::vector<int64_t> sequence_;
  std::vector<Reason> defects_;
  std::deque<std::string> texts_;
  std::vector<std::string_view> payload_;
  std::vector<std::string_view> detail_;
  bool any_identity_ = false;
  bool any_defect_ = false;
  bool any_payload_ = false;
};

}  // namespace millrace
