#include "link_convert.h"

#include <algorithm>
#include <initializer_list>

#include "millrace/base/facts.h"
#include "millrace/worker/v1/link.pb.h"

namespace millrace::rpc {
namespace {

namespace wire = worker::v1;

/// `left`: bytes of text that the report has room for.
void ToWire(const runtime::ShardReport& shard, size_t* left, wire::ShardReport* out) {
  const operations::ShardInfo& info = shard.info;
  out->set_shard(info.shard.ToString());
  out->set_epoch(info.epoch.value);
  out->set_worker(info.worker);
  out->set_state(info.state);
  if (info.message.size() <= *left) {
    out->set_message(info.message);
    *left -= info.message.size();
  }
  out->set_next_offset(info.next_offset.value);
  out->set_end_offset(info.end_offset.value);
  out->set_last_cut(info.last_cut.value);
  if (info.watermark != kMinusInfinity) out->set_watermark_us(info.watermark);
  if (info.read_watermark != kMinusInfinity) out->set_read_watermark_us(info.read_watermark);
  out->set_late(info.late);
  out->set_quarantined(info.quarantined);
  out->set_open_windows(info.open_windows);
  out->set_rows_made(shard.rows_made);
  out->set_rows_applied(shard.rows_applied);
  out->set_busy_us(shard.busy.count());
  out->set_bytes(shard.bytes);
  out->set_state_bytes(shard.state_bytes);
  out->set_level(shard.level);
  out->set_cannot(shard.cannot);
}

Result<runtime::ShardReport> FromWire(const wire::ShardReport& shard) {
  runtime::ShardReport out;
  operations::ShardInfo& info = out.info;
  MILLRACE_ASSIGN(info.shard, ShardFromWire(shard.shard()));
  info.epoch = Epoch(shard.epoch());
  info.worker = shard.worker();
  info.state = shard.state();
  info.message = shard.message();
  info.next_offset = Offset(shard.next_offset());
  info.end_offset = Offset(shard.end_offset());
  info.last_cut = CutNumber(shard.last_cut());
  if (shard.has_watermark_us()) info.watermark = shard.watermark_us();
  if (shard.has_read_watermark_us()) info.read_watermark = shard.read_watermark_us();
  info.late = shard.late();
  info.quarantined = shard.quarantined();
  info.open_windows = shard.open_windows();
  out.rows_made = shard.rows_made();
  out.rows_applied = shard.rows_applied();
  out.busy = Executor::Duration(shard.busy_us());
  out.bytes = shard.bytes();
  out.state_bytes = shard.state_bytes();
  out.level = shard.level();
  out.cannot = shard.cannot();
  return out;
}

}  // namespace

Result<ShardId> ShardFromWire(const std::string& text) {
  ShardId shard;
  if (!ShardId::Parse(text, &shard))
    return InvalidArgument("a shard is named NAMESPACE/PIPELINE@N/pPARTITION", {{"shard", text}});
  return shard;
}

void ToWire(const runtime::Hello& hello, wire::Hello* out) {
  out->set_cluster(hello.cluster);
  out->set_name(hello.process.name);
  out->set_instance(hello.process.instance);
  out->set_predecessor(hello.predecessor);
  out->set_semantics_versions(hello.versions);
  out->set_executors(hello.executors);
  out->set_memory_bytes(hello.memory);
  out->set_standby(hello.standby);
}

runtime::Hello FromWire(const wire::Hello& hello) {
  runtime::Hello out;
  out.cluster = hello.cluster();
  out.process = {hello.name(), hello.instance()};
  out.predecessor = hello.predecessor();
  out.versions = hello.semantics_versions();
  out.executors = hello.executors();
  out.memory = hello.memory_bytes();
  out.standby = hello.standby();
  return out;
}

void ToWire(const runtime::Report& report, wire::Report* out) {
  size_t left = kMostReportText;
  out->set_draining(report.draining);
  out->set_cannot(report.cannot);
  out->set_leader(report.leader);
  for (const runtime::ShardReport& shard : report.shards) ToWire(shard, &left, out->add_shards());
}

Result<runtime::Report> FromWire(const wire::Report& report) {
  runtime::Report out;
  out.draining = report.draining();
  out.cannot = report.cannot();
  out.leader = report.leader();
  for (const wire::ShardReport& shard : report.shards()) {
    MILLRACE_ASSIGN(runtime::ShardReport one, FromWire(shard));
    out.shards.push_back(std::move(one));
  }
  return out;
}

void ToWire(const runtime::Answer& answer, wire::Answer* out) {
  out->set_leader(answer.leader);
  for (const ShardId& shard : answer.follow) out->add_follow(shard.ToString());
}

Result<runtime::Answer> FromWire(const wire::Answer& answer) {
  runtime::Answer out;
  out.leader = answer.leader();
  for (const std::string& text : answer.follow()) {
    MILLRACE_ASSIGN(ShardId shard, ShardFromWire(text));
    out.follow.push_back(std::move(shard));
  }
  return out;
}

void ToWire(const std::vector<operations::ProducerInfo>& producers, wire::Producers* out) {
  const size_t told = std::min(producers.size(), kMostProducersTold);
  for (size_t i = 0; i < told; ++i) {
    wire::Producer* producer = out->add_producers();
    producer->set_id(producers[i].id);
    producer->set_end_sequence(producers[i].end);
  }
}

std::vector<operations::ProducerInfo> FromWire(const wire::Producers& producers) {
  std::vector<operations::ProducerInfo> out;
  for (const wire::Producer& producer : producers.producers())
    out.push_back({producer.id(), producer.end_sequence()});
  return out;
}

void ToWire(const Error& error, wire::Failure* out) {
  out->set_code(std::string(CodeName(error.code)));
  out->set_message(error.message);
}

Error FromWire(const wire::Failure& failure) {
  for (const Code code :
       {Code::kInvalidArgument, Code::kNotFound, Code::kConflict, Code::kFenced, Code::kUnavailable,
        Code::kResourceExhausted, Code::kCorruption, Code::kInternal})
    if (CodeName(code) == failure.code()) return {code, failure.message()};
  return Internal("the worker answers with an error that this version does not know",
                  {{"code", failure.code()}, {"error", failure.message()}});
}

}  // namespace millrace::rpc
