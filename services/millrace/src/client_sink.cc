#include "client_sink.h"

#include "millrace/client/client.h"

namespace millrace {
namespace {

constexpr int64_t kFirstSequence = 1;

class ClientSink : public cli::EventSink {
 public:
  static Result<std::unique_ptr<cli::EventSink>> Open(const std::vector<std::string>& servers,
                                                      cli::SinkOptions options) {
    ClientOptions to;
    to.endpoints = servers;
    to.name_space = options.stream.name_space;
    to.stream = options.stream.name;
    to.producer_id = options.producer_id;
    to.first_sequence = kFirstSequence;
    to.dry_run = options.dry_run;
    to.on_event = [refused = std::move(options.on_refused),
                   acknowledged = std::move(options.on_acknowledged)](const EventReport& report) {
      if (report.outcome == Outcome::kAcknowledged) {
        if (acknowledged) acknowledged(report.sequence);
        return;
      }
      const bool unknown = report.outcome == Outcome::kUnknown;
      refused({report.sequence, report.reason,
               report.message + (unknown ? "; an earlier attempt may have been taken" : "")});
    };
    MILLRACE_ASSIGN(auto client, Client::Create(std::move(to)));
    return std::unique_ptr<cli::EventSink>(new ClientSink(std::move(client)));
  }

  Status Send(int64_t sequence, std::string_view payload) override {
    for (; next_ < sequence; ++next_) client_->Skip();
    ++next_;
    MILLRACE_TRY(client_->Publish(payload));
    return {};
  }

  Status Flush() override { return client_->Flush(); }

  cli::SinkCounters counters() const override {
    const ClientStats stats = client_->Stats();
    return {stats.acknowledged, stats.refused + stats.unknown, stats.resent, stats.last_error};
  }

 private:
  explicit ClientSink(std::unique_ptr<Client> client) : client_(std::move(client)) {}

  std::unique_ptr<Client> client_;
  int64_t next_ = kFirstSequence;
};

}  // namespace

cli::OpenEventSink ClientSinks(const std::vector<std::string>& servers) {
  return
      [servers](cli::SinkOptions options) { return ClientSink::Open(servers, std::move(options)); };
}

}  // namespace millrace
