// SPDX-License-Identifier: Apache-2.0

#include "Mutation.h"

#include <charconv>
#include <regex>

namespace mutations {

static std::string_view trim(std::string_view text) {
  size_t from = text.find_first_not_of(" \t\r"), to = text.find_last_not_of(" \t\r");
  return from == std::string_view::npos ? std::string_view() : text.substr(from, to - from + 1);
}

static std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  for (size_t from = 0;;) {
    size_t to = text.find(separator, from);
    parts.push_back(text.substr(from, to == std::string_view::npos ? to : to - from));
    if (to == std::string_view::npos)
      return parts;
    from = to + separator.size();
  }
}

static std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    bool newLine = text[i] == '\\' && i + 1 < text.size() && text[i + 1] == 'n';
    out += newLine ? '\n' : text[i];
    i += newLine;
  }
  return out;
}

std::vector<Mutation> parse(std::string_view list) {
  std::vector<Mutation> found;
  int number = 0;
  for (std::string_view raw : split(list, "\n")) {
    ++number;
    std::string_view line = trim(raw);
    if (line.empty() || line.front() == '#')
      continue;
    auto complain = [&](const std::string &what) { throw Error("line " + std::to_string(number) + ": " + what); };
    std::vector<std::string_view> fields = split(line, " | ");
    if (fields.size() != 6)
      complain("expected 6 fields separated by ' | ', found " + std::to_string(fields.size()));
    for (std::string_view &field : fields) {
      field = trim(field);
      if (field.empty())
        complain("a field is empty");
    }
    Mutation mutation;
    mutation.instance = fields[0];
    mutation.pattern = fields[1];
    auto [end, problem] = std::from_chars(fields[2].data(), fields[2].data() + fields[2].size(), mutation.which);
    if (fields[2] == "all")
      mutation.which = 0;
    else if (problem != std::errc() || end != fields[2].data() + fields[2].size() || mutation.which == 0)
      complain("expected the number of a match (1, 2, ..., -1 for the last) or 'all', found '" + std::string(fields[2]) + "'");
    mutation.deletes = fields[3] == "-";
    mutation.replacement = unescape(fields[3]);
    mutation.breaks = fields[4];
    for (std::string_view kind : split(fields[5], ","))
      mutation.expected.emplace_back(trim(kind));
    mutation.line = number;
    try {
      std::regex check(mutation.pattern);
    } catch (const std::regex_error &error) {
      complain("'" + mutation.pattern + "' is no regular expression: " + error.what());
    }
    found.push_back(std::move(mutation));
  }
  return found;
}

std::string apply(const Mutation &mutation, std::string_view text) {
  std::regex pattern(mutation.pattern);
  std::vector<std::string> lines;
  for (std::string_view line : split(text, "\n"))
    lines.emplace_back(line);
  std::vector<size_t> matches;
  for (size_t i = 0; i < lines.size(); ++i)
    if (std::regex_search(lines[i], pattern))
      matches.push_back(i);
  int count = static_cast<int>(matches.size());
  int index = mutation.which > 0 ? mutation.which - 1 : count + mutation.which;
  if (count == 0 || (mutation.which != 0 && (index < 0 || index >= count)))
    throw Error("line " + std::to_string(mutation.line) + ": instance '" + mutation.instance + "': '" + mutation.pattern + "' matches " +
                std::to_string(count) + " lines, expected match " + std::to_string(mutation.which));
  if (mutation.which != 0)
    matches = {matches[static_cast<size_t>(index)]};
  std::string out;
  for (size_t match : matches) {
    std::string edited = mutation.deletes ? "" : std::regex_replace(lines[match], pattern, mutation.replacement, std::regex_constants::format_first_only);
    if (edited == lines[match])
      throw Error("line " + std::to_string(mutation.line) + ": the edit changes nothing");
    lines[match] = std::move(edited);
  }
  for (size_t i = 0; i < lines.size(); ++i)
    out += (i ? "\n" : "") + lines[i];
  return out;
}

} // namespace mutations
