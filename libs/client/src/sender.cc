// The half of Client::Core that talks to gateways.
#include <utility>

#include "core.h"
#include "millrace/ingest/v1/ingest.grpc.pb.h"

namespace millrace {

namespace wire = ingest::v1;

namespace {

/// Longest sleep when nothing is due.
constexpr auto kIdle = std::chrono::hours(1);

}  // namespace

/// One PublishStream call.
struct Client::Core::Connection {
  std::string endpoint;
  grpc::ClientContext context;
  std::unique_ptr<wire::Ingest::Stub> stub;
  std::unique_ptr<grpc::ClientReaderWriter<wire::PublishStreamRequest, wire::PublishStreamReply>>
      stream;
  std::deque<BatchPtr> awaiting;  ///< sent, in order; under the mutex
  bool ended = false;             ///< nothing more is sent; under the mutex
};

void Client::Core::Run() {
  size_t endpoint = 0;
  while (NextBatch(nullptr)) {
    Connection connection;
    connection.endpoint = options_.endpoints[endpoint];
    Serve(&connection);
    endpoint = (endpoint + 1) % options_.endpoints.size();
  }
}

Client::Core::BatchPtr Client::Core::NextBatch(Connection* connection) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (closing_ || failed_ || (connection != nullptr && connection->ended)) return nullptr;
    const Clock::time_point now = Clock::now();
    const bool may_send =
        connection == nullptr || connection->awaiting.size() < options_.batches_in_flight;
    if (BatchPtr batch = may_send ? Ready(now) : nullptr) {
      if (connection != nullptr) {
        Prepare(batch.get());
        connection->awaiting.push_back(batch);
      }
      return batch;
    }
    changed_.wait_until(lock, NextWake(now, may_send));
  }
}

void Client::Core::RunGivingUp() {
  std::unique_lock lock(mutex_);
  while (!closing_ && !failed_) {
    const Clock::time_point now = Clock::now();
    const std::vector<BatchPtr> old = TooOld(now);
    if (old.empty()) {
      changed_.wait_until(lock, NextGivingUp(now));
      continue;
    }
    lock.unlock();
    SettleAll(old, "DEADLINE_EXCEEDED", "the event was not settled in the time that it had");
    lock.lock();
  }
}

Client::Core::Clock::time_point Client::Core::NextGivingUp(Clock::time_point now) const {
  for (const BatchPtr& batch : open_)
    if (batch->unsettled > 0) return batch->created + *options_.give_up_after;
  return now + kIdle;
}

std::vector<Client::Core::BatchPtr> Client::Core::TooOld(Clock::time_point now) const {
  std::vector<BatchPtr> old;
  for (const BatchPtr& batch : open_) {
    if (batch->created + *options_.give_up_after > now) break;
    if (batch->unsettled > 0) old.push_back(batch);
  }
  return old;
}

Client::Core::BatchPtr Client::Core::Ready(Clock::time_point now) {
  for (const BatchPtr& batch : open_) {
    if (batch->sent || batch->given_up || batch->unsettled == 0) continue;
    if (batch->created + options_.linger <= now || batch->first < flush_below_)
      batch->sealed = true;
    const bool due = batch->sealed && now >= retry_at_;
    return due ? batch : nullptr;
  }
  return nullptr;
}

Client::Core::Clock::time_point Client::Core::NextWake(Clock::time_point now, bool may_send) const {
  Clock::time_point wake = now + kIdle;
  for (const BatchPtr& batch : open_) {
    if (batch->sent || batch->given_up || batch->unsettled == 0) continue;
    const Clock::time_point full = batch->sealed ? now : batch->created + options_.linger;
    if (may_send) wake = std::min(wake, std::max(full, retry_at_));
    break;
  }
  return wake;
}

void Client::Core::Prepare(Batch* batch) {
  wire::PublishRequest* request = batch->message->mutable_request();
  // What is settled at the front must not come again: acked_below may have passed it.
  if (const size_t front = std::exchange(batch->settled_in_front, 0); front > 0) {
    request->mutable_events()->DeleteSubrange(0, static_cast<int>(front));
    batch->settled.erase(batch->settled.begin(),
                         batch->settled.begin() + static_cast<std::ptrdiff_t>(front));
    batch->first += static_cast<int64_t>(front);
  }
  batch->message->set_batch(next_batch_++);
  request->set_first_sequence(batch->first);
  request->set_acked_below(AckedBelow());
  if (batch->doubtful) stats_.resent += static_cast<int64_t>(batch->settled.size());
  batch->sent = batch->ever_sent = true;
}

