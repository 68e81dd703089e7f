#include <grpcpp/grpcpp.h>

#include <atomic>
#include <mutex>

#include "deadlines.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/query/v1/query.grpc.pb.h"
#include "services.h"
#include "status.h"

namespace millrace::rpc {
namespace {

namespace wire = query::v1;
using operations::Operations;

/// Bounds of one message, and so of the rows in memory for a query. Clients of gRPC take messages
/// of 4 MiB where nobody told them otherwise.
constexpr size_t kRowsPerMessage = 1'000;
constexpr size_t kBytesPerMessage = 1 << 20;
/// A single row may need more. Our client takes so much.
constexpr size_t kMaxReplyBytes = 60 << 20;

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
        longest_write(std::make_shared<Deadlines>(options.longest_write)),
        longest_write_time(options.longest_write) {}

  const std::shared_ptr<Places> queries;  ///< that read
  const std::shared_ptr<Places> waits;    ///< that wait until results are applied
  const std::shared_ptr<Deadlines> longest_query;
  const std::shared_ptr<Deadlines> longest_wait;
  const std::shared_ptr<Deadlines> longest_write;
  const std::chrono::seconds longest_write_time;
};

std::shared_ptr<wire::QueryReply> ReplyOf(const ServingRows& rows) {
  auto reply = std::make_shared<wire::QueryReply>();
  for (const std::vector<Value>& values : rows) {
    wire::Row* row = reply->add_rows();
    for (const Value& v : values) std::visit(ValueToWire{row->add_values()}, v.data);
  }
  return reply;
}

void NameColumns(const RowCursor& cursor, wire::QueryReply* reply) {
  for (size_t i = 0; i < cursor.names().size(); ++i) {
    wire::Column* column = reply->add_columns();
    column->set_name(cursor.names()[i]);
    column->set_type(std::string(TypeName(cursor.types()[i])));
  }
}

grpc::Status TooLargeRow(size_t bytes) {
  return ToStatus(ResourceExhausted("a row is larger than a message may be: read it in SQL",
                                    {{"bytes", bytes}, {"limit", kMaxReplyBytes}}));
}

/// One Query call: pages of a cursor, each read when the one before is written.
class QueryCall final : public grpc::ServerWriteReactor<wire::QueryReply> {
 public:
  static grpc::ServerWriteReactor<wire::QueryReply>* Start(const QueryBounds& bounds,
                                                           Executor* executor,
                                                           Operations* operations,
                                                           grpc::CallbackServerContext* context,
                                                           const wire::QueryRequest& request);

 private:
  /// What the call and its task share. It outlives the call for the task, which may come too late.
  /// The lock is recursive because gRPC may run a reaction inside the call that starts an
  /// operation.
  struct Link {
    std::recursive_mutex mutex;
    QueryCall* call;
    std::shared_ptr<void> place;
    std::shared_ptr<std::atomic<bool>> left = std::make_shared<std::atomic<bool>>(false);
    std::shared_ptr<RowCursor> cursor;
    Completion<bool> written;

