// SPDX-License-Identifier: Apache-2.0
//
// The smallest app in C: runs entry "add" of the artifact that it is given. See docs/embed.md.

#include <msa/msa.h>

#include <stdio.h>

/// Prints and releases a failure. Returns whether there was none.
static bool check(msa_status *status) {
  if (!status)
    return true;
  fprintf(stderr, "error: %s\n", msa_status_message(status));
  msa_status_release(status);
  return false;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s MODEL.msa\n", argv[0]);
    return 2;
  }
  msa_runtime *runtime = NULL;
  msa_program *program = NULL;
  msa_context *context = NULL;
  msa_invocation *invocation = NULL;
  uint32_t entry = 0;
  float a[3] = {1, 2, 3}, b[3] = {10, 20, 30};
  msa_tensor a_tensor = {a, MSA_F32, 1, {3}}, b_tensor = {b, MSA_F32, 1, {3}}, c;

  bool ok = check(msa_runtime_create(NULL, &runtime)) && check(msa_program_load_file(runtime, argv[1], NULL, &program));
  if (ok && !msa_program_find_entry(program, "add", &entry)) {
    fprintf(stderr, "error: '%s' has no entry 'add'\n", argv[1]);
    ok = false;
  }
  ok = ok && check(msa_context_create(program, &context)) && check(msa_invocation_create(context, entry, &invocation)) &&
       check(msa_invocation_bind_input(invocation, 0, &a_tensor)) && check(msa_invocation_bind_input(invocation, 1, &b_tensor)) &&
       check(msa_invocation_run(invocation, NULL)) && check(msa_invocation_output(invocation, 0, &c));
  if (ok)
    for (int64_t i = 0; i < c.shape[0]; ++i)
      printf("%g\n", ((const float *)c.data)[i]);

  msa_invocation_release(invocation);
  msa_context_release(context);
  msa_program_release(program);
  msa_runtime_release(runtime);
  return ok ? 0 : 1;
}
