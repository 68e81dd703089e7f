#include "millrace/model/batch_builder.h"

#include "millrace/base/check.h"

namespace millrace {
namespace {

/// Everything a built batch views.
struct Storage {
  std::vector<ColumnData> columns;
  std::vector<int16_t> producer;
  std::vector<int64_t> sequence;
  std::vector<Reason> defects;
  std::deque<std::string> texts;
  std::vector<std::string_view> payload;
  std::vector<std::string_view> detail;
};

}  // namespace

BatchBuilder::BatchBuilder(SchemaIdentity schema, std::vector<ColumnSpec> columns)
    : schema_(schema), specs_(std::move(columns)) {
  for (const ColumnSpec& c : specs_) columns_.emplace_back(c.type);
}

void BatchBuilder::BeginRecord(Offset offset, Micros append_time) {
  records_.push_back({offset, append_time, rows_, 0, static_cast<uint32_t>(producers_.size()), 0});
}

int16_t BatchBuilder::AddProducer(std::string_view principal, std::string_view id,
                                  int64_t acked_below) {
  RecordSpan& record = records_.back();
  for (uint32_t i = record.first_producer; i < producers_.size(); ++i) {
    if (producers_[i].id == id && producers_[i].principal == principal) {
      producers_[i].acked_below = std::max(producers_[i].acked_below, acked_below);
      return static_cast<int16_t>(i);
    }
  }
  MILLRACE_CHECK(producers_.size() < 32'767, "more producers than a batch can name");
  producers_.push_back({std::string(principal), std::string(id), acked_below});
  ++record.producer_count;
  return static_cast<int16_t>(producers_.size() - 1);
}

void BatchBuilder::PushRow(int16_t producer, int64_t sequence, Reason reason,
                           std::string_view detail, std::string_view payload) {
  ++rows_;
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
  for (ColumnData& c : columns_) c.AppendNull();
  PushRow(producer, sequence, reason, detail, payload);
}

void BatchBuilder::AbandonRow() {
  for (ColumnData& c : columns_) {
    while (c.rows() > rows_) c.PopBack();
  }
}

void BatchBuilder::AppendRow(const EventBatch& from, size_t row, int16_t producer) {
  for (size_t i = 0; i < columns_.size(); ++i) columns_[i].AppendFrom(from.columns[i], row);
  PushRow(producer, from.sequence ? from.sequence[row] : 0,
          from.defects ? from.defects[row] : Reason::kNone,
          from.detail ? from.detail[row] : std::string_view(),
          from.payload ? from.payload[row] : std::string_view());
}

size_t BatchBuilder::bytes() const {
  size_t n = rows_ * (sizeof(int16_t) + sizeof(int64_t));
  for (const ColumnData& c : columns_) n += c.bytes();
  for (const std::string_view p : payload_) n += p.size();
  return n;
}

EventBatch BatchBuilder::Build() {
  auto storage = std::make_shared<Storage>(
      Storage{std::move(columns_), std::move(producer_), std::move(sequence_), std::move(defects_),
              std::move(texts_), std::move(payload_), std::move(detail_)});
  EventBatch batch;
  batch.schema = schema_;
  batch.rows = rows_;
  batch.records = std::move(records_);
  batch.producers = std::move(producers_);
  for (const ColumnData& c : storage->columns) batch.columns.push_back(c.View());
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