    /// Once, whoever comes first. A write under way ends before the call does.
    void End(const grpc::Status& status) {
      std::lock_guard lock(mutex);
      if (call == nullptr || std::exchange(call->ended_, true)) return;
      Leave();
      call->status_ = status;
      if (call->writing_ == 0) call->Finish(status);
    }
    /// Everything that is held for the caller is given back.
    void Leave() {
      *left = true;
      place.reset();
      if (cursor) std::exchange(cursor, nullptr)->Cancel();
      written.Set(false);
    }
    /// False: the call is over.
    bool Hold(std::shared_ptr<void> given) {
      std::lock_guard lock(mutex);
      if (*left) return false;
      place = std::move(given);
      return true;
    }
    bool Use(std::shared_ptr<RowCursor> opened) {
      std::lock_guard lock(mutex);
      if (*left) return false;
      cursor = std::move(opened);
      return true;
    }
    /// The call may take so long until the next message, or its end, is there.
    void Limit(const std::shared_ptr<Deadlines>& longest, const std::shared_ptr<Link>& self) {
      std::lock_guard lock(mutex);
      if (call != nullptr && !call->ended_) call->Limit(longest, self);
    }
    bool Write(std::shared_ptr<wire::QueryReply> reply, const Completion<bool>& done) {
      std::lock_guard lock(mutex);
      if (*left) return false;
      written = done;
      call->Write(std::move(reply));
      return true;
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

  QueryCall(const QueryBounds& bounds, Executor* executor, grpc::CallbackServerContext* context)
      : link_(std::make_shared<Link>()),
        executor_(executor),
        context_(context),
        writes_(bounds.longest_write),
        longest_write_(bounds.longest_write_time) {
    link_->call = this;
  }

  static Task<void> Run(Ender ender, Operations* operations, bool wait, ServingQuery query,
                        QueryBounds bounds) {
    const std::shared_ptr<Link> link = ender.link;
    try {
      if (wait) {
        link->Limit(bounds.longest_wait, link);
        auto waiting = operations->WaitApplied(query.name_space, query.name, link->left);
        const Status applied = co_await std::move(waiting);
        if (!applied.ok()) co_return link->End(ToStatus(applied.error()));
        std::shared_ptr<void> place = bounds.queries->Take();
        if (!place) co_return link->End(bounds.queries->FullStatus());
        if (!link->Hold(std::move(place))) co_return;
      }
      link->Limit(bounds.longest_query, link);
      auto opening = operations->OpenQuery(std::move(query));
      auto opened = co_await std::move(opening);
      if (!opened.ok()) co_return link->End(ToStatus(opened.error()));
      const std::shared_ptr<RowCursor> cursor = std::move(opened).value();
      if (!link->Use(cursor)) co_return;
      for (bool first = true;; first = false) {
        auto reading = cursor->Next(kRowsPerMessage, kBytesPerMessage);
        auto page = co_await std::move(reading);
        if (!page.ok()) co_return link->End(ToStatus(page.error()));
        const bool last = page->empty();
        if (last && !first) co_return link->End(grpc::Status::OK);
        auto encoding = Offload([rows = std::move(page).value()] { return ReplyOf(rows); });
        const std::shared_ptr<wire::QueryReply> reply = co_await std::move(encoding);
        if (first) NameColumns(*cursor, reply.get());
        if (const size_t bytes = reply->ByteSizeLong(); bytes > kMaxReplyBytes)
          co_return link->End(TooLargeRow(bytes));
        const Completion<bool> written;
        if (!link->Write(reply, written)) co_return;
        const bool taken = co_await written;
        if (!taken) co_return;
        if (last) co_return link->End(grpc::Status::OK);
        link->Limit(bounds.longest_query, link);
      }
    } catch (const std::exception& e) {
      link->End(ToStatus(Internal(std::string("the query failed: ") + e.what())));
    }
  }

  // The lock is held from here on.

  void Limit(const std::shared_ptr<Deadlines>& longest, const std::shared_ptr<Link>& self) {
    Unlimit();
    cap_ = longest;
    cap_deadline_ = cap_->Add(executor_, [self] {
      self->End(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED,
                             "the call took longer than the longest one may take"));
    });
  }
  void Unlimit() {
    if (cap_) cap_->Remove(cap_deadline_);
    cap_.reset();
  }

  void Write(std::shared_ptr<wire::QueryReply> reply) {
    Unlimit();
    message_ = std::move(reply);
    writing_ = ++writes_begun_;
    AwaitReader();
    StartWrite(message_.get());
  }
  void AwaitReader() {
    write_deadline_ =
        writes_->Add(executor_, [link = link_, write = writing_] { OnStalled(link, write); });
  }

  /// A reader that takes nothing is told so behind what is on its way. It sees that when it reads
  /// on. The whole is given up where it still does not.
  static void OnStalled(const std::shared_ptr<Link>& link, uint64_t write) {
    static LogRateLimit limit(10);
    std::lock_guard lock(link->mutex);
    QueryCall* call = link->call;
    if (call == nullptr || call->writing_ != write) return;
    if (std::exchange(call->told_, true)) return call->context_->TryCancel();
    limit.Warn("a reader does not take the rows of its query; the call is ended",
               {{"seconds", call->longest_write_.count()}});
    call->ended_ = true;
    link->Leave();
    call->AwaitReader();
    call->Finish(ToStatus(
        ingest::RequestError{Code::kUnavailable,
                             "NOT_READ",
                             "the query was ended because its rows were not taken for " +
                                 std::to_string(call->longest_write_.count()) +
                                 " s; read them as they come, or write them to a file first",
                             "",
                             {}}));
  }

  // Each keeps the link, because the call may be done, and gone, before it returns.
  void OnWriteDone(bool ok) override {
    const auto link = link_;
    std::lock_guard lock(link->mutex);
    writes_->Remove(write_deadline_);
    writing_ = 0;
    if (told_) return;
    if (ended_) return Finish(status_);
    if (!ok) return link->End(grpc::Status::CANCELLED);
    link->written.Set(true);
  }
  void OnCancel() override {
    const auto link = link_;
    link->End(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    const auto link = link_;
    std::lock_guard lock(link->mutex);
    Unlimit();
    writes_->Remove(write_deadline_);
    link->Leave();
    link->call = nullptr;
    delete this;
  }

  const std::shared_ptr<Link> link_;
  Executor* const executor_;
  grpc::CallbackServerContext* const context_;
  const std::shared_ptr<Deadlines> writes_;
  const std::chrono::seconds longest_write_;
  std::shared_ptr<Deadlines> cap_;
  uint64_t cap_deadline_ = 0;
  uint64_t write_deadline_ = 0;
  uint64_t writes_begun_ = 0;
  uint64_t writing_ = 0;  ///< the number of the write under way
  bool ended_ = false;    ///< its status is decided
  bool told_ = false;     ///< that its reader is too slow
  grpc::Status status_;
  std::shared_ptr<wire::QueryReply> message_;
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
  auto* call = new QueryCall(bounds, executor, context);
  call->link_->place = std::move(place);
  executor->Spawn(Run(Ender{call->link_}, operations, request.wait(), FromWire(request), bounds));
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
