#include "handle.h"

#include <future>

#include "millrace/base/log.h"

namespace millrace::log_kafka {
namespace {

constexpr int kPassMillis = 200;
/// What the brokers said longer ago is no reason for a failure of now.
constexpr auto kReasonLasts = std::chrono::seconds(60);

constexpr auto kEndPatience = std::chrono::seconds(2);

void NoLines(const rd_kafka_t*, int, const char*, const char*) {}

}  // namespace

bool IsUnknown(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
         error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

Result<std::shared_ptr<Handle>> Handle::Open(rd_kafka_type_t type, const Properties& properties,
                                             std::function<void(rd_kafka_event_t*)> on_event,
                                             std::function<void()> on_pass) {
  char why[512] = "";
  Owned<rd_kafka_conf_t, rd_kafka_conf_destroy> conf(rd_kafka_conf_new());
  for (const auto& [name, value] : properties) {
    if (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), why, sizeof(why)) !=
        RD_KAFKA_CONF_OK)
      return InvalidArgument("the Kafka client does not take a setting",
                             {{"setting", name}, {"reason", why}});
  }
  // What it would write to standard error comes as events, too.
  rd_kafka_conf_set_log_cb(conf.get(), NoLines);
  rd_kafka_conf_set_events(conf.get(), RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
  std::shared_ptr<Handle> handle(new Handle());
  handle->kafka_ = rd_kafka_new(type, conf.get(), why, sizeof(why));
  if (handle->kafka_ == nullptr)
    return InvalidArgument("the Kafka client cannot be made from the configuration",
                           {{"reason", why}});
  conf.release();  // belongs to the client now
  if (type == RD_KAFKA_CONSUMER) {
    rd_kafka_poll_set_consumer(handle->kafka_);
    handle->events_.reset(rd_kafka_queue_get_consumer(handle->kafka_));
  } else {
    handle->events_.reset(rd_kafka_queue_get_main(handle->kafka_));
  }
  handle->on_event_ = std::move(on_event);
  handle->on_pass_ = std::move(on_pass);
  handle->thread_ = std::thread([h = handle.get()] { h->Serve(); });
  return handle;
}

/// librdkafka 2.0 to 2.3 waits for ever in its destructor where a topic was removed under a reader
/// (its issue 4674), so the end is given a thread of its own and no more than some patience.
Handle::~Handle() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  events_.reset();
  if (kafka_ == nullptr) return;
  const auto ended = std::make_shared<std::promise<void>>();
  auto end = ended->get_future();
  std::thread([kafka = kafka_, ended] {
    rd_kafka_destroy_flags(kafka, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    ended->set_value();
  }).detach();
  if (end.wait_for(kEndPatience) != std::future_status::ready)
    LogWarn("a Kafka client does not end; its threads stay until the process ends");
}

void Handle::Serve() {
  while (!stopping_) {
    const OwnedEvent event(rd_kafka_queue_poll(events_.get(), kPassMillis));
    if (event) {
      if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_DR) {
        if (on_event_) on_event_(event.get());
      } else if (rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        Told(event.get());
      }
    }
    if (on_pass_) on_pass_();
  }
}

void Handle::Told(rd_kafka_event_t* event) {
  const rd_kafka_resp_err_t error = rd_kafka_event_error(event);
  if (rd_kafka_event_error_is_fatal(event) != 0) dead_ = true;
  if (IsUnknown(error)) ++doubts_;
  std::lock_guard lock(mutex_);
  told_ = rd_kafka_event_error_string(event);
  told_at_ = std::chrono::steady_clock::now();
  if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION || error == RD_KAFKA_RESP_ERR__SSL)
    refused_at_ = told_at_;
}

bool Handle::refused() const {
  std::lock_guard lock(mutex_);
  return std::chrono::steady_clock::now() - refused_at_ < kReasonLasts;
}

Error Handle::Failed(Code code, std::string_view what, std::string_view error, Facts facts) const {
  Error failed = WithFacts(code, what, facts);
  std::lock_guard lock(mutex_);
  const bool recent = !told_.empty() && std::chrono::steady_clock::now() - told_at_ < kReasonLasts;
  failed.message += " kafka=" + FactText(error);
  if (recent) failed.message += " brokers_said=" + FactText(told_);
  return failed;
}

Error Handle::Failed(Code code, std::string_view what, rd_kafka_resp_err_t error,
                     Facts facts) const {
  return Failed(code, what, std::string_view(rd_kafka_err2str(error)), facts);
}

}  // namespace millrace::log_kafka
