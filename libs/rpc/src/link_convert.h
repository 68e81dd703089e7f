#pragma once

#include "millrace/runtime/worker_link.h"

namespace millrace::worker::v1 {
class Answer;
class Failure;
class Hello;
class Producers;
class Report;
}  // namespace millrace::worker::v1

// What workers and coordinators tell each other, to and from proto/millrace/worker/v1/link.proto.

namespace millrace::rpc {

/// The texts of shards in a report take at most so many bytes together, so that a message of
/// kMostShardsReported shards stays below what gRPC takes.
inline constexpr size_t kMostReportText = 4 << 20;
/// Producers in an answer.
inline constexpr size_t kMostProducersTold = 100'000;

void ToWire(const runtime::Hello& hello, worker::v1::Hello* out);
runtime::Hello FromWire(const worker::v1::Hello& hello);

/// Texts that have no room are left out.
void ToWire(const runtime::Report& report, worker::v1::Report* out);
/// kInvalidArgument: a shard's name is none.
Result<runtime::Report> FromWire(const worker::v1::Report& report);

void ToWire(const runtime::Answer& answer, worker::v1::Answer* out);
Result<runtime::Answer> FromWire(const worker::v1::Answer& answer);

/// Those that are too many are left out.
void ToWire(const std::vector<operations::ProducerInfo>& producers, worker::v1::Producers* out);
std::vector<operations::ProducerInfo> FromWire(const worker::v1::Producers& producers);

void ToWire(const Error& error, worker::v1::Failure* out);
Error FromWire(const worker::v1::Failure& failure);

/// kInvalidArgument: it is not NAMESPACE/PIPELINE@N/pPARTITION.
Result<ShardId> ShardFromWire(const std::string& text);

}  // namespace millrace::rpc
