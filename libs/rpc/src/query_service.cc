#include <grpcpp/grpcpp.h>

#include <atomic>
#include <mutex>

#include "deadlines.h"
#include "millrace/base/log.h"
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

/// Room for calls under way.
class Places : public std::enable_shared_from_this<Places> {
 public:
  explicit Places(size_t limit) : limit_(limit) {}

  /// Null if there is none; given back with the last copy.
  std::shared_ptr<void> Take() {
    if (taken_.fetch_add(1) >= limit_) {
      --taken_;
      return nullptr;
    }
    return {this, [self = shared_from_this()](void*) { --self->taken_; }};
  }
  grpc::Status FullStatus() const {
    return ToStatus(ingest::RequestError{
        Code::kResourceExhausted, "BUSY",
        "as many queries as may are under way; ask again after the delay limit=" +
            std::to_string(limit_),
        "", kAskAgain});
  }

 private:
  static constexpr std::chrono::milliseconds kAskAgain{1'000};

  const size_t limit_;
  std::atomic<size_t> taken_ = 0;
};

/// What the calls of a server share.
struct QueryBounds {
  explicit QueryBounds(const ServerOptions& options)
      : queries(std::make_shared<Places>(options.queries)),
        waits(std::make_shared<Places>(options.waiting_queries)),
        longest_query(std::make_shared<Deadlines>(options.longest_call)),
        longest_wait(std::make_shared<Deadlines>(options.longest_wait)),
        longest_write(std::make_shared<Deadlines>(options.longest_write)) {}

  const std::shared_ptr<Places> queries;  ///< which hold a table, or will
  const std::shared_ptr<Places> waits;    ///< which hold none yet
  const std::shared_ptr<Deadlines> longest_query;
  const std::shared_ptr<Deadlines> longest_wait;
  const std::shared_ptr<Deadlines> longest_write;
};

/// One Query call: a table, written message by message. While none is taken it may wait so long;
/// the whole takes what the reader takes.
class QueryCall final : public grpc::ServerWriteReactor<wire::QueryReply> {
 public:
  static grpc::ServerWriteReactor<wire::QueryReply>* Start(const QueryBounds& bounds,
                                                           Executor* executor,
                                                           Operations* operations,
                                                           grpc::CallbackServerContext* context,
                                                           const wire::QueryRequest& request);

 private:
  /// Outlives the call for those who come too late. Its lock is recursive because gRPC may run a
  /// reaction inside the call that starts an operation.
  struct Link {
    std::recursive_mutex mutex;
    QueryCall* call;

    /// Nothing once the table is being written: then the writes decide.
    void End(const grpc::Status& status) {
      std::lock_guard lock(mutex);
      if (call != nullptr && !std::exchange(call->decided_, true)) call->Finish(status);
    }
    void OnStalled(uint64_t write) {
      static LogRateLimit limit(10);
      std::lock_guard lock(mutex);
      if (call == nullptr || call->writing_ != write) return;
      limit.Warn("a reader does not take the rows of its query; the call is ended",
                 {{"rows_left", call->table_.rows.size() - call->next_}});
      call->context_->TryCancel();
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

  QueryCall(const QueryBounds& bounds, Executor* executor, grpc::CallbackServerContext* context,
            bool wait)
      : link_(std::make_shared<Link>()),
        executor_(executor),
        context_(context),
        cap_(wait ? bounds.longest_wait : bounds.longest_query),
        writes_(bounds.longest_write) {
    link_->call = this;
    cap_deadline_ = cap_->Add(executor, [link = link_] {
      link->End(
          grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "the call took longer than any may"));
    });
  }

