// SPDX-License-Identifier: Apache-2.0

#include "tools/run/npy.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace msa::tool {

namespace {

constexpr size_t kMaxHeader = 1 << 16;

struct TypeName {
  msa_element_type type;
  const char *descr;
};
constexpr TypeName kTypes[] = {
    {MSA_F32, "<f4"}, {MSA_F16, "<f2"}, {MSA_BF16, "|V2"}, {MSA_F64, "<f8"}, {MSA_I8, "|i1"},  {MSA_I16, "<i2"}, {MSA_I32, "<i4"},
    {MSA_I64, "<i8"}, {MSA_U8, "|u1"},  {MSA_U16, "<u2"},  {MSA_U32, "<u4"}, {MSA_U64, "<u8"}, {MSA_BOOL, "|b1"},
    {MSA_F8E4M3FN, "|V1"},
};

/// Reads the header's dictionary: three known keys, Python literals.
class HeaderParser {
public:
  HeaderParser(const char *text, size_t size) : at(text), end(text + size) {}

  bool parse(std::string &descr, bool &fortran, std::vector<int64_t> &shape) {
    bool hasDescr = false, hasFortran = false, hasShape = false;
    if (!take('{'))
      return false;
    while (!take('}')) {
      std::string key;
      if (!string(key) || !take(':'))
        return false;
      if (key == "descr" && !hasDescr)
        hasDescr = string(descr);
      else if (key == "fortran_order" && !hasFortran)
        hasFortran = boolean(fortran);
      else if (key == "shape" && !hasShape)
        hasShape = tuple(shape);
      else
        return false;
      if (!take(',') && !peek('}'))
        return false;
    }
    skip();
    return at == end && hasDescr && hasFortran && hasShape;
  }

private:
  void skip() {
    while (at != end && (*at == ' ' || *at == '\n' || *at == '\t'))
      ++at;
  }
  bool peek(char c) {
    skip();
    return at != end && *at == c;
  }
  bool take(char c) {
    if (!peek(c))
      return false;
    ++at;
    return true;
  }
  bool word(const char *text) {
    skip();
    size_t length = std::strlen(text);
    if (size_t(end - at) < length || std::memcmp(at, text, length) != 0)
      return false;
    at += length;
    return true;
  }
  bool string(std::string &result) {
    skip();
    if (at == end || (*at != '\'' && *at != '"'))
      return false;
    char quote = *at++;
    while (at != end && *at != quote)
      result += *at++;
    return take(quote) && result.size() < 64;
  }
  bool boolean(bool &result) {
    if (word("True"))
      return result = true;
    result = false;
    return word("False");
  }
  bool tuple(std::vector<int64_t> &result) {
    if (!take('('))
      return false;
    while (!take(')')) {
      skip();
      int64_t value = 0;
      const char *begin = at;
      for (; at != end && *at >= '0' && *at <= '9'; ++at)
        if (__builtin_mul_overflow(value, int64_t(10), &value) || __builtin_add_overflow(value, int64_t(*at - '0'), &value))
          return false;
      if (at == begin)
        return false;
      word("L"); // written by Python 2
      result.push_back(value);
      if (result.size() > 64 || (!take(',') && !peek(')')))
        return false;
    }
    return true;
  }

  const char *at, *end;
};

struct CloseFile {
  void operator()(FILE *file) const { std::fclose(file); }
};

} // namespace

