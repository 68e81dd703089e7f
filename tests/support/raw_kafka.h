#pragma once

#include <librdkafka/rdkafka.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace millrace::test {

/// Another client of a Kafka broker, for what a log of ours never does.
class RawKafka {
 public:
  using Properties = std::vector<std::pair<std::string, std::string>>;

  explicit RawKafka(const std::string& brokers, Properties properties = {}) {
    properties.insert(properties.begin(), {"bootstrap.servers", brokers});
    char why[512];
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    for (const auto& [name, value] : properties)
      if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), why, sizeof(why)) !=
          RD_KAFKA_CONF_OK)
        throw std::runtime_error(why);
    kafka_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (kafka_ == nullptr) throw std::runtime_error(why);
  }
  ~RawKafka() { rd_kafka_destroy(kafka_); }
  RawKafka(const RawKafka&) = delete;

  void Create(const std::string& topic, const Properties& settings = {}) {
    char why[512];
    rd_kafka_NewTopic_t* asked = rd_kafka_NewTopic_new(topic.c_str(), 1, 1, why, sizeof(why));
    for (const auto& [name, value] : settings)
      rd_kafka_NewTopic_set_config(asked, name.c_str(), value.c_str());
    rd_kafka_queue_t* answers = rd_kafka_queue_new(kafka_);
    rd_kafka_CreateTopics(kafka_, &asked, 1, nullptr, answers);
    rd_kafka_NewTopic_destroy(asked);
    EndOrder(answers);
  }
  void Delete(const std::string& topic) {
    rd_kafka_DeleteTopic_t* asked = rd_kafka_DeleteTopic_new(topic.c_str());
    rd_kafka_queue_t* answers = rd_kafka_queue_new(kafka_);
    rd_kafka_DeleteTopics(kafka_, &asked, 1, nullptr, answers);
    rd_kafka_DeleteTopic_destroy(asked);
    EndOrder(answers);
  }
  void Produce(const std::string& topic, const std::string& value) {
    const auto error =
        rd_kafka_producev(kafka_, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(0),
                          RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(rd_kafka_err2str(error));
  }
  void Flush() {
    if (rd_kafka_flush(kafka_, 30'000) != RD_KAFKA_RESP_ERR_NO_ERROR)
      throw std::runtime_error("records are not written");
  }
  /// One transaction around `write`. Needs a transactional.id.
  void Transaction(bool commit, const std::function<void()>& write) {
    if (!std::exchange(transactional_, true)) Must(rd_kafka_init_transactions(kafka_, 30'000));
    Must(rd_kafka_begin_transaction(kafka_));
    write();
    Flush();
    Must(commit ? rd_kafka_commit_transaction(kafka_, 30'000)
                : rd_kafka_abort_transaction(kafka_, 30'000));
  }

 private:
  static void Must(rd_kafka_error_t* error) {
    if (error == nullptr) return;
    const std::string why = rd_kafka_error_string(error);
    rd_kafka_error_destroy(error);
    throw std::runtime_error(why);
  }
  static void EndOrder(rd_kafka_queue_t* answers) {
    rd_kafka_event_t* answer = rd_kafka_queue_poll(answers, 30'000);
    const auto error =
        answer == nullptr ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(answer);
    if (answer != nullptr) rd_kafka_event_destroy(answer);
    rd_kafka_queue_destroy(answers);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw std::runtime_error(rd_kafka_err2str(error));
  }

  rd_kafka_t* kafka_ = nullptr;
  bool transactional_ = false;
};

}  // namespace millrace::test
