// SPDX-License-Identifier: Apache-2.0

#include "injuries.h"

#include <cstring>
#include <elf.h>

namespace msa::test {

namespace {

std::vector<uint8_t> withKernels(std::vector<uint8_t> object) {
  Artifact artifact = testArtifact();
  artifact.blobs[0].bytes = std::move(object);
  return artifact.write();
}

std::vector<uint8_t> withChange(const std::function<void(std::vector<uint8_t> &)> &change) {
  std::vector<uint8_t> object = readFile(testKernelsPath());
  change(object);
  return withKernels(std::move(object));
}

Elf64_Ehdr &header(std::vector<uint8_t> &object) { return *reinterpret_cast<Elf64_Ehdr *>(object.data()); }

Elf64_Phdr &segment(std::vector<uint8_t> &object, uint32_t type, unsigned number = 0) {
  auto *headers = reinterpret_cast<Elf64_Phdr *>(object.data() + header(object).e_phoff);
  for (unsigned i = 0; i < header(object).e_phnum; ++i)
    if (headers[i].p_type == type && number-- == 0)
      return headers[i];
  return headers[0];
}

/// The dynamic entry with |tag|; a test that changes one that is not there would change the last.
Elf64_Dyn &dynamic(std::vector<uint8_t> &object, int64_t tag) {
  auto *entry = reinterpret_cast<Elf64_Dyn *>(object.data() + segment(object, PT_DYNAMIC).p_offset);
  while (entry->d_tag != tag && entry->d_tag != DT_NULL)
    ++entry;
  return *entry;
}

} // namespace

std::vector<Injury> kernelInjuries() {
  std::vector<Injury> list;
  auto addObject = [&](std::string name, const char *path, std::string message) {
    std::string file = path;
    list.push_back({std::move(name), [file] { return withKernels(readFile(file)); }, MSA_INVALID_ARTIFACT, std::move(message)});
  };
  auto add = [&](std::string name, std::function<void(std::vector<uint8_t> &)> change, std::string message,
                 msa_code code = MSA_INVALID_ARTIFACT) {
    list.push_back({std::move(name), [change] { return withChange(change); }, code, std::move(message)});
  };
  using Object = std::vector<uint8_t>;

  addObject("elf_undefined", MSA_TEST_DIR "/bad_undefined.so", "symbol 'from_elsewhere' is undefined");
  addObject("elf_initialiser", MSA_TEST_DIR "/bad_initialiser.so", "it has initialisers");
  addObject("elf_tls", MSA_TEST_DIR "/bad_tls.so", "thread-local storage");
  addObject("elf_ifunc", MSA_TEST_DIR "/bad_ifunc.so", "is an indirect function");
  addObject("elf_needed", MSA_TEST_DIR "/bad_needed.so", "it needs another library");

  add("elf_empty", [](Object &o) { o.clear(); }, "does not start with an ELF header");
  add("elf_text", [](Object &o) { o.assign(1000, 'a'); }, "does not start with an ELF header");
  add("elf_header_cut", [](Object &o) { o.resize(40); }, "does not start with an ELF header");
  add("elf_cut", [](Object &o) { o.resize(o.size() / 3); }, "outside the file");
  add("elf_class", [](Object &o) { o[EI_CLASS] = ELFCLASS32; }, "not a 64-bit little-endian shared object");
  add("elf_executable", [](Object &o) { header(o).e_type = ET_EXEC; }, "not a 64-bit little-endian shared object");
  add("elf_machine", [](Object &o) { header(o).e_machine = EM_RISCV; }, "it is for ELF machine 243", MSA_UNSUPPORTED);
  add("elf_no_segments", [](Object &o) { header(o).e_phnum = 0; }, "its program headers lie outside");
  add("elf_many_segments", [](Object &o) { header(o).e_phnum = 65535; }, "its program headers lie outside");
  add("elf_segments_far", [](Object &o) { header(o).e_phoff = UINT64_MAX - 8; }, "its program headers lie outside");
  add("elf_segment_far", [](Object &o) { segment(o, PT_LOAD).p_offset = uint64_t(1) << 40; }, "a segment lies outside the file");
  add("elf_segment_size", [](Object &o) { segment(o, PT_LOAD).p_filesz = UINT64_MAX; }, "a segment lies outside the file");
  add("elf_segment_memory", [](Object &o) { segment(o, PT_LOAD, 1).p_memsz = uint64_t(1) << 50; }, "a segment lies past 2 GiB");
  add("elf_segment_address", [](Object &o) { segment(o, PT_LOAD, 1).p_vaddr = UINT64_MAX; }, "a segment lies past 2 GiB");
  add("elf_segments_overlap", [](Object &o) { segment(o, PT_LOAD, 1).p_vaddr = 0; }, "its segments overlap");
  add("elf_writable_code", [](Object &o) { segment(o, PT_LOAD, 1).p_flags = PF_R | PF_W | PF_X; }, "writable and executable");
  add("elf_alignment", [](Object &o) { segment(o, PT_LOAD).p_align = 3; }, "an alignment that is no power of two");
  add("elf_alignment_huge", [](Object &o) { segment(o, PT_LOAD).p_align = uint64_t(1) << 62; }, "an alignment that is no power of two");
  add("elf_no_dynamic", [](Object &o) { segment(o, PT_DYNAMIC).p_type = PT_NULL; }, "no dynamic section");
  add("elf_dynamic_far", [](Object &o) { segment(o, PT_DYNAMIC).p_offset = UINT64_MAX; }, "no dynamic section");
  add("elf_dynamic_endless", [](Object &o) { segment(o, PT_DYNAMIC).p_filesz = 16; }, "its dynamic section has no end");
  add("elf_interpreter", [](Object &o) { segment(o, PT_DYNAMIC).p_type = PT_INTERP; }, "asks for an interpreter");
  add("elf_symbols_far", [](Object &o) { dynamic(o, DT_SYMTAB).d_un.d_val = uint64_t(1) << 33; }, "symbol or string table lies outside");
  add("elf_strings_far", [](Object &o) { dynamic(o, DT_STRTAB).d_un.d_val = UINT64_MAX; }, "symbol or string table lies outside");
  add("elf_strings_size", [](Object &o) { dynamic(o, DT_STRSZ).d_un.d_val = UINT64_MAX; }, "symbol or string table lies outside");
  add("elf_strings_endless", [](Object &o) { dynamic(o, DT_STRSZ).d_un.d_val -= 1; }, "");
  add("elf_symbol_size", [](Object &o) { dynamic(o, DT_SYMENT).d_un.d_val = 1; }, "its symbols have an unknown size");
  add("elf_hash_far", [](Object &o) { dynamic(o, DT_GNU_HASH).d_un.d_val = UINT64_MAX - 3; }, "the symbol hash table lies outside");
  add("elf_no_hash", [](Object &o) { dynamic(o, DT_GNU_HASH).d_tag = 0x6ffffef0; }, "lacks the symbol, string or hash table");
  add("elf_relocations_far", [](Object &o) { dynamic(o, DT_RELA).d_un.d_val = uint64_t(1) << 30; }, "its relocations lie outside");
  add("elf_relocations_size", [](Object &o) { dynamic(o, DT_RELASZ).d_un.d_val = UINT64_MAX - 15; }, "its relocations lie outside");
  add("elf_relocation_type", [](Object &o) {
    auto *relocation = reinterpret_cast<Elf64_Rela *>(o.data() + dynamic(o, DT_RELA).d_un.d_val);
    relocation->r_info = ELF64_R_INFO(0, 37);
  }, "relocation type 37");
  add("elf_relocation_target", [](Object &o) {
    auto *relocation = reinterpret_cast<Elf64_Rela *>(o.data() + dynamic(o, DT_RELA).d_un.d_val);
    relocation->r_offset = 16;
  }, "a relocation lies outside its writable data");
  add("elf_relocation_far", [](Object &o) {
    auto *relocation = reinterpret_cast<Elf64_Rela *>(o.data() + dynamic(o, DT_RELA).d_un.d_val);
    relocation->r_offset = UINT64_MAX - 3;
  }, "a relocation lies outside its writable data");
  return list;
}

} // namespace msa::test
