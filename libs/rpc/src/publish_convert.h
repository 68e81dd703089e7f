#pragma once

#include <memory>

#include "millrace/ingest/publish.h"
#include "millrace/model/spec.h"

namespace millrace::ingest::v1 {
class PublishReply;
class PublishRequest;
class Stream;
}  // namespace millrace::ingest::v1

namespace millrace::rpc {

/// The result views the message and keeps it alive.
ingest::PublishRequest FromWire(std::shared_ptr<const ingest::v1::PublishRequest> request);

/// A reply without an error.
void ToWire(const ingest::PublishReply& reply, ingest::v1::PublishReply* out);
void ToWire(const StreamSpec& spec, ingest::v1::Stream* out);

}  // namespace millrace::rpc
