#pragma once

#include <string>

#include "millrace/cli/cluster.h"
#include "millrace/client/operations_client.h"

namespace millrace {

/// What the verbs ask, over gRPC.
class ClusterClient : public cli::Cluster {
 public:
  explicit ClusterClient(const std::string& server) : client_(server) {}

  Result<cli::ApplyReport> Apply(const std::string& sql, bool may_drop) override;
  Result<std::vector<cli::StreamDescription>> ListStreams() override;
  Result<cli::StreamDescription> DescribeStream(const cli::QualifiedName& name) override;
  Result<std::vector<cli::ProducerDescription>> ListProducers(
      const cli::QualifiedName& stream, const std::string& id_prefix) override;
  Status AdvanceStream(const cli::QualifiedName& name, Micros to) override;
  Result<std::vector<cli::PipelineDescription>> ListPipelines() override;
  Result<cli::PipelineDescription> DescribePipeline(const cli::QualifiedName& name) override;
  Status DropPipeline(const cli::QualifiedName& name) override;
  Result<std::vector<cli::ShardDescription>> ListShards() override;
  Status ReleaseShard(const std::string& shard) override;
  Result<cli::ShardSkipped> SkipShard(const std::string& shard, int64_t to_offset,
                                      const std::string& reason) override;
  Status RetryShard(const std::string& shard) override;
  Status Query(const ServingQuery& query, bool wait,
               std::function<void(std::vector<std::string>, std::vector<Type>)> on_columns,
               std::function<void(const std::vector<Value>&)> on_row) override;

 private:
  OperationsClient client_;
};

}  // namespace millrace
