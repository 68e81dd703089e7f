#include "sim/clients.h"

#include <algorithm>

namespace millrace::sim {
namespace {

Task<void> Publish(Task<ingest::PublishReply> accept,
                   std::shared_ptr<std::optional<ingest::PublishReply>> answer) {
  ingest::PublishReply reply = co_await std::move(accept);
  answer->emplace(std::move(reply));
}

}  // namespace

Process* Client::AnyGateway() {
  std::vector<Process*> there;
  for (size_t i = 0; i < fleet_->size(); ++i) {
    Process* const p = fleet_->process(i);
    if (fleet_->member(i).role == Process::Role::kGateway && p != nullptr && p->alive() &&
        p->started())
      there.push_back(p);
  }
  return there.empty() ? nullptr : there[world_->Random(there.size())];
}

void Client::MakeEvents() {
  for (size_t n = 1 + world_->Random(3 * kBatch); n > 0; --n) {
    const Micros late = world_->Chance(0.1) ? world_->Random(6 * kSecond) : 0;
    const Micros t = SimExecutor::kEpoch + world_->now().count() - late;
    unsettled_.emplace_back(next_++, "{\"ts\":\"" + FormatTimestamp(t) + "\",\"k\":\"" +
                                         static_cast<char>('a' + world_->Random(7)) +
                                         "\",\"v\":" + std::to_string(world_->Random(20)) + "}");
  }
}

void Client::Send() {
  Process* const gateway = AnyGateway();
  if (gateway == nullptr) return;
  gateway_ = &gateway->executor();
  give_up_at_ = world_->now() + kPatience;
  if (!lane_) lane_ = std::make_shared<ingest::Lane>();
  const auto payloads = std::make_shared<Events>(unsettled_);
  for (auto first = payloads->begin(); first != payloads->end();) {
    ingest::PublishRequest request;
    request.stream = "s";
    request.producer_id = id_;
    request.first_sequence = first->first;
    request.acked_below = payloads->front().first;
    const auto left = static_cast<size_t>(payloads->end() - first);
    const auto end = first + static_cast<std::ptrdiff_t>(std::min(left, kBatch));
    for (; first != end; ++first)
      request.events.push_back({{}, ingest::PayloadKind::kJson, first->second});
    request.owner = payloads;
    answers_.push_back(std::make_shared<std::optional<ingest::PublishReply>>());
    gateway_->Spawn(Publish(gateway->gateway().Accept(Principal{}, std::move(request), lane_),
                            answers_.back()));
  }
}

/// What it knows of is acknowledged from the front on.
void Client::TakeAnswers() {
  while (!answers_.empty() && answers_.front()->has_value()) {
    const ingest::PublishReply reply = std::move(**answers_.front());
    answers_.pop_front();
    if (reply.error) return Doubt();
    for (const ingest::EventResult& result : reply.results) {
      if (!result.ok()) return Doubt();
      unsettled_.pop_front();
      ++acknowledged_;
    }
  }
  if (!answers_.empty() && (!gateway_->alive() || world_->now() >= give_up_at_)) Doubt();
}

void Client::Doubt() {
  answers_.clear();
  lane_.reset();
  next_send_ = world_->now() + std::chrono::milliseconds(100 + world_->Random(900));
}

void Client::Step(bool fresh) {
  TakeAnswers();
  if (!answers_.empty() || world_->now() < next_send_) return;
  if (fresh && unsettled_.empty()) MakeEvents();
  if (!unsettled_.empty()) Send();
  next_send_ = world_->now() + std::chrono::milliseconds(world_->Random(1500));
}

}  // namespace millrace::sim
