// SPDX-License-Identifier: Apache-2.0
//
// The smallest app in C++: runs entry "add" of the artifact that it is given. See docs/embed.md.

#include <msa/msa.hpp>

#include <cstdio>
#include <vector>

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s MODEL.msa\n", argv[0]);
    return 2;
  }
  msa::Runtime runtime;
  msa::Program program;
  msa::Context context;
  msa::Invocation invocation;
  std::vector<float> a = {1, 2, 3}, b = {10, 20, 30};
  msa_tensor c;

  msa::Status status = msa::Runtime::create({}, runtime);
  if (status.ok())
    status = msa::Program::load(runtime, argv[1], {}, program);
  if (status.ok())
    status = msa::Context::create(program, context);
  if (status.ok())
    status = msa::Invocation::create(context, "add", invocation);
  if (status.ok())
    status = invocation.bindInput("a", msa::tensor(a.data(), MSA_F32, {3}));
  if (status.ok())
    status = invocation.bindInput("b", msa::tensor(b.data(), MSA_F32, {3}));
  if (status.ok())
    status = invocation.run();
  if (status.ok())
    status = invocation.output("c", c);
  if (!status.ok()) {
    std::fprintf(stderr, "error: %s\n", status.message());
    return 1;
  }
  for (int64_t i = 0; i < c.shape[0]; ++i)
    std::printf("%g\n", static_cast<const float *>(c.data)[i]);
  return 0;
}