Status parseNpy(const uint8_t *bytes, size_t size, const std::string &what, Array &array) {
  auto bad = [&](const std::string &detail) { return Status(MSA_INVALID_ARGUMENT, what + ": " + detail); };
  if (size < 10 || std::memcmp(bytes, "\x93NUMPY", 6) != 0)
    return bad("expected an .npy file, found other bytes at its start");
  unsigned version = bytes[6];
  if (version < 1 || version > 3)
    return bad("expected .npy format version 1, 2 or 3, found " + std::to_string(version));
  size_t lengthBytes = version == 1 ? 2 : 4, length = 0;
  if (size < 8 + lengthBytes)
    return bad("the header is truncated");
  for (size_t i = 0; i < lengthBytes; ++i)
    length |= size_t(bytes[8 + i]) << (8 * i);
  size_t dataAt = 8 + lengthBytes + length;
  if (length > kMaxHeader || dataAt > size)
    return bad("its header claims " + std::to_string(length) + " bytes, the file has " + std::to_string(size));

  std::string descr;
  bool fortran = false;
  std::vector<int64_t> shape;
  if (!HeaderParser(reinterpret_cast<const char *>(bytes) + 8 + lengthBytes, length).parse(descr, fortran, shape))
    return bad("its header is not the dictionary of descr, fortran_order and shape that .npy files have");
  const TypeName *type = nullptr;
  for (const TypeName &candidate : kTypes)
    if (descr.size() == 3 && std::strcmp(descr.c_str() + 1, candidate.descr + 1) == 0 &&
        (descr[0] == candidate.descr[0] || msa_element_size(candidate.type) == 1 ||
         (candidate.type == MSA_BF16 && descr[0] == '<')))
      type = &candidate;
  if (!type)
    return bad("its elements are '" + descr +
               "'; expected little-endian f2, f4, f8, i1 to i8, u1 to u8, b1, V1 for float8_e4m3fn or V2 for bfloat16 (arr.astype(arr.dtype.newbyteorder('<')) "
               "converts big-endian ones)");
  if (shape.size() > MSA_MAX_RANK)
    return bad("it has " + std::to_string(shape.size()) + " dims, expected at most " + std::to_string(MSA_MAX_RANK));
  if (fortran && shape.size() > 1)
    return bad("its elements are in Fortran order; save numpy.ascontiguousarray(arr) instead");
  uint64_t count = 1, total = 0;
  bool empty = false;
  for (int64_t dim : shape) {
    if (dim == 0)
      empty = true;
    else if (__builtin_mul_overflow(count, uint64_t(dim), &count))
      return bad("its dims multiply to more than 2^64 elements");
  }
  if (empty)
    count = 0;
  if (__builtin_mul_overflow(count, uint64_t(msa_element_size(type->type)), &total) || total != size - dataAt)
    return bad("its shape needs " + std::to_string(total) + " bytes of data, the file has " + std::to_string(size - dataAt));
  if (type->type == MSA_BOOL)
    for (size_t i = dataAt; i < size; ++i)
      if (bytes[i] > 1)
        return bad("element " + std::to_string(i - dataAt) + " of a bool array is " + std::to_string(bytes[i]) + ", expected 0 or 1");
  array.type = type->type;
  array.shape = std::move(shape);
  array.bytes.assign(bytes + dataAt, bytes + size);
  return Status();
}

Status readNpy(const std::string &path, Array &array) {
  std::unique_ptr<FILE, CloseFile> file(std::fopen(path.c_str(), "rbe"));
  if (!file)
    return Status(errno == ENOENT ? MSA_NOT_FOUND : MSA_IO, "cannot open '" + path + "': " + std::strerror(errno));
  std::vector<uint8_t> bytes;
  // In pieces, so that nothing is reserved for a size that a special file claims.
  constexpr size_t kPiece = size_t(1) << 20;
  for (;;) {
    size_t used = bytes.size();
    bytes.resize(used + kPiece);
    size_t count = std::fread(bytes.data() + used, 1, kPiece, file.get());
    bytes.resize(used + count);
    if (count < kPiece)
      break;
  }
  if (std::ferror(file.get()))
    return Status(MSA_IO, "cannot read '" + path + "': " + std::strerror(errno));
  return parseNpy(bytes.data(), bytes.size(), "'" + path + "'", array);
}

Status writeNpy(const std::string &path, const msa_tensor &tensor) {
  const char *descr = "";
  for (const TypeName &type : kTypes)
    if (type.type == tensor.type)
      descr = type.descr;
  std::string shape;
  size_t bytes = msa_element_size(tensor.type);
  for (uint32_t i = 0; i < tensor.rank; ++i) {
    shape += std::to_string(tensor.shape[i]) + (tensor.rank == 1 || i + 1 < tensor.rank ? "," : "");
    shape += i + 1 < tensor.rank ? " " : "";
    bytes *= size_t(tensor.shape[i]);
  }
  std::string header =
      "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  // The data starts at a multiple of 64, the header ends with a newline.
  header.append((64 - (10 + header.size() + 1) % 64) % 64, ' ');
  header += '\n';
  std::string prefix("\x93NUMPY\x01\x00", 8);
  prefix += char(header.size() & 0xff);
  prefix += char(header.size() >> 8);

  std::unique_ptr<FILE, CloseFile> file(std::fopen(path.c_str(), "wbe"));
  bool written = file && std::fwrite(prefix.data(), 1, prefix.size(), file.get()) == prefix.size() &&
                 std::fwrite(header.data(), 1, header.size(), file.get()) == header.size() &&
                 (bytes == 0 || std::fwrite(tensor.data, 1, bytes, file.get()) == bytes);
  if (written)
    written = std::fclose(file.release()) == 0;
  return written ? Status() : Status(MSA_IO, "cannot write '" + path + "': " + std::strerror(errno));
}

} // namespace msa::tool
