// SPDX-License-Identifier: Apache-2.0

#include "runtime/elf_image.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

// Older C libraries lack these.
#ifndef DT_RELRSZ
#define DT_RELRSZ 35
#define DT_RELR 36
#define DT_RELRENT 37
#endif

namespace msa::rt {

namespace {

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
constexpr uint32_t kRelative = R_X86_64_RELATIVE, kAbsolute = R_X86_64_64, kGlobalData = R_X86_64_GLOB_DAT,
                   kJumpSlot = R_X86_64_JUMP_SLOT;
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
constexpr uint32_t kRelative = R_AARCH64_RELATIVE, kAbsolute = R_AARCH64_ABS64, kGlobalData = R_AARCH64_GLOB_DAT,
                   kJumpSlot = R_AARCH64_JUMP_SLOT;
#else
#error "the kernel loader knows x86-64 and AArch64"
#endif

constexpr uint64_t kMaxSpan = uint64_t(1) << 31; // kernels reach each other by 32-bit displacements
constexpr uint32_t kMaxSegments = 64;

struct Reader {
  const uint8_t *bytes;
  uint64_t size;
  const char *what;

  bool holds(uint64_t offset, uint64_t length) const { return offset <= size && length <= size - offset; }
  template <typename T> T at(uint64_t offset) const {
    T value;
    std::memcpy(&value, bytes + offset, sizeof(T));
    return value;
  }
};

struct LoadSegments {
  Elf64_Phdr headers[kMaxSegments];
  uint32_t count = 0;

