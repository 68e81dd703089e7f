#include "dev.h"

#include <iostream>

namespace millrace {

int RunDev(const DevOptions&) {
  std::cerr << "millrace: error: this build has no server in it" << std::endl;
  return 1;
}

}  // namespace millrace
