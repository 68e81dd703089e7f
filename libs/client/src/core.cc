#include "core.h"

#include <utility>

#include "millrace/base/facts.h"
#include "millrace/ingest/v1/ingest.pb.h"

namespace millrace {

namespace wire = ingest::v1;

namespace {

/// What an event costs beside its bytes while it waits.
constexpr size_t kEventOverhead = 64;

constexpr std::string_view kTooLarge = "EVENT_TOO_LARGE";
constexpr std::string_view kUnreadable = "UNREADABLE";

std::string LocalRefusal(std::string_view reason, size_t bytes) {
  if (reason == kUnreadable) return "the event or its key is not UTF-8";
  return "the event is larger than a stream takes bytes=" + std::to_string(bytes) +
         " limit=" + std::to_string(ingest::kMaxEventBytes);
}

}  // namespace

Client::Core::Core(ClientOptions options)
    : options_(std::move(options)), next_(options_.first_sequence), sender_([this] { Run(); }) {
  if (options_.give_up_after) giving_up_ = std::thread([this] { RunGivingUp(); });
}

Client::Core::~Core() = default;

int64_t Client::Core::AckedBelow() const {
  if (open_.empty()) return next_;
  return open_.front()->first + static_cast<int64_t>(open_.front()->settled_in_front);
}

bool Client::Core::HasRoom(size_t bytes) const {
  if (next_ - AckedBelow() >= ingest::kMaxSequenceSpan) return false;
  return bytes_ == 0 || bytes_ + bytes <= options_.buffer_bytes;
}

void Client::Core::SealFilling() {
  if (!open_.empty()) open_.back()->sealed = true;
}

Client::Core::Batch& Client::Core::Filling() {
  if (open_.empty() || open_.back()->sealed) {
    auto batch = std::make_shared<Batch>();
    batch->first = next_;
    batch->created = Clock::now();
    const auto arena = std::make_shared<google::protobuf::Arena>();
    batch->message = {
        arena, google::protobuf::Arena::CreateMessage<wire::PublishStreamRequest>(arena.get())};
    wire::PublishRequest* request = batch->message->mutable_request();
    request->set_namespace_(options_.name_space);
    request->set_stream(options_.stream);
    request->set_producer_id(options_.producer_id);
    request->set_dry_run(options_.dry_run);
    open_.push_back(std::move(batch));
    changed_.notify_all();
  }
  return *open_.back();
}

Result<int64_t> Client::Core::Publish(std::string_view json, std::optional<std::string_view> key) {
  const size_t bytes = json.size() + (key ? key->size() : 0) + kEventOverhead;
  // Protobuf would refuse the whole message for the one, the limit of a request for the other.
  std::string_view refusal;
  if (json.size() > ingest::kMaxEventBytes) {
    refusal = kTooLarge;
  } else if (!client::ValidUtf8(json) || (key && !client::ValidUtf8(*key))) {
    refusal = kUnreadable;
  }
  BatchPtr refused;
  int64_t sequence = 0;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failed_ || closing_ || HasRoom(bytes); });
    if (failed_) return *failed_;
    if (closing_) return Unavailable("the client is closed");
    if (!refusal.empty()) SealFilling();
    Batch& batch = Filling();
    sequence = next_++;
    batch.settled.push_back(false);
    ++batch.unsettled;
    ++stats_.unsettled;
    if (!refusal.empty()) {
      batch.sealed = batch.sent = true;
      refused = open_.back();
    } else {
      wire::Event* event = batch.message->mutable_request()->add_events();
      event->set_json(json.data(), json.size());
      if (key) event->set_key(key->data(), key->size());
      batch.bytes += bytes;
      bytes_ += bytes;
      if (batch.settled.size() >= options_.batch_events || batch.bytes >= options_.batch_bytes) {
        batch.sealed = true;
        changed_.notify_all();
      }
    }
  }
  if (refused)
    Settle(refused, {{0,
                      {sequence, Outcome::kRefused, -1, -1, -1, std::string(refusal),
                       LocalRefusal(refusal, json.size())}}});
  return sequence;
}

int64_t Client::Core::Skip() {
  std::lock_guard lock(mutex_);
  SealFilling();
  changed_.notify_all();
  return next_++;
}

Status Client::Core::Flush(std::optional<std::chrono::milliseconds> timeout) {
  std::unique_lock lock(mutex_);
  const int64_t all = next_;
  flush_below_ = std::max(flush_below_, all);
  changed_.notify_all();
  const auto settled = [&] { return closing_ || AckedBelow() >= all; };
  if (!timeout) {
    changed_.wait(lock, settled);
  } else if (!changed_.wait_for(lock, *timeout, settled)) {
    return Unavailable("not all events were settled in time; they are still being sent",
                       {{"unsettled", stats_.unsettled}, {"last_error", stats_.last_error}});
  }
  if (failed_) return *failed_;
  if (AckedBelow() < all) return Unavailable("the client is closed");
  return {};
}

ClientStats Client::Core::Stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

void Client::Core::Close() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
    if (call_ != nullptr) call_->TryCancel();
    changed_.notify_all();
  }
  sender_.join();
  if (giving_up_.joinable()) giving_up_.join();
  std::vector<BatchPtr> left(open_.begin(), open_.end());
  SettleAll(left, "CLIENT_CLOSED", "the client was closed before the event was settled");
}

void Client::Core::MarkSettled(Batch* batch, const Reports& reports) {
  for (const auto& [place, report] : reports) {
    batch->settled[place] = true;
    --batch->unsettled;
    --stats_.unsettled;
    stats_.acknowledged += report.outcome == Outcome::kAcknowledged;
    stats_.refused += report.outcome == Outcome::kRefused;
    stats_.unknown += report.outcome == Outcome::kUnknown;
  }
  while (batch->settled_in_front < batch->settled.size() &&
         batch->settled[batch->settled_in_front]) {
    ++batch->settled_in_front;
  }
  if (batch->unsettled == 0) bytes_ -= std::exchange(batch->bytes, 0);
  while (!open_.empty() && open_.front()->sealed && open_.front()->unsettled == 0)
    open_.pop_front();
  changed_.notify_all();
}

void Client::Core::Settle(const BatchPtr& batch, Reports reports) {
  std::lock_guard one_at_a_time(settling_);
  {
    std::lock_guard lock(mutex_);
    std::erase_if(reports, [&](const auto& r) { return batch->settled[r.first]; });
  }
  if (options_.on_event)
    for (const auto& [place, report] : reports) options_.on_event(report);
  std::lock_guard lock(mutex_);
  MarkSettled(batch.get(), reports);
}

void Client::Core::SettleAll(const std::vector<BatchPtr>& batches, const std::string& reason,
                             const std::string& message) {
  for (const BatchPtr& batch : batches) {
    Reports reports;
    {
      std::lock_guard lock(mutex_);
      batch->sealed = batch->given_up = true;
      const bool maybe_there = batch->doubtful || (batch->sent && batch->ever_sent);
      const Outcome outcome = maybe_there ? Outcome::kUnknown : Outcome::kRefused;
      for (size_t i = 0; i < batch->settled.size(); ++i) {
        const int64_t sequence = batch->first + static_cast<int64_t>(i);
        reports.push_back({i, {sequence, outcome, -1, -1, -1, reason, message}});
      }
    }
    Settle(batch, std::move(reports));
  }
}

}  // namespace millrace
