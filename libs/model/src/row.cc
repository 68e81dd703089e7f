#include "millrace/model/row.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "millrace/base/check.h"
#include "millrace/base/hash.h"
#include "millrace/base/time.h"

namespace millrace {
namespace {
enum RowFlag : uint8_t { kDeleted = 1, kGap = 2, kFileEnd = 4, kIsRow = 8 };

}  // namespace

uint8_t RowFlags(bool deleted, bool gap) {
  return static_cast<uint8_t>((deleted ? kDeleted : 0) | (gap ? kGap : 0));
}

std::string_view OutputName(Output output) {
  switch (output) {
    case Output::kResults:
      return "results";
    case Output::kFiles:
      return "files";
    case Output::kProvisional:
      return "provisional";
    case Output::kLate:
      return "late";
    case Output::kQuarantine:
      return "quarantine";
  }
  return "unknown";
}

Value Value::From(const Column& column, size_t row) {
  Value v{column.type, {}};
  if (column.IsNull(row)) return v;
  switch (column.type) {
    case Type::kDouble:
      v.data = column.As<double>()[row];
      break;
    case Type::kText:
      v.data = std::string(column.Text(row));
      break;
    case Type::kNumeric: {
      Int128 n = 0;
      std::memcpy(&n, column.As<char>() + row * sizeof n, sizeof n);
      v.data = n;
      break;
    }
    default:
      v.data = column.Integer(row);
  }
  return v;
}

// A value is its type number, or 0 for NULL with the type behind it, then the bytes.
void EncodeValue(std::string* out, const Value& value) {
  ByteWriter w(out);
  if (value.is_null()) {
    w.Fixed(uint8_t{0});
    w.Fixed(value.type);
    return;
  }
  w.Fixed(value.type);
  switch (value.type) {
    case Type::kInt:
      w.Fixed(static_cast<int32_t>(std::get<int64_t>(value.data)));
      break;
    case Type::kBool:
      w.Fixed(static_cast<uint8_t>(std::get<int64_t>(value.data)));
      break;
    case Type::kBigint:
    case Type::kTimestamp:
      w.Fixed(std::get<int64_t>(value.data));
      break;
    case Type::kDouble:
      w.Fixed(std::get<double>(value.data));
      break;
    case Type::kNumeric:
      w.Fixed(std::get<Int128>(value.data));
      break;
    case Type::kText:
      w.Text(std::get<std::string>(value.data));
      break;
  }
}

namespace {

RawWriter WriteColumnValue(RawWriter w, const Column& column, size_t row) {
  if (column.IsNull(row)) {
    w.Fixed(uint8_t{0});
    w.Fixed(column.type);
    return w;
  }
  w.Fixed(column.type);
  switch (column.type) {
    case Type::kInt:
      w.Fixed(column.As<int32_t>()[row]);
      break;
    case Type::kBool:
      w.Fixed(column.As<uint8_t>()[row]);
      break;
    case Type::kBigint:
    case Type::kTimestamp:
      w.Fixed(column.As<int64_t>()[row]);
      break;
    case Type::kDouble:
      w.Fixed(column.As<double>()[row]);
      break;
    case Type::kNumeric:
      w.Raw({column.As<char>() + row * sizeof(Int128), sizeof(Int128)});
      break;
    case Type::kText:
      w.Text(column.Text(row));
      break;
  }
  return w;
}

}  // namespace

void AppendValueRows(const std::vector<Column>& columns, size_t rows, std::string* out,
                     std::vector<size_t>* ends) {
  const size_t begin = out->size();
  size_t bound = RawWriter::kMaxVarint * rows;
  for (const Column& c : columns) {
    bound += rows * (1 + std::max(sizeof(Int128), RawWriter::kMaxVarint));
    if (c.type == Type::kText) bound += static_cast<size_t>(c.As<int32_t>()[rows]);
  }
  out->resize(begin + bound);
  ends->resize(rows);
  RawWriter w(out->data() + begin);
  for (size_t row = 0; row < rows; ++row) {
    w.Varint(columns.size());
    for (const Column& c : columns) w = WriteColumnValue(w, c, row);
    (*ends)[row] = static_cast<size_t>(w.at() - out->data());
  }
  out->resize(static_cast<size_t>(w.at() - out->data()));
}

namespace {

bool ReadValue(ByteReader* in, Value* value) {
  auto tag = in->Fixed<uint8_t>();
  const bool null = tag == 0;
  if (null) tag = in->Fixed<uint8_t>();
  if (tag < static_cast<uint8_t>(Type::kInt) || tag > static_cast<uint8_t>(Type::kNumeric))
    return false;
  value->type = static_cast<Type>(tag);
  if (null) return in->ok();
  switch (value->type) {
    case Type::kInt:
      value->data = int64_t{in->Fixed<int32_t>()};
      break;
    case Type::kBool:
      value->data = int64_t{in->Fixed<uint8_t>()};
      break;
    case Type::kBigint:
    case Type::kTimestamp:
      value->data = in->Fixed<int64_t>();
      break;
    case Type::kDouble:
      value->data = in->Fixed<double>();
      break;
    case Type::kNumeric:
      value->data = in->Fixed<Int128>();
      break;
    case Type::kText:
      value->data = std::string(in->Text());
      break;
  }
  return in->ok();
}

}  // namespace

void EncodeRow(const OutputRow& row, std::string* out) {
  std::string body;
  ByteWriter w(&body);
  w.Fixed(row.output);
  w.Fixed(static_cast<uint8_t>((row.deleted ? kDeleted : 0) | (row.gap ? kGap : 0) |
                               (row.file_end ? kFileEnd : 0) | (row.is_row ? kIsRow : 0)));
  w.Varint(static_cast<uint64_t>(row.seq));
  w.Varint(static_cast<uint64_t>(row.cause.value));
  w.Varint(static_cast<uint64_t>(row.cause_row));
  w.Fixed(row.caused_at);
  const auto window = [&] {
    w.Fixed(row.window_start);
    w.Fixed(row.window_end);
    w.Text(row.key);
  };
  if (row.file_end) {
    w.Varint(static_cast<uint64_t>(row.file_first));
    w.Fixed(row.file_interval_start);
  } else if (row.output == Output::kLate) {
    w.Fixed(row.event_time);
    w.Varint(static_cast<uint64_t>(row.missed));
    w.Fixed(row.first_missed_end);
    w.Fixed(row.last_missed_end);
  } else if (row.output == Output::kQuarantine) {
    if (row.is_row) window();
    w.Fixed(row.reason);
    w.Text(row.detail);
    w.Text(row.payload);
  } else {
    window();
    w.Varint(static_cast<uint64_t>(row.revision));
    w.Varint(static_cast<uint64_t>(row.output == Output::kFiles ? row.result_seq : row.file_seq));
  }
  w.Varint(row.values.size());
  for (const Value& v : row.values) EncodeValue(&body, v);
  ByteWriter(out).Text(body);
}

Result<OutputRow> DecodeRow(ByteReader* in) {
  const std::string_view bytes = in->Text();
  if (!in->ok()) return Corruption("an output row is cut off");
  return DecodeRow(bytes);
}

Result<OutputRow> DecodeRow(std::string_view bytes) {
  ByteReader r(bytes);
  OutputRow row;
  row.output = r.Fixed<Output>();
  const auto flags = r.Fixed<uint8_t>();
  row.deleted = (flags & kDeleted) != 0;
  row.gap = (flags & kGap) != 0;
  row.file_end = (flags & kFileEnd) != 0;
  row.is_row = (flags & kIsRow) != 0;
  row.seq = static_cast<int64_t>(r.Varint());
  row.cause = Offset(static_cast<int64_t>(r.Varint()));
  row.cause_row = static_cast<int32_t>(r.Varint());
  row.caused_at = r.Fixed<Micros>();
  const auto window = [&] {
    row.window_start = r.Fixed<Micros>();
    row.window_end = r.Fixed<Micros>();
    row.key = r.Text();
  };
  if (row.file_end) {
    row.file_first = static_cast<int64_t>(r.Varint());
    row.file_interval_start = r.Fixed<Micros>();
  } else if (row.output == Output::kLate) {
    row.event_time = r.Fixed<Micros>();
    row.missed = static_cast<int64_t>(r.Varint());
    row.first_missed_end = r.Fixed<Micros>();
    row.last_missed_end = r.Fixed<Micros>();
  } else if (row.output == Output::kQuarantine) {
    if (row.is_row) window();
    row.reason = r.Fixed<Reason>();
    row.detail = r.Text();
    row.payload = r.Text();
  } else {
    window();
    row.revision = static_cast<int64_t>(r.Varint());
    (row.output == Output::kFiles ? row.result_seq : row.file_seq) =
        static_cast<int64_t>(r.Varint());
  }
  const uint64_t values = r.Varint();
  for (uint64_t i = 0; i < values && r.ok(); ++i) {
    Value v;
    if (!ReadValue(&r, &v)) return Corruption("an output row holds a value of no known type");
    row.values.push_back(std::move(v));
  }
  const auto output = static_cast<int>(row.output);
  if (!r.ok() || !r.done() || output < 1 || output > kOutputs) {
    return Corruption("an output row does not decode");
  }
  return row;
}

std::optional<OutputRow> RowOf(Output output, OutputRow row) {
  const int64_t file_seq = std::exchange(row.file_seq, 0);
  if (row.output == output) return row;
  if (output != Output::kFiles || file_seq == 0) return std::nullopt;
  row.output = Output::kFiles;
  row.result_seq = std::exchange(row.seq, file_seq);
  return row;
}

std::string FormatDouble(double v) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v > 0 ? "Infinity" : "-Infinity";
  // Shortest digits, placed as PostgreSQL places them: plain from 1e-4 to below 1e15, else with an
  // exponent.
  char text[64];
  const auto format = v == 0 || (std::fabs(v) >= 1e-4 && std::fabs(v) < 1e15)
                          ? std::chars_format::fixed
                          : std::chars_format::scientific;
  return {text, std::to_chars(text, text + sizeof text, v, format).ptr};
}

