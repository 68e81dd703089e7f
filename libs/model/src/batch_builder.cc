#include "millrace/model/batch_builder.h"

#include <algorithm>

#include "millrace/base/check.h"
#include "millrace/base/hash.h"

namespace millrace {
namespace {

/// What a producer takes in a block beside its texts.
constexpr size_t kProducerBytes = 2 + sizeof(int64_t);

/// Up to so many producers of a record are looked through one by one. Most records have one, and a
/// batch may have thousands of records.
constexpr uint32_t kFewProducers = 16;

uint64_t HashOf(std::string_view principal, std::string_view id) {
  return Hash(id, Hash(principal).lo).lo;
}

/// Everything a built batch views.
struct Storage {
  std::vector<ColumnData> columns;
  std::vector<uint64_t> zeros;  ///< values of the columns that are NULL in every row
  std::vector<uint8_t> ones;    ///< their NULLs
  std::vector<int16_t> producer;
  std::vector<int64_t> sequence;
  std::vector<Reason> defects;
  std::deque<std::string> texts;
  std::vector<std::string_view> payload;
  std::vector<std::string_view> detail;
};

/// NULL in every row. All such columns share their memory.
Column NullColumn(Type type, size_t rows, Storage* storage) {
  if (storage->ones.empty()) {
    // Texts have one offset more than rows; the widest value has 16 bytes.
    storage->zeros.resize(2 * (rows + 1));
    storage->ones.resize(rows, 1);
  }
  return {type, storage->zeros.data(), "", storage->ones.data()};
}

}  // namespace

BatchBuilder::BatchBuilder(SchemaIdentity schema, std::vector<ColumnSpec> columns)
    : schema_(schema), specs_(std::move(columns)) {
  columns_.reserve(specs_.size());
  for (const ColumnSpec& c : specs_) columns_.emplace_back(c.type);
  is_filled_.resize(specs_.size());
}

void BatchBuilder::BeginRecord(Offset offset, Micros append_time) {
  records_.push_back({offset, append_time, rows_, 0, static_cast<uint32_t>(producers_.size()), 0});
  producer_index_.clear();
}

int16_t BatchBuilder::FindProducer(std::string_view principal, std::string_view id) const {
  const auto is = [&](size_t i) {
    return producers_[i].id == id && producers_[i].principal == principal;
  };
  if (producer_index_.empty()) {
    for (size_t i = records_.back().first_producer; i < producers_.size(); ++i)
      if (is(i)) return static_cast<int16_t>(i);
    return -1;
  }
  const size_t mask = producer_index_.size() - 1;
  for (size_t at = HashOf(principal, id); producer_index_[at & mask] >= 0; ++at)
    if (const int16_t i = producer_index_[at & mask]; is(static_cast<size_t>(i))) return i;
  return -1;
}

/// After a producer was added: keeps the index half full at most.
void BatchBuilder::IndexProducers() {
  const RecordSpan& record = records_.back();
  if (record.producer_count <= kFewProducers) return;
  size_t first = producers_.size() - 1;
  if (2 * record.producer_count > producer_index_.size()) {
    producer_index_.assign(std::max<size_t>(4 * kFewProducers, 2 * producer_index_.size()), -1);
    first = record.first_producer;
  }
  const size_t mask = producer_index_.size() - 1;
  for (size_t i = first; i < producers_.size(); ++i) {
    size_t at = HashOf(producers_[i].principal, producers_[i].id);
    while (producer_index_[at & mask] >= 0) ++at;
    producer_index_[at & mask] = static_cast<int16_t>(i);
  }
}

int16_t BatchBuilder::AddProducer(std::string_view principal, std::string_view id,
                                  int64_t acked_below) {
  RecordSpan& record = records_.back();
  if (const int16_t found = FindProducer(principal, id); found >= 0) {
    int64_t& known = producers_[static_cast<size_t>(found)].acked_below;
    known = std::max(known, acked_below);
    return found;
  }
  MILLRACE_CHECK(producers_.size() < 32'767, "more producers than a batch can name");
  producers_.push_back({std::string(principal), std::string(id), acked_below});
  packed_bytes_ += principal.size() + id.size() + kProducerBytes;
  ++record.producer_count;
  IndexProducers();
  return static_cast<int16_t>(producers_.size() - 1);
}

void BatchBuilder::PushRow(int16_t producer, int64_t sequence, Reason reason,
                           std::string_view detail, std::string_view payload) {
  ++rows_;
  packed_bytes_ += row_bytes_;
  ++records_.back().rows;
  producer_.push_back(producer);
  sequence_.push_back(sequence);
  defects_.push_back(reason);
  const auto keep = [&](std::string_view s) {
    return s.empty() ? std::string_view() : std::string_view(texts_.emplace_back(s));
  };
  payload_.push_back(keep(payload));
  detail_.push_back(keep(detail));
  any_identity_ |= producer >= 0;
  any_defect_ |= reason != Reason::kNone;
  any_payload_ |= !payload.empty();
}

void BatchBuilder::EndRow(int16_t producer, int64_t sequence, std::string_view payload) {
  PushRow(producer, sequence, Reason::kNone, {}, payload);
}

void BatchBuilder::DefectRow(int16_t producer, int64_t sequence, Reason reason,
                             std::string_view detail, std::string_view payload) {
  AbandonRow();
  PushRow(producer, sequence, reason, detail, payload);
}

void BatchBuilder::CatchUp(size_t i) {
  ColumnData& c = columns_[i];
  if (!is_filled_[i]) {
    is_filled_[i] = true;
    filled_.push_back(static_cast<uint32_t>(i));
    const size_t width = FixedWidth(c.type());
    row_bytes_ += width;
    packed_bytes_ += width * rows_;
  }
  if (c.rows() < rows_) c.AppendNulls(rows_ - c.rows());
}

void BatchBuilder::AbandonRow() {
  for (const uint32_t i : filled_) {
    while (columns_[i].rows() > rows_) columns_[i].PopBack();
  }
}

void BatchBuilder::AppendRow(const EventBatch& from, std::span<const uint32_t> filled, size_t row,
                             int16_t producer) {
  for (const uint32_t i : filled) {
    if (!from.columns[i].IsNull(row)) column(i).AppendFrom(from.columns[i], row);
  }
  PushRow(producer, from.sequence ? from.sequence[row] : 0,
          from.defects ? from.defects[row] : Reason::kNone,
          from.detail ? from.detail[row] : std::string_view(),
          from.payload ? from.payload[row] : std::string_view());
}

EventBatch BatchBuilder::Build() {
  auto storage = std::make_shared<Storage>(Storage{std::move(columns_),
                                                   {},
                                                   {},
                                                   std::move(producer_),
                                                   std::move(sequence_),
                                                   std::move(defects_),
                                                   std::move(texts_),
                                                   std::move(payload_),
                                                   std::move(detail_)});
  EventBatch batch;
  batch.schema = schema_;
  batch.rows = rows_;
  batch.records = std::move(records_);
  batch.producers = std::move(producers_);
  batch.columns.reserve(storage->columns.size());
  for (ColumnData& c : storage->columns) {
    if (c.rows() == 0 && rows_ > 0) {
      batch.columns.push_back(NullColumn(c.type(), rows_, storage.get()));
    } else {
      c.AppendNulls(rows_ - c.rows());
      batch.columns.push_back(c.View());
    }
  }
  if (any_identity_) {
    batch.producer = storage->producer.data();
    batch.sequence = storage->sequence.data();
  }
  if (any_defect_) {
    batch.defects = storage->defects.data();
    batch.detail = storage->detail.data();
  }
  if (any_payload_) batch.payload = storage->payload.data();
  batch.owner = std::move(storage);
  *this = BatchBuilder(schema_, std::move(specs_));
  return batch;
}

}  // namespace millrace
