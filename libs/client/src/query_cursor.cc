#include "query_cursor.h"

#include "millrace/base/facts.h"
#include "millrace/query/v1/query.grpc.pb.h"
#include "stream_reader.h"
#include "wire_names.h"

namespace millrace::client {
namespace {

namespace wire_query = query::v1;

/// Servers allow a minute. A shorter pause is not why a server ends a query.
constexpr auto kLongPause = std::chrono::seconds(30);

wire_query::QueryRequest ToWire(const ServingQuery& q) {
  wire_query::QueryRequest out;
  out.set_namespace_(q.name_space);
  out.set_name(q.name);
  if (q.output == Output::kLate) out.set_output(wire_query::OUTPUT_LATE);
  if (q.output == Output::kQuarantine) out.set_output(wire_query::OUTPUT_QUARANTINE);
  for (const auto& [column, value] : q.keys) {
    wire_query::KeyFilter* key = out.add_keys();
    key->set_column(column);
    key->set_value(value);
  }
  if (q.from) out.set_from_us(*q.from);
  if (q.to) out.set_to_us(*q.to);
  out.set_meta(q.meta);
  return out;
}

/// Digits as FormatNumeric writes them; at most 38, so nothing overflows.
Result<Int128> ParseNumeric(std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  const std::string_view digits = text.substr(negative ? 1 : 0);
  Int128 v = 0;
  bool good = !digits.empty() && digits.size() <= 38;
  for (size_t i = 0; good && i < digits.size(); ++i) {
    good = digits[i] >= '0' && digits[i] <= '9';
    v = v * 10 + (digits[i] - '0');
  }
  if (!good) return Internal("the server sent a value that is not a numeric", {{"value", text}});
  return negative ? -v : v;
}

Result<Value> FromWire(const wire_query::Value& in, Type type) {
  Value out{type, {}};
  switch (in.value_case()) {
    case wire_query::Value::kInteger:
      out.data = static_cast<int64_t>(in.integer());
      break;
    case wire_query::Value::kReal:
      out.data = in.real();
      break;
    case wire_query::Value::kText:
      out.data = in.text();
      break;
    case wire_query::Value::kNumeric: {
      MILLRACE_ASSIGN(out.data, ParseNumeric(in.numeric()));
      break;
    }
    case wire_query::Value::VALUE_NOT_SET:
      break;
  }
  return out;
}

Result<std::vector<Value>> FromWire(const wire_query::Row& row, const std::vector<Type>& types) {
  if (static_cast<size_t>(row.values_size()) != types.size())
    return Internal("the server sent a row with another number of columns");
  std::vector<Value> values;
  for (int i = 0; i < row.values_size(); ++i) {
    MILLRACE_ASSIGN(Value v, FromWire(row.values(i), types[static_cast<size_t>(i)]));
    values.push_back(std::move(v));
  }
  return values;
}

/// The answer to one query as its messages come. It keeps one message.
class WireCursor final : public RowCursor {
 public:
  WireCursor(QueriedServer server, const wire_query::QueryRequest& request)
      : server_(std::move(server)),
        stub_(wire_query::Query::NewStub(server_.channel)),
        reader_([&](auto* context, auto* reactor) {
          stub_->async()->Query(context, &request, reactor);
        }) {}

  /// The first message, which names the columns.
  Failed Open(std::chrono::milliseconds patience) {
    if (Failed failed = Read(patience)) return failed;
    for (const auto& c : message_.columns()) {
      const auto type = TypeOf(c.type());
      if (!type.ok()) return Failure{type.error()};
      names_.push_back(c.name());
      types_.push_back(*type);
    }
    return {};
  }

  const std::vector<std::string>& names() const override { return names_; }
  const std::vector<Type>& types() const override { return types_; }

  Task<Result<ServingRows>> Next(size_t max_rows, size_t max_bytes) override {
    co_return NextPage(max_rows, max_bytes);
  }
  void Cancel() override { reader_.Cancel(); }

 private:
  Result<ServingRows> NextPage(size_t max_rows, size_t max_bytes) {
    ServingRows page;
    while (!ended_ && next_ == message_.rows_size())
      if (const Failed failed = Read(server_.timeout)) return failed->error;
    for (size_t bytes = 0;
         next_ < message_.rows_size() && page.size() < max_rows && bytes < max_bytes; ++next_) {
      MILLRACE_ASSIGN(std::vector<Value> row, FromWire(message_.rows(next_), types_));
      bytes += RowBytes(row);
      page.push_back(std::move(row));
    }
    return page;
  }

  /// Puts the next message in the place of the one before.
  Failed Read(std::chrono::milliseconds patience) {
    std::optional<wire_query::QueryReply> reply = reader_.Next(patience);
    next_ = 0;
    message_ = reply ? std::move(*reply) : wire_query::QueryReply();
    if (reply) return {};
    ended_ = true;
    const grpc::Status status = reader_.Finish();
    if (status.ok()) return {};
    // The server ends a query whose rows are not taken, and after a while without further word.
    if (status.error_code() == grpc::StatusCode::CANCELLED && reader_.longest_pause() >= kLongPause)
      return Failure{Unavailable(
          "the server ended the query because its rows were not taken for too long; read them as "
          "they come, or write them to a file first",
          {{"seconds", reader_.longest_pause().count()}})};
    return FailureOf(status, server_.address);
  }

  const QueriedServer server_;
  const std::unique_ptr<wire_query::Query::Stub> stub_;
  StreamReader<wire_query::QueryReply> reader_;
  std::vector<std::string> names_;
  std::vector<Type> types_;
  wire_query::QueryReply message_;
  int next_ = 0;  ///< row of the message
  bool ended_ = false;
};

}  // namespace

Failed OpenCursor(QueriedServer server, const ServingQuery& query, bool wait,
                  std::chrono::milliseconds patience, std::shared_ptr<RowCursor>* out) {
  wire_query::QueryRequest request = ToWire(query);
  request.set_wait(wait);
  auto cursor = std::make_shared<WireCursor>(std::move(server), request);
  Failed failed = cursor->Open(patience);
  if (!failed) *out = std::move(cursor);
  return failed;
}

}  // namespace millrace::client