std::string JsonQuote(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto u = static_cast<uint8_t>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (u < 0x20) {
          out += "\\u00";
          out.push_back(kHex[u >> 4]);
          out.push_back(kHex[u & 15]);
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
  return out;
}

std::string ValueText(const Value& value) {
  if (value.is_null()) return "NULL";
  switch (value.type) {
    case Type::kBool:
      return std::get<int64_t>(value.data) != 0 ? "true" : "false";
    case Type::kTimestamp:
      return FormatTimestamp(std::get<int64_t>(value.data));
    case Type::kDouble:
      return FormatDouble(std::get<double>(value.data));
    case Type::kNumeric:
      return FormatNumeric(std::get<Int128>(value.data));
    case Type::kText:
      return std::get<std::string>(value.data);
    default:
      return std::to_string(std::get<int64_t>(value.data));
  }
}

std::string ValueJson(const Value& value) {
  if (value.is_null()) return "null";
  if (value.type == Type::kDouble && std::isfinite(std::get<double>(value.data)))
    return ValueText(value);
  if (value.type == Type::kInt || value.type == Type::kBigint || value.type == Type::kBool)
    return ValueText(value);
  return JsonQuote(ValueText(value));
}

std::string CanonicalText(const Column& column, size_t row) {
  if (column.IsNull(row)) return std::string(1, '\0');
  if (column.type == Type::kText) return std::string(column.Text(row));
  return ValueText(Value::From(column, row));
}

PartitionId PartitionOf(std::string_view key, int32_t partitions) {
  return PartitionId(
      static_cast<int32_t>((Murmur2(key) & 0x7fffffffu) % static_cast<uint32_t>(partitions)));
}

}  // namespace millrace
