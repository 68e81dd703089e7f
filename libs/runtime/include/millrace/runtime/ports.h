#pragma once

#include <chrono>

#include "millrace/block/block_codec.h"
#include "millrace/log/log.h"
#include "millrace/metrics/metrics.h"
#include "millrace/objectstore/object_store.h"
#include "millrace/record/record_parser.h"
#include "millrace/resultfile/result_file.h"
#include "millrace/serving/serving_reader.h"
#include "millrace/serving/serving_tables.h"
#include "millrace/serving/serving_writer.h"
#include "millrace/state/state_store.h"

namespace millrace::runtime {

/// What a worker stands on. All outlive it.
struct Ports {
  EventLog* log;
  ObjectStore* objects;
  StateStores* states;
  ServingTables* tables;
  ServingWriter* serving;  ///< writes to `tables`
  ServingReader* served;   ///< what `serving` wrote
  ResultFileWriter* files;
  const BlockCodec* blocks;
  const RecordParsers* records;
  MetricRegistry* metrics;
};

/// Bounds and periods. Tests make them small; none of them can change a result.
struct Options {
  using Duration = std::chrono::microseconds;

  Duration cut_interval = std::chrono::seconds(10);
  int64_t cut_events = 1'000'000;
  size_t read_bytes = 1 << 20;                          ///< of one log read
  Duration read_wait = std::chrono::milliseconds(200);  ///< at the end of the log
  Duration tick_interval = std::chrono::seconds(1);     ///< semantics rule 4
  size_t outbox_bytes = 64 << 20;  ///< owed to sinks, unfinished files apart; reading stops there
  size_t output_bytes = 4 << 20;   ///< of what one record makes due, at a time
  size_t sink_rows = 5'000;        ///< of one serving batch
  size_t opening_shards = 8;       ///< of a process at a time; at least one for each executor
  Duration drain_deadline = std::chrono::seconds(20);  ///< then shards stop without a cut
  Duration fence_check = std::chrono::seconds(10);     ///< without a write
  Duration follow_check = std::chrono::seconds(5);     ///< of a follower: what the owner has done
  Duration views_check = std::chrono::seconds(10);     ///< of a leader: which views are there
  /// How often a leader says that it lives, for those that wait to take its place. 0: there are
  /// none.
  Duration beat_interval{0};
  int64_t snapshot_records = 10'000;  ///< offsets of the control log between two snapshots
  Duration housekeeping_first = std::chrono::minutes(1);   ///< after the start
  Duration housekeeping_interval = std::chrono::hours(1);  ///< housekeeping.h
  Duration retention_first = std::chrono::minutes(1);      ///< after the start
  Duration retention_interval = std::chrono::hours(1);     ///< retention.h
  Duration unnamed_object_age = std::chrono::hours(24);    ///< no younger one is deleted
  Duration raw_retention = std::chrono::hours(30 * 24);    ///< of late and quarantined events
  int64_t raw_rows = 5'000;                                ///< deleted in one transaction
  Duration retry_first = std::chrono::milliseconds(50);
  Duration retry_last = std::chrono::seconds(5);
};

}  // namespace millrace::runtime
