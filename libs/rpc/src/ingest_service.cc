#include <grpcpp/grpcpp.h>

#include <mutex>
#include <vector>

#include "millrace/ingest/v1/ingest.grpc.pb.h"
#include "publish_convert.h"
#include "publish_stream.h"
#include "services.h"
#include "unary_call.h"

namespace millrace::rpc {
namespace {

namespace wire = ingest::v1;

Task<Answer<wire::PublishReply>> AnswerPublish(ingest::Gateway* gateway,
                                               std::shared_ptr<wire::PublishRequest> request) {
  auto accept = gateway->Accept(Principal(), FromWire(std::move(request)));
  const ingest::PublishReply reply = co_await std::move(accept);
  Answer<wire::PublishReply> answer;
  if (reply.error) {
    answer.status = ToStatus(*reply.error);
  } else {
    ToWire(reply, &answer.reply);
  }
  co_return answer;
}

Task<Answer<wire::ListStreamsReply>> AnswerListStreams(ingest::Gateway* gateway,
                                                       std::string name_space) {
  Answer<wire::ListStreamsReply> answer;
  for (const StreamSpec& spec : gateway->Streams()) {
    if (name_space.empty() || name_space == spec.name_space)
      ToWire(spec, answer.reply.add_streams());
  }
  wire::Limits* limits = answer.reply.mutable_limits();
  limits->set_events_per_request(ingest::kMaxRequestEvents);
  limits->set_bytes_per_request(ingest::kMaxRequestBytes);
  limits->set_bytes_per_event(ingest::kMaxEventBytes);
  limits->set_sequences_in_flight(ingest::kMaxSequenceSpan);
  co_return answer;
}

/// Batches are read as bytes and parsed here (unreadable.h says why).
using CallbackService =
    wire::Ingest::WithCallbackMethod_Publish<wire::Ingest::WithRawCallbackMethod_PublishStream<
        wire::Ingest::WithCallbackMethod_ListStreams<wire::Ingest::Service>>>;

class IngestService final : public CallbackService, public DrainableService {
 public:
  IngestService(const ServerOptions& options, const Serving* serving)
      : publish_cap_{std::make_shared<Deadlines>(options.longest_call),
                     // No details: those say that nothing was done.
                     {grpc::StatusCode::UNAVAILABLE,
                      "the log did not answer in time; the events may be in it all the same, send "
                      "the same numbers again"}},
        serving_(serving),
        streams_(std::make_shared<PublishStreams>(PublishStreams::Limits{
            options.stream_batches, options.stream_bytes, options.stream_unwritten_bytes,
            options.streams_bytes, options.longest_write})) {}

  grpc::Service* service() override { return this; }
  void Drain() override { streams_->Drain(); }

  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context,
                                    const wire::PublishRequest* request,
                                    wire::PublishReply* reply) override {
    const Services* services = serving_->load();
    if (services == nullptr || services->gateway == nullptr)
      return EndAtOnce(context, NotServingStatus(services == nullptr));
    // gRPC frees its own copy when the caller goes away, while the gateway may still read it.
    auto copy = std::make_shared<wire::PublishRequest>(*request);
    return UnaryCall<wire::PublishReply>::Start(*services->gateway_executor, reply, &publish_cap_,
                                                AnswerPublish(services->gateway, std::move(copy)));
  }

  PublishStreams::Reactor* PublishStream(grpc::CallbackServerContext* context) override {
    const Services* services = serving_->load();
    if (services == nullptr || services->gateway == nullptr)
      return PublishStreams::Refuse(NotServingStatus(services == nullptr));
    return streams_->Open(services->gateway_executor, services->gateway,
                          [context] { context->TryCancel(); });
  }

  grpc::ServerUnaryReactor* ListStreams(grpc::CallbackServerContext* context,
                                        const wire::ListStreamsRequest* request,
                                        wire::ListStreamsReply* reply) override {
    const Services* services = serving_->load();
    if (services == nullptr || services->gateway == nullptr)
      return EndAtOnce(context, NotServingStatus(services == nullptr));
    return UnaryCall<wire::ListStreamsReply>::Start(
        *services->gateway_executor, reply, nullptr,
        AnswerListStreams(services->gateway, request->namespace_()));
  }

 private:
  const Cap publish_cap_;
  const Serving* serving_;
  std::shared_ptr<PublishStreams> streams_;
};

}  // namespace

std::unique_ptr<DrainableService> MakeIngestService(const ServerOptions& options,
                                                    const Serving* serving) {
  return std::make_unique<IngestService>(options, serving);
}

}  // namespace millrace::rpc
