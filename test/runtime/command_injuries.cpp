// SPDX-License-Identifier: Apache-2.0

#include "injuries.h"

namespace msa::test {

namespace {

schema::EntryT &entry(Artifact &artifact, const char *name) {
  for (auto &each : artifact.program.entries)
    if (each->name == name)
      return *each;
  return *artifact.program.entries[0];
}

} // namespace

std::vector<Injury> commandInjuries() {
  std::vector<Injury> list;
  // Changes command |index| of entry |where|.
  auto add = [&](std::string name, const char *where, size_t index, std::function<void(schema::CommandUnion &)> change,
                 std::string message) {
    list.push_back({std::move(name),
                    [=] {
                      Artifact artifact = testArtifact();
                      change(entry(artifact, where).commands.at(index)->command);
                      return artifact.write();
                    },
                    MSA_INVALID_ARTIFACT, std::move(message)});
  };
  auto addEntry = [&](std::string name, const char *where, std::function<void(schema::EntryT &)> change, std::string message) {
    list.push_back({std::move(name),
                    [=] {
                      Artifact artifact = testArtifact();
                      change(entry(artifact, where));
                      return artifact.write();
                    },
                    MSA_INVALID_ARTIFACT, std::move(message)});
  };
  auto swap = [](size_t i, size_t j) { return [=](schema::EntryT &e) { std::swap(e.commands.at(i), e.commands.at(j)); }; };

  // Registers. Entry add: 0 const, 1 mul, 2 const, 3 ceil_div, 4 alloc, 5 dispatch.
  add("const_register", "add", 0, [](auto &c) { c.AsConst()->register_ = 5; }, "command 0 (const): register 5 is outside");
  add("binary_kind", "add", 1, [](auto &c) { c.AsBinary()->kind = schema::BinaryKind(14); }, "command 1 (binary): operation 14");
  add("binary_operand", "add", 1, [](auto &c) { c.AsBinary()->rhs = UINT32_MAX; }, "register 4294967295 is outside");
  add("binary_result", "add", 1, [](auto &c) { c.AsBinary()->register_ = 99; }, "register 99 is outside");
  add("binary_undefined", "add", 1, [](auto &c) { c.AsBinary()->lhs = 4; }, "register 4 is read before anything defines it");
  addEntry("order_of_registers", "add", swap(0, 1), "command 0 (binary): register 1 is read before anything defines it");
  add("select_operand", "add", 1, [](auto &c) {
    schema::SelectT select;
    select.condition = 0;
    select.if_true = 0;
    select.if_false = 3;
    select.register_ = 2;
    c.Set(std::move(select));
  }, "command 1 (select): register 3 is read before");
  add("assert_condition", "keep_positive", 11, [](auto &c) { c.AsAssert()->condition = 1; }, "register 1 is read before");
  add("assert_values", "keep_positive", 11, [](auto &c) { c.AsAssert()->values[0] = 1000; }, "register 1000 is outside");
  add("assert_message", "keep_positive", 11, [](auto &c) { c.AsAssert()->message = "\033]0;"; }, "its message is not UTF-8");
  addEntry("output_dim_undefined", "append", [](schema::EntryT &e) { e.commands.pop_back(); },
           "dim 0 of output 'next' is register 2, which nothing defines");

  // Slots.
  add("alloc_slot", "add", 4, [](auto &c) { c.AsAlloc()->slot = 3; }, "command 4 (alloc): slot 3 is outside the entry's 3");
  add("alloc_size", "add", 4, [](auto &c) { c.AsAlloc()->size = 77; }, "register 77 is outside");
  add("alloc_input", "add", 4, [](auto &c) { c.AsAlloc()->slot = 0; }, "slot 0 is an input; only arena and output slots");
  add("alloc_constant", "add_constant", 2, [](auto &c) { c.AsAlloc()->slot = 2; }, "slot 2 is a constant; only arena");
  addEntry("alloc_twice", "chain", [](schema::EntryT &e) { e.commands.at(6)->command.AsAlloc()->slot = 2; },
           "slot 2 is allocated already");
  addEntry("output_never_allocated", "add", [](schema::EntryT &e) { e.commands.resize(4); }, "no command allocates output 'c'");
  add("free_output", "chain", 11, [](auto &c) { c.AsFree()->slot = 1; }, "slot 1 is not an arena slot; only those are freed");
  add("free_twice", "chain", 11, [](auto &c) { c.AsFree()->slot = 2; }, "slot 2 is used before its alloc or after its free");
  add("free_slot", "chain", 11, [](auto &c) { c.AsFree()->slot = 1u << 31; }, "slot 2147483648 is outside");
  addEntry("use_before_alloc", "add", swap(4, 5), "slot 2 is used before its alloc");
  addEntry("use_after_free", "chain", swap(7, 8), "slot 2 is used before its alloc or after its free");
  add("copy_into_input", "append", 6, [](auto &c) { c.AsCopy()->target = 1; }, "slot 1 is written but is an input");
  add("copy_slot", "append", 6, [](auto &c) { c.AsCopy()->source = 55; }, "slot 55 is outside");
  add("copy_register", "append", 6, [](auto &c) { c.AsCopy()->size = 55; }, "register 55 is outside");
  add("load_slot", "spin", 0, [](auto &c) { c.AsLoad()->slot = 3; }, "slot 3 is outside");
  add("load_before_alloc", "spin", 0, [](auto &c) { c.AsLoad()->slot = 2; }, "slot 2 is used before its alloc");
  add("load_unaligned", "spin", 0, [](auto &c) { c.AsLoad()->offset = 4; }, "byte offset 4 is not a multiple of 8");
  add("load_far", "spin", 0, [](auto &c) { c.AsLoad()->offset = UINT64_MAX - 7; }, "is past any slot");
  add("store_into_input", "spin", 4, [](auto &c) { c.AsStore()->slot = 0; }, "slot 0 is written but is an input");
  add("store_into_constant", "add_constant", 3, [](auto &c) {
    schema::StoreT store;
    store.slot = 2;
    store.register_ = 0;
    c.Set(std::move(store));
  }, "slot 2 is written but is a constant");

  // Dispatches.
  add("dispatch_kernel", "add", 5, [](auto &c) { c.AsDispatch()->kernel = 7; }, "kernel 7 is outside the program's 7");
  add("dispatch_tiles", "add", 5, [](auto &c) { c.AsDispatch()->tiles = 9; }, "register 9 is outside");
  add("dispatch_buffers", "add", 5, [](auto &c) { c.AsDispatch()->buffers.pop_back(); },
      "kernel 'test_add' takes 3 buffers, the command gives 2");
  add("dispatch_scalars", "add", 5, [](auto &c) { c.AsDispatch()->scalars.push_back(0); },
      "kernel 'test_add' takes 1 scalars, the command gives 2");
  add("dispatch_slot", "add", 5, [](auto &c) { c.AsDispatch()->buffers[0] = 3; }, "slot 3 is outside");
  add("dispatch_writes_input", "add", 5, [](auto &c) { c.AsDispatch()->buffers[2] = 0; }, "slot 0 is written but is an input");
  add("dispatch_writes_constant", "add_constant", 4, [](auto &c) { c.AsDispatch()->buffers[2] = 2; },
      "slot 2 is written but is a constant");
  add("dispatch_spans", "sum_rows", 3, [](auto &c) { c.AsDispatch()->buffers[0] = 1; },
      "parameter 0 of kernel 'test_sum_rows' takes spans, but slot 1 is no input");
  add("dispatch_scalar", "add", 5, [](auto &c) { c.AsDispatch()->scalars[0] = 400; }, "register 400 is outside");
  add("dispatch_location", "add", 5, [](auto &c) { c.AsDispatch()->location = "\x01"; }, "its location is not UTF-8");
  return list;
}

} // namespace msa::test