void Client::Core::Serve(Connection* connection) {
  connection->stub = wire::Ingest::NewStub(client::OpenChannel(connection->endpoint));
  {
    std::lock_guard lock(mutex_);
    if (closing_) return;
    call_ = &connection->context;
  }
  connection->stream = connection->stub->PublishStream(&connection->context);
  std::thread reader([&] { ReadReplies(connection); });
  while (const BatchPtr batch = NextBatch(connection))
    if (!connection->stream->Write(*batch->message)) break;
  connection->stream->WritesDone();
  {
    std::lock_guard lock(mutex_);
    if (closing_ || failed_) connection->context.TryCancel();
  }
  reader.join();
  const grpc::Status status = connection->stream->Finish();
  {
    std::lock_guard lock(mutex_);
    call_ = nullptr;
  }
  OnEnd(connection, status);
}

void Client::Core::ReadReplies(Connection* connection) {
  wire::PublishStreamReply reply;
  while (connection->stream->Read(&reply)) {
    if (OnReply(connection, reply)) continue;
    connection->context.TryCancel();
    break;
  }
  std::lock_guard lock(mutex_);
  connection->ended = true;
  changed_.notify_all();
}

Client::Core::Reports Client::Core::ReportsOf(const Batch& batch,
                                              const wire::PublishStreamReply& reply) {
  Reports reports;
  reports.reserve(static_cast<size_t>(reply.reply().results_size()));
  for (int i = 0; i < reply.reply().results_size(); ++i) {
    const wire::EventResult& result = reply.reply().results(i);
    EventReport report;
    report.sequence = batch.first + i;
    if (result.has_position()) {
      report.outcome = Outcome::kAcknowledged;
      report.partition = result.position().partition();
      report.offset = result.position().offset();
      report.row = result.position().row();
    } else if (result.has_error() && !result.error().retryable()) {
      report.outcome = batch.doubtful ? Outcome::kUnknown : Outcome::kRefused;
      report.reason = result.error().reason();
      report.message = result.error().message();
    } else {
      stats_.last_error = result.error().message();
      continue;
    }
    reports.push_back({static_cast<size_t>(i), std::move(report)});
  }
  return reports;
}

bool Client::Core::OnReply(Connection* connection, const wire::PublishStreamReply& reply) {
  BatchPtr batch;
  Reports reports;
  {
    std::lock_guard lock(mutex_);
    if (connection->awaiting.empty()) return false;
    batch = connection->awaiting.front();
    if (batch->message->batch() != reply.batch() ||
        batch->message->request().events_size() != reply.reply().results_size()) {
      return false;
    }
    connection->awaiting.pop_front();
    stats_.last_error.clear();
    reports = ReportsOf(*batch, reply);
  }
  Settle(batch, std::move(reports));
  std::lock_guard lock(mutex_);
  if (batch->unsettled == 0) {
    last_delay_ = {};
  } else {
    // Nothing may go past its events: all from here on are sent again, in order, on the next call.
    batch->sent = false;
    batch->doubtful = true;
    connection->ended = true;
  }
  changed_.notify_all();
  return true;
}

std::chrono::milliseconds Client::Core::NextDelay() {
  last_delay_ = last_delay_.count() == 0 ? options_.retry_first
                                         : std::min(last_delay_ * 2, options_.retry_last);
  return last_delay_;
}

void Client::Core::OnEnd(Connection* connection, const grpc::Status& status) {
  const client::Failure failure = client::FailureOf(status, connection->endpoint);
  std::vector<BatchPtr> lost;
  {
    std::lock_guard lock(mutex_);
    for (const BatchPtr& batch : connection->awaiting) {
      batch->sent = false;
      if (!failure.nothing_done && !failure.elsewhere) batch->doubtful = true;
    }
    if (closing_) return;
    const bool no_gateway = failure.permanent && failure.elsewhere;
    no_gateways_ = no_gateway ? no_gateways_ + 1 : 0;
    if (no_gateway && no_gateways_ < options_.endpoints.size()) {
      stats_.last_error = failure.error.message;
      return;
    }
    if (!failure.permanent) {
      stats_.last_error = failure.error.message;
      retry_at_ = Clock::now() + std::max(NextDelay(), failure.retry_after);
      return;
    }
    stats_.last_error = failure.error.message;
    failed_ = failure.error;
    lost.assign(open_.begin(), open_.end());
    changed_.notify_all();
  }
  SettleAll(lost, failure.reason, failure.error.message);
}

}  // namespace millrace
