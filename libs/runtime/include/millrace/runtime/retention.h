#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "millrace/control/control_reader.h"
#include "millrace/control/retention.h"
#include "millrace/runtime/leadership.h"
#include "millrace/runtime/ports.h"
#include "millrace/runtime/turns.h"
#include "millrace/runtime/worker_link.h"

namespace millrace::runtime {

/// Deletes records of streams that have limits (keep_for, keep_bytes), while this process leads.
///
/// A record goes if the limits let it go and no shard may need it any more, whatever becomes of the
/// shard's owner: it lies below control::RetentionFloor. First a Trim says so in the control log.
/// Then, and only then, records are deleted, as far as the Trim goes. A floor alone is not enough:
/// a view may be defined below it between the look and the deletion. In the control log the two
/// meet: a Trim above a start is refused, and so is a start below a Trim.
///
/// A topic may also be trimmed by others. The leader warns of partitions where the log's start
/// comes close to what a shard may still need.
///
/// Errors: logged; the next round tries again. To delete once more does nothing.
/// Threads: the control executor.
class Retention {
 public:
  struct Wiring {
    Ports ports;
    Options options;
    /// A topic is not removed while its turn is held.
    std::function<Task<Turns::Turn>(std::string topic)> take_topic;
    /// What the workers say of their shards, by instance.
    std::function<Task<std::map<uint64_t, Report>>()> reports;
  };

  /// All but `wiring` outlive it.
  Retention(Wiring wiring, const control::ControlReader* control, Leadership* leadership);

  /// Round after round until Stop().
  Task<> Loop();
  void Stop() { stopped_ = true; }
  /// One round. Gives how many offsets the trims of this round went up by.
  Task<int64_t> RunOnce();

 private:
  /// The lowest place at which a shard of a partition reads, by topic and partition.
  using Places = std::map<std::pair<std::string, PartitionId>, Offset>;

  Task<Places> ReadPlaces();
  Task<Result<int64_t>> TrimStream(StreamSpec stream, control::Keep keep, Places places);
  /// The first offset of the partition that the limits keep.
  Task<Result<Offset>> FirstKept(StreamSpec stream, PartitionId partition, OffsetRange range,
                                 control::Keep keep);
  Task<Status> DeleteTrimmed(StreamSpec stream);
  Task<Status> NoteEndangered(StreamSpec stream);
  bool Leads() const { return !stopped_ && leadership_.leads(); }

  const Wiring wiring_;
  const control::ControlReader& control_;
  Leadership& leadership_;
  Counter* const trimmed_;
  Gauge* const held_;
  Gauge* const endangered_;
  int64_t held_now_ = 0;        ///< in this round
  int64_t endangered_now_ = 0;  ///< likewise, partitions
  bool stopped_ = false;
};

}  // namespace millrace::runtime
