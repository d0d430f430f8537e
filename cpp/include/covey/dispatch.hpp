#pragma once
// Which implementation of the kernels runs. Implementations are named, ordered by preference and tested by single CPU
// features; COVEY_ISA or an argument overrides the choice.

#include <string>
#include <vector>

namespace covey {

struct Kernels;

// Kernels by name. An empty name asks for the default: COVEY_ISA where set, else the best one of this machine.
// Throws std::invalid_argument listing the names that this machine can run.
const Kernels& select_kernels(const std::string& name);

// Names that this machine can run, best first.
std::vector<std::string> available_isas();

}  // namespace covey
