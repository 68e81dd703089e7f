#include <grpcpp/grpcpp.h>

#include <mutex>

#include "millrace/query/v1/query.grpc.pb.h"
#include "services.h"
#include "status.h"

namespace millrace::rpc {
namespace {

namespace wire = query::v1;
using runtime::Operations;

/// Rows of one message: some hundred kilobytes at most of what a dashboard shows.
constexpr size_t kRowsPerMessage = 1'000;

struct ValueToWire {
  wire::Value* out;

  void operator()(std::monostate) const {}
  void operator()(int64_t v) const { out->set_integer(v); }
  void operator()(double v) const { out->set_real(v); }
  void operator()(Int128 v) const { out->set_numeric(FormatNumeric(v)); }
  void operator()(const std::string& v) const { out->set_text(v); }
};

ServingQuery FromWire(const wire::QueryRequest& request) {
  ServingQuery query;
  if (!request.namespace_().empty()) query.name_space = request.namespace_();
  query.name = request.name();
  switch (request.output()) {
    case wire::OUTPUT_LATE:
      query.output = Output::kLate;
      break;
    case wire::OUTPUT_QUARANTINE:
      query.output = Output::kQuarantine;
      break;
    default:
      query.output = Output::kResults;
  }
  for (const wire::KeyFilter& k : request.keys()) query.keys.emplace_back(k.column(), k.value());
  if (request.has_from_us()) query.from = request.from_us();
  if (request.has_to_us()) query.to = request.to_us();
  query.meta = request.meta();
  return query;
}

Task<Result<ServingTable>> Ask(Operations* operations, bool wait, ServingQuery query) {
  if (wait) {
    auto waiting = operations->WaitApplied(query.name_space, query.name);
    const Status applied = co_await std::move(waiting);
    if (!applied.ok()) co_return applied.error();
  }
  auto asking = operations->Query(std::move(query));
  auto table = co_await std::move(asking);
  co_return table;
}

/// One Query call: a table, written message by message.
class QueryCall final : public grpc::ServerWriteReactor<wire::QueryReply> {
 public:
  static QueryCall* Start(Executor& executor, Executor::Duration cap,
                          Task<Result<ServingTable>> work) {
    auto* call = new QueryCall();
    const auto link = call->link_;
    executor.PostAfter(cap, [link] {
      link->End(
          grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "the call took longer than any may"));
    });
    executor.Spawn(Run(Ender{link}, std::move(work)));
    return call;
  }

 private:
  /// Outlives the call for those who come too late. Whoever takes the call from it starts its
  /// operations; afterwards only the call's own reactions do.
  struct Link {
    std::mutex mutex;
    QueryCall* call;

    QueryCall* Take() {
      std::lock_guard lock(mutex);
      return std::exchange(call, nullptr);
    }
    void End(const grpc::Status& status) {
      if (QueryCall* taken = Take()) taken->Finish(status);
    }
  };
  struct Ender {
    std::shared_ptr<Link> link;

    explicit Ender(std::shared_ptr<Link> l) : link(std::move(l)) {}
    Ender(Ender&&) noexcept = default;
    ~Ender() {
      if (link) link->End(LostStatus());
    }
  };

  QueryCall() : link_(std::make_shared<Link>()) { link_->call = this; }

  static Task<void> Run(Ender ender, Task<Result<ServingTable>> work) {
    Result<ServingTable> table = Internal("the query gave nothing");
    try {
      table = co_await std::move(work);
    } catch (const std::exception& e) {
      table = Internal(std::string("the query failed: ") + e.what());
    }
    if (!table.ok()) {
      ender.link->End(ToStatus(table.error()));
    } else if (QueryCall* call = ender.link->Take()) {
      call->table_ = std::move(table).value();
      call->WriteNext(true);
    }
  }

  void WriteNext(bool first) {
    message_.Clear();
    for (size_t i = 0; first && i < table_.names.size(); ++i) {
      wire::Column* column = message_.add_columns();
      column->set_name(table_.names[i]);
      column->set_type(std::string(TypeName(table_.types[i])));
    }
    const size_t end = std::min(next_ + kRowsPerMessage, table_.rows.size());
    for (; next_ < end; ++next_) {
      wire::Row* row = message_.add_rows();
      for (const Value& v : table_.rows[next_]) std::visit(ValueToWire{row->add_values()}, v.data);
    }
    StartWrite(&message_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    if (next_ == table_.rows.size()) return Finish(grpc::Status::OK);
    WriteNext(false);
  }
  void OnCancel() override { link_->End(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

  std::shared_ptr<Link> link_;
  ServingTable table_;
  size_t next_ = 0;
  wire::QueryReply message_;
};

/// A call that ends before it has begun.
class RefusedQuery final : public grpc::ServerWriteReactor<wire::QueryReply> {
 public:
  explicit RefusedQuery(const grpc::Status& status) { Finish(status); }

 private:
  void OnDone() override { delete this; }
};

class QueryService final : public wire::Query::CallbackService, public DrainableService {
 public:
  QueryService(const ServerOptions& options, const Serving* serving)
      : call_cap_(options.longest_call), wait_cap_(options.longest_wait), serving_(serving) {}

  grpc::Service* service() override { return this; }

  grpc::ServerWriteReactor<wire::QueryReply>* Query(grpc::CallbackServerContext*,
                                                    const wire::QueryRequest* request) override {
    const Services* services = serving_->load();
    if (services == nullptr || services->operations == nullptr)
      return new RefusedQuery(NotServingStatus(services == nullptr));
    return QueryCall::Start(*services->control_executor, request->wait() ? wait_cap_ : call_cap_,
                            Ask(services->operations, request->wait(), FromWire(*request)));
  }

 private:
  const Executor::Duration call_cap_;
  const Executor::Duration wait_cap_;
  const Serving* serving_;
};

}  // namespace

std::unique_ptr<DrainableService> MakeQueryService(const ServerOptions& options,
                                                   const Serving* serving) {
  return std::make_unique<QueryService>(options, serving);
}

}  // namespace millrace::rpc
