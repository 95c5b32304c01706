// SPDX-License-Identifier: Apache-2.0

#include "tools/run/text_input.h"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstring>
#include <memory>

namespace msa::tool {

using nlohmann::json;

namespace {

struct CloseFile {
  void operator()(FILE *file) const {
    if (file != stdin)
      std::fclose(file);
  }
};

Status wrong(const std::string &where, const std::string &detail) { return Status(MSA_INVALID_ARGUMENT, where + ": " + detail); }

std::string typeName(const json &value) { return value.is_null() ? "null" : std::string(value.type_name()); }

Status optionalString(const json &object, const char *key, const std::string &where, std::string &out) {
  auto found = object.find(key);
  if (found == object.end() || found->is_null())
    return Status();
  if (!found->is_string())
    return wrong(where, "expected \"" + std::string(key) + "\" to be a string, found " + typeName(*found));
  out = found->get<std::string>();
  return Status();
}

Status optionalNumber(const json &object, const std::string &where, int64_t &out) {
  auto found = object.find("number");
  if (found == object.end() || found->is_null())
    return Status();
  if (!found->is_number_integer() || (found->is_number_unsigned() && found->get<uint64_t>() >= uint64_t(INT64_MAX)) ||
      found->get<int64_t>() < 0)
    return wrong(where, "expected \"number\" to be a whole number of 0 or more, found " + found->dump());
  out = found->get<int64_t>();
  return Status();
}

template <typename T> Status integers(const json &value, const std::string &where, std::vector<T> &out) {
  if (!value.is_array())
    return wrong(where, "expected a list of whole numbers, found " + typeName(value));
  for (size_t i = 0; i < value.size(); ++i) {
    const json &item = value[i];
    if (!item.is_number_integer() || (item.is_number_unsigned() && item.get<uint64_t>() > uint64_t(INT32_MAX)) ||
        item.get<int64_t>() > INT32_MAX || item.get<int64_t>() < INT32_MIN)
      return wrong(where, "element " + std::to_string(i) + ": expected a whole number of 32 bits, found " +
                              (item.is_number() ? item.dump() : typeName(item)));
    out.push_back(T(item.get<int64_t>()));
  }
  return Status();
}

/// The token ids of an object.
Status tokens(const json &object, const std::string &where, std::vector<int32_t> &out) {
  for (const char *key : {"input_ids", "ids"})
    if (auto found = object.find(key); found != object.end())
      return integers(*found, where + ", \"" + key + "\"", out);
  return wrong(where, "expected \"input_ids\", a list of token ids");
}

Status parseFile(const std::string &path, json &out) {
  std::string text;
  if (Status status = readText(path, text); !status.ok())
    return status;
  out = json::parse(text, nullptr, false);
  return out.is_discarded() ? wrong("'" + path + "'", "not valid JSON") : Status();
}

template <typename Function> Status forEachLine(const std::string &path, Function function) {
  std::string text;
  if (Status status = readText(path, text); !status.ok())
    return status;
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line(text.data() + at, end - at);
    at = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    std::string where = "'" + path + "', line " + std::to_string(number);
    json value = json::parse(line, nullptr, false);
    if (!value.is_object())
      return wrong(where, "expected one JSON object a line");
    if (Status status = function(value, where); !status.ok())
      return status;
  }
  return Status();
}

} // namespace

Status readText(const std::string &path, std::string &out) {
  std::unique_ptr<FILE, CloseFile> file(path == "-" ? stdin : std::fopen(path.c_str(), "rbe"));
  if (!file)
    return Status(errno == ENOENT ? MSA_NOT_FOUND : MSA_IO, "cannot open '" + path + "': " + std::strerror(errno));
  std::string text;
  char piece[1 << 16];
  size_t count;
  while ((count = std::fread(piece, 1, sizeof piece, file.get())) > 0)
    text.append(piece, count);
  if (std::ferror(file.get()))
    return Status(MSA_IO, "cannot read '" + path + "': " + std::strerror(errno));
  out = std::move(text);
  return Status();
}

Status readDocumentLines(const std::string &path, std::vector<InputDocument> &out) {
  return forEachLine(path, [&](const json &line, const std::string &where) -> Status {
    InputDocument &document = out.emplace_back();
    if (!line.contains("text"))
      return wrong(where, "expected \"text\"");
    if (Status status = optionalString(line, "text", where, document.text); !status.ok())
      return status;
    if (Status status = optionalString(line, "name", where, document.name); !status.ok())
      return status;
    return optionalNumber(line, where, document.number);
  });
}

Status readDocumentIds(const std::string &path, std::vector<InputDocument> &out) {
  json file;
  if (Status status = parseFile(path, file); !status.ok())
    return status;
  const json *list = &file;
  if (auto found = file.find("documents"); file.is_object() && found != file.end())
    list = &*found;
  if (!list->is_array())
    return wrong("'" + path + "'", "expected a list of documents, or an object with \"documents\"");
  for (size_t i = 0; i < list->size(); ++i) {
    const json &item = (*list)[i];
    std::string where = "'" + path + "', document " + std::to_string(i);
    InputDocument &document = out.emplace_back();
    if (item.is_array()) {
      if (Status status = integers(item, where, document.ids); !status.ok())
        return status;
    } else if (item.is_object()) {
      if (Status status = tokens(item, where, document.ids); !status.ok())
        return status;
      if (Status status = optionalString(item, "text", where, document.text); !status.ok())
        return status;
      if (Status status = optionalString(item, "name", where, document.name); !status.ok())
        return status;
      if (Status status = optionalNumber(item, where, document.number); !status.ok())
        return status;
    } else {
      return wrong(where, "expected a list of token ids or an object with \"input_ids\", found " + typeName(item));
    }
    if (document.ids.empty())
      return wrong(where, "it has no tokens");
  }
  return Status();
}

Status readQuestionLines(const std::string &path, std::vector<std::string> &out) {
  return forEachLine(path, [&](const json &line, const std::string &where) -> Status {
    if (!line.contains("prompt"))
      return wrong(where, "expected \"prompt\"");
    return optionalString(line, "prompt", where, out.emplace_back());
  });
}

Status readPromptIds(const std::string &path, InputTokens &out) {
  json file;
  if (Status status = parseFile(path, file); !status.ok())
    return status;
  std::string where = "'" + path + "'";
  if (file.is_array())
    return integers(file, where, out.ids);
  if (!file.is_object())
    return wrong(where, "expected a list of token ids or an object with \"input_ids\", found " + typeName(file));
  if (Status status = tokens(file, where, out.ids); !status.ok())
    return status;
  auto numbers = file.find("doc_ids");
  if (numbers == file.end())
    return Status();
  if (Status status = integers(*numbers, where + ", \"doc_ids\"", out.numbers); !status.ok())
    return status;
  return out.numbers.size() == out.ids.size()
             ? Status()
             : wrong(where, "it has " + std::to_string(out.ids.size()) + " \"input_ids\" and " + std::to_string(out.numbers.size()) +
                                " \"doc_ids\"");
}

} // namespace msa::tool