  /// File offset of |length| bytes at |address|, all of them inside the file part of one segment; UINT64_MAX if they are not.
  uint64_t fileOffset(uint64_t address, uint64_t length) const {
    for (uint32_t i = 0; i < count; ++i) {
      const Elf64_Phdr &header = headers[i];
      if (address >= header.p_vaddr && address - header.p_vaddr <= header.p_filesz &&
          length <= header.p_filesz - (address - header.p_vaddr))
        return header.p_offset + (address - header.p_vaddr);
    }
    return UINT64_MAX;
  }
  bool inMemory(uint64_t address, uint64_t length, uint32_t flags) const {
    for (uint32_t i = 0; i < count; ++i) {
      const Elf64_Phdr &header = headers[i];
      if ((header.p_flags & flags) == flags && address >= header.p_vaddr && address - header.p_vaddr <= header.p_memsz &&
          length <= header.p_memsz - (address - header.p_vaddr))
        return true;
    }
    return false;
  }
};

Status damaged(const char *what, const char *detail) {
  return failure(MSA_INVALID_ARTIFACT, "kernel object %s: %s", what, detail);
}

/// Number of symbols, from the GNU hash table at |address|: the chain of the last bucket ends with the last symbol.
Status countByGnuHash(const Reader &file, const LoadSegments &segments, uint64_t address, uint64_t *count) {
  uint64_t offset = segments.fileOffset(address, 16);
  if (offset == UINT64_MAX)
    return damaged(file.what, "the symbol hash table lies outside the file");
  uint32_t buckets = file.at<uint32_t>(offset), firstHashed = file.at<uint32_t>(offset + 4),
           bloomWords = file.at<uint32_t>(offset + 8);
  uint64_t bucketsAt = offset + 16 + uint64_t(bloomWords) * 8;
  if (!file.holds(bucketsAt, uint64_t(buckets) * 4))
    return damaged(file.what, "the symbol hash table lies outside the file");
  uint32_t last = 0;
  for (uint32_t i = 0; i < buckets; ++i) {
    uint32_t symbol = file.at<uint32_t>(bucketsAt + uint64_t(i) * 4);
    if (symbol > last)
      last = symbol;
  }
  if (last < firstHashed) {
    *count = firstHashed;
    return {};
  }
  uint64_t chainsAt = bucketsAt + uint64_t(buckets) * 4;
  for (uint64_t symbol = last;; ++symbol) {
    uint64_t entry = chainsAt + (symbol - firstHashed) * 4;
    if (!file.holds(entry, 4))
      return damaged(file.what, "a chain of the symbol hash table has no end");
    if (file.at<uint32_t>(entry) & 1) {
      *count = symbol + 1;
      return {};
    }
  }
}

struct Dynamic {
  uint64_t symbols = 0, strings = 0, stringsSize = 0, hash = 0, gnuHash = 0;
  uint64_t relocations = 0, relocationsSize = 0;
  uint64_t pltRelocations = 0, pltRelocationsSize = 0;
  uint64_t relativeWords = 0, relativeWordsSize = 0;
};

Status readDynamic(const Reader &file, uint64_t offset, uint64_t size, Dynamic *dynamic) {
  bool ended = false;
  for (uint64_t at = offset; !ended && at + sizeof(Elf64_Dyn) <= offset + size; at += sizeof(Elf64_Dyn)) {
    Elf64_Dyn entry = file.at<Elf64_Dyn>(at);
    uint64_t value = entry.d_un.d_val;
    switch (entry.d_tag) {
    case DT_NULL:
      ended = true;
      break;
    case DT_NEEDED:
      return damaged(file.what, "it needs another library; kernels may depend on nothing");
    case DT_INIT:
    case DT_FINI:
      return damaged(file.what, "it has an initialiser; kernels may not run code when loaded");
    case DT_INIT_ARRAYSZ:
    case DT_FINI_ARRAYSZ:
    case DT_PREINIT_ARRAYSZ:
      if (value)
        return damaged(file.what, "it has initialisers; kernels may not run code when loaded");
      break;
    case DT_TEXTREL:
      return damaged(file.what, "it has relocations in its code");
    case DT_REL:
    case DT_RELSZ:
      return damaged(file.what, "it has relocations without addends, which this machine does not use");
    case DT_FLAGS:
      if (value & (DF_TEXTREL | DF_STATIC_TLS))
        return damaged(file.what, "it has relocations in its code or thread-local storage");
      break;
    case DT_RPATH:
    case DT_RUNPATH:
    case DT_AUXILIARY:
    case DT_FILTER:
      return damaged(file.what, "it names other libraries; kernels may depend on nothing");
    case DT_SYMTAB:
      dynamic->symbols = value;
      break;
    case DT_SYMENT:
      if (value != sizeof(Elf64_Sym))
        return damaged(file.what, "its symbols have an unknown size");
      break;
    case DT_STRTAB:
      dynamic->strings = value;
      break;
    case DT_STRSZ:
      dynamic->stringsSize = value;
      break;
    case DT_HASH:
      dynamic->hash = value;
      break;
    case DT_GNU_HASH:
      dynamic->gnuHash = value;
      break;
    case DT_RELA:
      dynamic->relocations = value;
      break;
    case DT_RELASZ:
      dynamic->relocationsSize = value;
      break;
    case DT_RELAENT:
      if (value != sizeof(Elf64_Rela))
        return damaged(file.what, "its relocations have an unknown size");
      break;
    case DT_PLTREL:
      if (value != DT_RELA)
        return damaged(file.what, "it has relocations without addends, which this machine does not use");
      break;
    case DT_JMPREL:
      dynamic->pltRelocations = value;
      break;
    case DT_PLTRELSZ:
      dynamic->pltRelocationsSize = value;
      break;
    case DT_RELR:
      dynamic->relativeWords = value;
      break;
    case DT_RELRSZ:
      dynamic->relativeWordsSize = value;
      break;
    default:
      break;
    }
  }
  if (!ended)
    return damaged(file.what, "its dynamic section has no end");
  if (!dynamic->symbols || !dynamic->strings || !(dynamic->hash || dynamic->gnuHash))
    return damaged(file.what, "its dynamic section lacks the symbol, string or hash table");
  return {};
}

void storeWord(uint8_t *target, uint64_t value) { std::memcpy(target, &value, sizeof(value)); }

} // namespace

ElfImage::~ElfImage() {
  forgetSymbols();
  if (reserved)
    munmap(reserved, reservedSize);
}

Status ElfImage::load(const uint8_t *data, size_t size, const char *what, const Allocator &memoryFrom) {
  Reader file{data, size, what};
  if (size < sizeof(Elf64_Ehdr) || std::memcmp(data, ELFMAG, SELFMAG) != 0)
    return damaged(what, "it does not start with an ELF header");
  Elf64_Ehdr header = file.at<Elf64_Ehdr>(0);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_DYN)
    return damaged(what, "it is not a 64-bit little-endian shared object");
  if (header.e_machine != kMachine)
    return failure(MSA_UNSUPPORTED, "kernel object %s: it is for ELF machine %u, this one is %u", what, header.e_machine,
                   kMachine);
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 || header.e_phnum > kMaxSegments ||
      !file.holds(header.e_phoff, uint64_t(header.e_phnum) * sizeof(Elf64_Phdr)))
    return damaged(what, "its program headers lie outside the file or have an unknown size");

  uint64_t pageSize = uint64_t(sysconf(_SC_PAGESIZE));
  uint64_t alignment = pageSize, end = 0;
  LoadSegments segments;
  const uint64_t none = UINT64_MAX;
  uint64_t dynamicOffset = none, dynamicSize = 0;
  for (uint32_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment = file.at<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr));
    if (segment.p_type == PT_INTERP)
      return damaged(what, "it asks for an interpreter; expected a plain shared object");
    if (segment.p_type == PT_TLS)
      return damaged(what, "it has thread-local storage; kernels may keep no state");
    if (segment.p_type == PT_DYNAMIC) {
      dynamicOffset = segment.p_offset;
      dynamicSize = segment.p_filesz;
    }
    if (segment.p_type != PT_LOAD || segment.p_memsz == 0)
      continue;
    if (segment.p_filesz > segment.p_memsz || !file.holds(segment.p_offset, segment.p_filesz))
      return damaged(what, "a segment lies outside the file");
    if (segment.p_vaddr > kMaxSpan || segment.p_memsz > kMaxSpan - segment.p_vaddr)
      return damaged(what, "a segment lies past 2 GiB");
    if ((segment.p_flags & PF_W) && (segment.p_flags & PF_X))
      return damaged(what, "a segment is writable and executable at once");
    if (segment.p_align > 1) {
      if ((segment.p_align & (segment.p_align - 1)) || segment.p_align > (uint64_t(2) << 20))
        return damaged(what, "a segment has an alignment that is no power of two up to 2 MiB");
      if (segment.p_align > alignment)
        alignment = segment.p_align;
    }
    // Protection is per page, so two segments may not meet in one.
    if (segment.p_vaddr / pageSize * pageSize < end)
      return damaged(what, "its segments overlap or are out of order");
    end = (segment.p_vaddr + segment.p_memsz + pageSize - 1) / pageSize * pageSize;
    segments.headers[segments.count++] = segment;
  }
  if (!segments.count)
    return damaged(what, "it has nothing to load");
  if (dynamicOffset == none || !file.holds(dynamicOffset, dynamicSize))
    return damaged(what, "it has no dynamic section inside the file");

  Dynamic dynamic;
  MSA_TRY(readDynamic(file, dynamicOffset, dynamicSize, &dynamic));

  uint64_t symbolCount = 0;
  // Symbols: all of them defined, and not resolved by running code.
  if (dynamic.hash) {
    uint64_t offset = segments.fileOffset(dynamic.hash, 8);
    if (offset == none)
      return damaged(what, "the symbol hash table lies outside the file");
    symbolCount = file.at<uint32_t>(offset + 4);
  } else {
    MSA_TRY(countByGnuHash(file, segments, dynamic.gnuHash, &symbolCount));
  }
  uint64_t symbolsOffset = segments.fileOffset(dynamic.symbols, symbolCount * sizeof(Elf64_Sym));
  uint64_t stringsOffset = segments.fileOffset(dynamic.strings, dynamic.stringsSize);
  uint64_t stringsSize = dynamic.stringsSize;
  if (symbolsOffset == none || stringsOffset == none)
    return damaged(what, "its symbol or string table lies outside the file");
  if (stringsSize == 0 || data[stringsOffset + stringsSize - 1] != 0)
    return damaged(what, "its string table has no end");
  allocator = &memoryFrom;
  functionCapacity = symbolCount + 1;
  functions = static_cast<Function *>(allocator->allocate(functionCapacity * sizeof(Function), 16));
  if (!functions)
    return outOfMemory();
  for (uint64_t i = 1; i < symbolCount; ++i) {
    Elf64_Sym symbol = file.at<Elf64_Sym>(symbolsOffset + i * sizeof(Elf64_Sym));
    if (symbol.st_name >= stringsSize)
      return damaged(what, "a symbol's name lies outside the string table");
    const char *name = reinterpret_cast<const char *>(data + stringsOffset + symbol.st_name);
    if (symbol.st_shndx == SHN_UNDEF)
      return failure(MSA_INVALID_ARTIFACT,
                     "kernel object %s: symbol '%.200s' is undefined; kernels may depend on nothing outside themselves", what,
                     name);
    if (ELF64_ST_TYPE(symbol.st_info) == STT_GNU_IFUNC || ELF64_ST_TYPE(symbol.st_info) == STT_TLS)
      return failure(MSA_INVALID_ARTIFACT,
                     "kernel object %s: symbol '%.200s' is an indirect function or thread-local; kernels may have neither",
                     what, name);
    if (symbol.st_shndx != SHN_ABS && symbol.st_value > end)
      return failure(MSA_INVALID_ARTIFACT, "kernel object %s: symbol '%.200s' lies outside the object", what, name);
    if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx != SHN_ABS &&
        segments.inMemory(symbol.st_value, 1, PF_X))
      functions[functionCount++] = {name, symbol.st_value};
  }
  std::sort(functions, functions + functionCount,
            [](const Function &a, const Function &b) { return std::strcmp(a.name, b.name) < 0; });

  struct Table {
    uint64_t address, size;
  } tables[] = {{dynamic.relocations, dynamic.relocationsSize}, {dynamic.pltRelocations, dynamic.pltRelocationsSize}};
  for (const Table &table : tables)
    if (table.size && (table.size % sizeof(Elf64_Rela) || segments.fileOffset(table.address, table.size) == none))
      return damaged(what, "its relocations lie outside the file");
  if (dynamic.relativeWordsSize &&
      (dynamic.relativeWordsSize % 8 || segments.fileOffset(dynamic.relativeWords, dynamic.relativeWordsSize) == none))
    return damaged(what, "its relocations lie outside the file");

  // Everything is in bounds: map.
  reservedSize = size_t(end + alignment);
  void *memory = mmap(nullptr, reservedSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return outOfMemory();
  reserved = static_cast<uint8_t *>(memory);
  base = reinterpret_cast<uint8_t *>((reinterpret_cast<uintptr_t>(reserved) + alignment - 1) & ~uintptr_t(alignment - 1));
  for (uint32_t i = 0; i < segments.count; ++i) {
    const Elf64_Phdr &segment = segments.headers[i];
    uint64_t page = segment.p_vaddr / pageSize * pageSize;
    if (mprotect(base + page, segment.p_vaddr - page + segment.p_memsz, PROT_READ | PROT_WRITE) != 0)
      return outOfMemory();
    std::memcpy(base + segment.p_vaddr, data + segment.p_offset, segment.p_filesz);
  }

  uint64_t bias = uint64_t(reinterpret_cast<uintptr_t>(base));
  for (const Table &table : tables) {
    uint64_t at = table.size ? segments.fileOffset(table.address, table.size) : 0;
    for (uint64_t done = 0; done < table.size; done += sizeof(Elf64_Rela)) {
      Elf64_Rela relocation = file.at<Elf64_Rela>(at + done);
      if (!segments.inMemory(relocation.r_offset, 8, PF_W))
        return damaged(what, "a relocation lies outside its writable data");
      uint32_t type = uint32_t(ELF64_R_TYPE(relocation.r_info));
      uint64_t symbolIndex = ELF64_R_SYM(relocation.r_info);
      if (type == kRelative) {
        storeWord(base + relocation.r_offset, bias + uint64_t(relocation.r_addend));
      } else if (type == kAbsolute || type == kGlobalData || type == kJumpSlot) {
        if (symbolIndex == 0 || symbolIndex >= symbolCount)
          return damaged(what, "a relocation names a symbol that does not exist");
        Elf64_Sym symbol = file.at<Elf64_Sym>(symbolsOffset + symbolIndex * sizeof(Elf64_Sym));
        uint64_t value = symbol.st_shndx == SHN_ABS ? symbol.st_value : bias + symbol.st_value;
        storeWord(base + relocation.r_offset, value + uint64_t(relocation.r_addend));
      } else if (type != 0) {
        return failure(MSA_INVALID_ARTIFACT, "kernel object %s: relocation type %u is not one that kernels may have", what,
                       type);
      }
    }
  }
  if (dynamic.relativeWordsSize) {
    // Packed form: an even word is an address, an odd one a bitmap of the 63 words that follow the last address.
    uint64_t at = segments.fileOffset(dynamic.relativeWords, dynamic.relativeWordsSize), next = 0;
    auto relocate = [&](uint64_t address) {
      if (!segments.inMemory(address, 8, PF_W))
        return false;
      uint64_t value;
      std::memcpy(&value, base + address, 8);
      storeWord(base + address, value + bias);
      return true;
    };
    for (uint64_t done = 0; done < dynamic.relativeWordsSize; done += 8) {
      uint64_t word = file.at<uint64_t>(at + done);
      bool inside = true;
      if (word & 1) {
        for (uint32_t bit = 0; bit < 63 && inside; ++bit)
          if ((word >> (bit + 1)) & 1)
            inside = relocate(next + uint64_t(bit) * 8);
        next += 63 * 8;
      } else {
        inside = relocate(word);
        next = word + 8;
      }
      if (!inside)
        return damaged(what, "a relocation lies outside its writable data");
    }
  }

  for (uint32_t i = 0; i < segments.count; ++i) {
    const Elf64_Phdr &segment = segments.headers[i];
    uint64_t page = segment.p_vaddr / pageSize * pageSize;
    int protection = ((segment.p_flags & PF_R) ? PROT_READ : 0) | ((segment.p_flags & PF_W) ? PROT_WRITE : 0) |
                     ((segment.p_flags & PF_X) ? PROT_EXEC : 0);
    if (mprotect(base + page, segment.p_vaddr - page + segment.p_memsz, protection) != 0)
      return failure(MSA_UNSUPPORTED,
                     "kernel object %s: the system does not allow memory to become executable; loosen that policy for this process",
                     what);
    if (segment.p_flags & PF_X)
      __builtin___clear_cache(reinterpret_cast<char *>(base + segment.p_vaddr),
                              reinterpret_cast<char *>(base + segment.p_vaddr + segment.p_memsz));
  }
  return {};
}

void *ElfImage::find(const char *name) const {
  const Function *end = functions + functionCount;
  const Function *found = std::lower_bound(
      static_cast<const Function *>(functions), end, name, [](const Function &function, const char *wanted) { return std::strcmp(function.name, wanted) < 0; });
  return found != end && std::strcmp(found->name, name) == 0 ? base + found->address : nullptr;
}

void ElfImage::forgetSymbols() {
  if (functions)
    allocator->release(functions, functionCapacity * sizeof(Function), 16);
  functions = nullptr;
  functionCount = 0;
}

} // namespace msa::rt
