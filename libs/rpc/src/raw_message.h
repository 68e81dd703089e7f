#pragma once

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>

#include "millrace/base/check.h"

// For streams of requests that are read as bytes: unreadable.h says why.

namespace millrace::rpc {

/// False: they are no message of this type.
template <typename Message>
bool Parse(grpc::ByteBuffer* bytes, Message* out) {
  return grpc::SerializationTraits<Message>::Deserialize(bytes, out).ok();
}

template <typename Message>
grpc::ByteBuffer Encode(const Message& message) {
  grpc::ByteBuffer bytes;
  bool own = false;
  const grpc::Status encoded = grpc::SerializationTraits<Message>::Serialize(message, &bytes, &own);
  MILLRACE_CHECK(encoded.ok(), "an answer cannot be encoded");
  return bytes;
}

}  // namespace millrace::rpc
