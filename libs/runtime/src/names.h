#pragma once

#include <string>
#include <vector>

#include "millrace/base/nearest.h"
#include "millrace/control/fold.h"

namespace millrace::runtime {

/// "name" in the default namespace, else "namespace.name".
inline std::string Qualified(const std::string& name_space, const std::string& name) {
  return name_space == "default" ? name : name_space + "." + name;
}

inline Error NoSuchStream(const control::Fold& fold, const std::string& name_space,
                          const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [there, spec] : fold.streams())
    names.push_back(Qualified(there.first, there.second));
  return NoSuch("stream", Qualified(name_space, name), names);
}

inline Error NoSuchPipeline(const control::Fold& fold, const std::string& name_space,
                            const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [incarnation, pipeline] : fold.pipelines())
    names.push_back(Qualified(incarnation.name_space, incarnation.name));
  return NoSuch("pipeline", Qualified(name_space, name), names);
}

}  // namespace millrace::runtime
