#include "publish_convert.h"

#include "millrace/ingest/v1/ingest.pb.h"
#include "millrace/operations/operations.h"
#include "status.h"

namespace millrace::rpc {
namespace {

namespace wire = ingest::v1;

ingest::Event FromWire(const wire::Event& event) {
  ingest::Event out;
  if (event.has_key()) out.key = event.key();
  switch (event.payload_case()) {
    case wire::Event::kJson:
      out.kind = ingest::PayloadKind::kJson;
      out.payload = event.json();
      break;
    case wire::Event::kProtobuf:
      out.kind = ingest::PayloadKind::kProtobuf;
      out.payload = event.protobuf();
      break;
    case wire::Event::kArrow:
      out.kind = ingest::PayloadKind::kArrow;
      out.payload = event.arrow();
      break;
    case wire::Event::PAYLOAD_NOT_SET:
      out.kind = ingest::PayloadKind::kNone;
      break;
  }
  return out;
}

}  // namespace

ingest::PublishRequest FromWire(std::shared_ptr<const wire::PublishRequest> request) {
  ingest::PublishRequest out;
  if (!request->namespace_().empty()) out.name_space = request->namespace_();
  out.stream = request->stream();
  out.producer_id = request->producer_id();
  out.first_sequence = request->first_sequence();
  out.acked_below = request->acked_below();
  out.dry_run = request->dry_run();
  out.events.reserve(static_cast<size_t>(request->events_size()));
  for (const wire::Event& event : request->events()) out.events.push_back(FromWire(event));
  out.owner = std::move(request);
  return out;
}

void ToWire(const ingest::PublishReply& reply, wire::PublishReply* out) {
  out->mutable_results()->Reserve(static_cast<int>(reply.results.size()));
  for (const ingest::EventResult& r : reply.results) {
    wire::EventResult* result = out->add_results();
    if (r.ok()) {
      wire::Position* position = result->mutable_position();
      position->set_partition(r.partition);
      position->set_offset(r.offset);
      position->set_row(r.row);
    } else {
      wire::EventError* error = result->mutable_error();
      error->set_code(static_cast<wire::Code>(GrpcCode(r.error->code)));
      error->set_reason(r.error->reason);
      error->set_message(r.error->message);
      error->set_retryable(r.error->retryable);
    }
  }
}

void ToWire(const StreamSpec& spec, wire::Stream* out) {
  out->set_namespace_(spec.name_space);
  out->set_name(spec.name);
  for (const ColumnSpec& c : spec.columns) {
    wire::StreamColumn* column = out->add_columns();
    column->set_name(c.name);
    column->set_type(std::string(TypeName(c.type)));
    column->set_not_null(c.not_null);
    column->set_quoted(c.quoted);
  }
  out->set_event_time(spec.columns[static_cast<size_t>(spec.event_time)].name);
  if (spec.partition_key >= 0)
    out->set_partition_key(spec.columns[static_cast<size_t>(spec.partition_key)].name);
  out->set_partitions(spec.partitions);
  out->set_format(std::string(operations::FormatName(spec.format)));
}

}  // namespace millrace::rpc
