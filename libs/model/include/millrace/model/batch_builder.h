#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/model/batch.h"
#include "millrace/model/spec.h"

namespace millrace {

/// Collects events of one partition row by row into an EventBatch: what the gateway packs, what
/// JSON records become.
///
/// Use: BeginRecord (once per log record), AddProducer for identities, then per event either append
/// to column() the values that it has and call EndRow, or call DefectRow. Build() hands everything
/// over and empties the builder.
///
/// A column without a value in any row takes no memory, and no time: most events of a stream with a
/// thousand columns have few of them.
class BatchBuilder {
 public:
  explicit BatchBuilder(const StreamSpec& stream) : BatchBuilder(stream.schema(), stream.columns) {}

  /// Rows that follow belong to this record. A gateway that does not know its offset yet begins one
  /// with Offset(0).
  void BeginRecord(Offset offset, Micros append_time);
  /// Index of a producer in the current record, whose acked_below is raised to at least
  /// `acked_below`. Takes the same time however many producers the record has.
  int16_t AddProducer(std::string_view principal, std::string_view id, int64_t acked_below);

  /// Column `i`, with NULLs in the rows before this one that gave it no value. Append one value or
  /// NULL to it, or leave it out, which is NULL.
  ColumnData& column(size_t i) {
    ColumnData& c = columns_[i];
    if (c.rows() != rows_ || rows_ == 0) CatchUp(i);
    return c;
  }
  /// Ends a row whose columns were appended. producer -1: no identity. `payload` is copied if
  /// given.
  void EndRow(int16_t producer, int64_t sequence, std::string_view payload = {});
  /// Appends a row that could not be read: NULL in every column.
  void DefectRow(int16_t producer, int64_t sequence, Reason reason, std::string_view detail,
                 std::string_view payload);
  /// Takes values already appended for the unfinished row back.
  void AbandonRow();
  /// Copies row `row` of `from` (same schema) as the next row. `filled`: the columns of `from`
  /// that are not NULL in every row.
  void AppendRow(const EventBatch& from, std::span<const uint32_t> filled, size_t row,
                 int16_t producer);

  uint32_t rows() const { return rows_; }
  /// The columns that were given a value in some row.
  const std::vector<uint32_t>& filled() const { return filled_; }
  /// What the rows take in a block: everything but texts and payloads, NULLs included in the
  /// columns that have a value somewhere, and the producers.
  size_t packed_bytes() const { return packed_bytes_; }
  /// Empties the builder. The batch owns its memory.
  EventBatch Build();

 private:
  BatchBuilder(SchemaIdentity schema, std::vector<ColumnSpec> columns);
  void CatchUp(size_t i);
  int16_t FindProducer(std::string_view principal, std::string_view id) const;
  void IndexProducers();
  void PushRow(int16_t producer, int64_t sequence, Reason reason, std::string_view detail,
               std::string_view payload);

  SchemaIdentity schema_;
  std::vector<ColumnSpec> specs_;
  uint32_t rows_ = 0;
  std::vector<ColumnData> columns_;
  std::vector<uint32_t> filled_;
  std::vector<bool> is_filled_;
  size_t packed_bytes_ = 0;
  size_t row_bytes_ = sizeof(int16_t) + sizeof(int64_t);  ///< of packed_bytes_, for the next row
  std::vector<RecordSpan> records_;
  std::vector<Producer> producers_;
  /// Those of the current record by hash, with open addressing, half full at most; -1: free. Empty
  /// while they are few.
  std::vector<int16_t> producer_index_;
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
