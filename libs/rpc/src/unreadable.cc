#include "unreadable.h"

#include "status.h"

namespace millrace::rpc {
namespace {

class Interceptor final : public grpc::experimental::Interceptor {
 public:
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using Point = grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(Point::POST_RECV_MESSAGE) &&
        methods->GetRecvMessage() == nullptr)
      unreadable_ = true;
    if (unreadable_ && methods->QueryInterceptionHookPoint(Point::PRE_SEND_STATUS))
      methods->ModifySendStatus(UnreadableStatus());
    methods->Proceed();
  }

 private:
  bool unreadable_ = false;
};

class Factory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    using Type = grpc::experimental::ServerRpcInfo::Type;
    // The end of a stream of requests is a message that is not there, too.
    const bool one_request = info->type() == Type::UNARY || info->type() == Type::SERVER_STREAMING;
    return one_request ? new Interceptor() : nullptr;
  }
};

}  // namespace

grpc::Status UnreadableStatus() {
  return ToStatus(ingest::RequestError{
      Code::kInvalidArgument,
      "UNREADABLE_MESSAGE",
      "the bytes are not the message that this call takes, or a text in it is not UTF-8; encode it "
      "by the server's .proto files, which reflection gives too",
      "",
      {}});
}

std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
UnreadableInterceptors() {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> all;
  all.push_back(std::make_unique<Factory>());
  return all;
}

}  // namespace millrace::rpc
