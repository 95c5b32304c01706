// SPDX-License-Identifier: Apache-2.0
//
// One object per -DBAD_..., each with one thing that a kernel object may not have.

#include "runtime/kernel_abi.h"

#if defined(BAD_UNDEFINED)
extern void from_elsewhere(void);
#elif defined(BAD_INITIALISER)
static volatile int initialised;
__attribute__((constructor)) static void initialise(void) { initialised = 1; }
#elif defined(BAD_TLS)
_Thread_local int64_t per_thread;
#elif defined(BAD_IFUNC)
static void chosen(void) {}
static void *choose(void) { return (void *)chosen; }
void indirect(void) __attribute__((ifunc("choose")));
#endif

void test_add(void *const *buffers, const int64_t *scalars, void *scratch, int64_t lo, int64_t hi) {
#if defined(BAD_UNDEFINED)
  from_elsewhere();
#elif defined(BAD_TLS)
  per_thread = lo;
#elif defined(BAD_IFUNC)
  indirect();
#endif
}
