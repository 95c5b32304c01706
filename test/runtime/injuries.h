// SPDX-License-Identifier: Apache-2.0
//
// Damaged and hostile artifacts, each with what the loader must say about it.

#ifndef MSA_TEST_RUNTIME_INJURIES_H
#define MSA_TEST_RUNTIME_INJURIES_H

#include "artifact_writer.h"

#include "msa/status.h"

#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace msa::test {

struct Injury {
  std::string name;
  std::function<std::vector<uint8_t>()> make;
  msa_code code;
  std::string message; // a part of it
};

/// Shown by GoogleTest instead of bytes.
inline void PrintTo(const Injury &injury, std::ostream *out) { *out << injury.name; }

/// Of the bytes around the program: header, truncations, padding, digests, the FlatBuffer as such.
std::vector<Injury> fileInjuries();
/// Of the tables: segments, variants, kernels, constants, entries, ports, slots.
std::vector<Injury> tableInjuries();
/// Of the commands.
std::vector<Injury> commandInjuries();
/// Of the kernel objects.
std::vector<Injury> kernelInjuries();
/// Of the tables of a GPU variant.
std::vector<Injury> gpuInjuries();

std::vector<Injury> allInjuries();

} // namespace msa::test

#endif // MSA_TEST_RUNTIME_INJURIES_H