  /// `place` is among the waiting ones if the call waits first, else among the queries.
  static Task<void> Run(Ender ender, Operations* operations, bool wait, ServingQuery query,
                        std::shared_ptr<void> place, std::shared_ptr<Places> queries) {
    Result<ServingTable> table = Internal("the query gave nothing");
    try {
      if (wait) {
        auto waiting = operations->WaitApplied(query.name_space, query.name);
        const Status applied = co_await std::move(waiting);
        if (!applied.ok()) co_return ender.link->End(ToStatus(applied.error()));
        place = queries->Take();
        if (!place) co_return ender.link->End(queries->FullStatus());
      }
      auto asking = operations->Query(std::move(query));
      table = co_await std::move(asking);
    } catch (const std::exception& e) {
      table = Internal(std::string("the query failed: ") + e.what());
    }
    if (!table.ok()) co_return ender.link->End(ToStatus(table.error()));
    std::lock_guard lock(ender.link->mutex);
    QueryCall* call = ender.link->call;
    if (call == nullptr || std::exchange(call->decided_, true)) co_return;
    call->place_ = std::move(place);
    call->table_ = std::move(table).value();
    call->WriteNext(true);
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
    writing_ = ++writes_begun_;
    write_deadline_ =
        writes_->Add(executor_, [link = link_, write = writing_] { link->OnStalled(write); });
    StartWrite(&message_);
  }

  // Each keeps the link, because the call may be done, and gone, before it returns.
  void OnWriteDone(bool ok) override {
    const auto link = link_;
    std::lock_guard lock(link->mutex);
    writes_->Remove(write_deadline_);
    writing_ = 0;
    if (!ok) return Finish(grpc::Status::CANCELLED);
    if (next_ == table_.rows.size()) return Finish(grpc::Status::OK);
    WriteNext(false);
  }
  void OnCancel() override {
    const auto link = link_;
    link->End(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    cap_->Remove(cap_deadline_);
    const auto link = link_;
    std::lock_guard lock(link->mutex);
    link->call = nullptr;
    delete this;
  }

  const std::shared_ptr<Link> link_;
  Executor* const executor_;
  grpc::CallbackServerContext* const context_;
  const std::shared_ptr<Deadlines> cap_;
  const std::shared_ptr<Deadlines> writes_;
  uint64_t cap_deadline_ = 0;
  uint64_t write_deadline_ = 0;
  uint64_t writes_begun_ = 0;
  uint64_t writing_ = 0;  ///< the number of the write under way
  bool decided_ = false;  ///< the call ends, or writes
  std::shared_ptr<void> place_;
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

grpc::ServerWriteReactor<wire::QueryReply>* QueryCall::Start(const QueryBounds& bounds,
                                                             Executor* executor,
                                                             Operations* operations,
                                                             grpc::CallbackServerContext* context,
                                                             const wire::QueryRequest& request) {
  Places& places = request.wait() ? *bounds.waits : *bounds.queries;
  std::shared_ptr<void> place = places.Take();
  if (!place) return new RefusedQuery(places.FullStatus());
  auto* call = new QueryCall(bounds, executor, context, request.wait());
  executor->Spawn(Run(Ender{call->link_}, operations, request.wait(), FromWire(request),
                      std::move(place), bounds.queries));
  return call;
}

class QueryService final : public wire::Query::CallbackService, public DrainableService {
 public:
  QueryService(const ServerOptions& options, const Serving* serving)
      : bounds_(options), serving_(serving) {}

  grpc::Service* service() override { return this; }

  grpc::ServerWriteReactor<wire::QueryReply>* Query(grpc::CallbackServerContext* context,
                                                    const wire::QueryRequest* request) override {
    const Services* services = serving_->load();
    if (services == nullptr || services->operations == nullptr)
      return new RefusedQuery(NotServingStatus(services == nullptr));
    return QueryCall::Start(bounds_, services->control_executor, services->operations, context,
                            *request);
  }

 private:
  const QueryBounds bounds_;
  const Serving* serving_;
};

}  // namespace

std::unique_ptr<DrainableService> MakeQueryService(const ServerOptions& options,
                                                   const Serving* serving) {
  return std::make_unique<QueryService>(options, serving);
}

}  // namespace millrace::rpc
