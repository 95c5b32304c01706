// SPDX-License-Identifier: Apache-2.0

#include "runtime/tokenizer/TokenizerFile.h"

#include "runtime/tokenizer/Utf8.h"

namespace msa::rt::tok {

using nlohmann::json;

Status fileError(std::string message) {
  return Status(msa_status_create(MSA_INVALID_ARTIFACT, ("tokenizer.json: " + message).c_str()));
}

Status unsupported(std::string message) {
  return Status(msa_status_create(MSA_UNSUPPORTED, ("tokenizer.json: " + message).c_str()));
}

namespace {

std::string typeName(const json &value) {
  switch (value.type()) {
  case json::value_t::null:
    return "null";
  case json::value_t::object:
    return "an object";
  case json::value_t::array:
    return "an array";
  case json::value_t::string:
    return inQuotes(*value.get_ptr<const std::string *>());
  case json::value_t::boolean:
    return *value.get_ptr<const bool *>() ? "true" : "false";
  case json::value_t::number_integer:
    return std::to_string(*value.get_ptr<const json::number_integer_t *>());
  case json::value_t::number_unsigned:
    return std::to_string(*value.get_ptr<const json::number_unsigned_t *>());
  case json::value_t::number_float:
    return std::to_string(*value.get_ptr<const json::number_float_t *>());
  default:
    return "something else";
  }
}

/// Receives the parser's events. Returning false ends the parse at once.
class FileHandler final : public nlohmann::json_sax<json> {
public:
  explicit FileHandler(TokenizerFile &file) : file(file) {}

  Status takeStatus() { return std::move(status); }

  bool null() override { return value(json(nullptr)); }
  bool boolean(bool flag) override { return value(json(flag)); }
  bool number_float(number_float_t number, const string_t &) override { return value(json(number)); }
  bool number_integer(number_integer_t number) override { return value(json(number)); }
  bool binary(binary_t &) override { return fail("not JSON"); }

  bool number_unsigned(number_unsigned_t number) override {
    if (place != Place::Vocab)
      return value(json(number));
    if (file.vocab.size() == kMaxTokens)
      return fail("model.vocab: expected at most " + std::to_string(kMaxTokens) + " tokens");
    if (number >= UINT32_MAX)
      return value(json(number));
    file.vocab.push_back({file.vocabText.size(), static_cast<uint32_t>(key_.size()), static_cast<uint32_t>(number)});
    file.vocabText += key_;
    return true;
  }

  bool string(string_t &text) override {
    if (place == Place::Merges)
      return mergeLine(text);
    if (place == Place::MergePair)
      return mergeSide(text);
    return value(json(std::move(text)));
  }

  bool key(string_t &text) override {
    key_ = std::move(text);
    if (place == Place::Vocab)
      return key_.size() <= kMaxTokenBytes || fail("model.vocab: " + tooLong(key_));
    return !frames.back().container->contains(key_) || fail(path() + ": appears twice");
  }

  bool start_object(std::size_t) override {
    if (inModel("vocab")) {
      file.hasVocab = true;
      place = Place::Vocab;
      return insert(json(nullptr)) != nullptr;
    }
    return open(json::object());
  }
  bool end_object() override { return close(); }

  bool start_array(std::size_t) override {
    if (inModel("merges")) {
      file.hasMerges = true;
      place = Place::Merges;
      return insert(json(nullptr)) != nullptr;
    }
    if (place == Place::Merges) {
      place = Place::MergePair;
      sides = 0;
      return true;
    }
    if (inModel("vocab")) { // Unigram: a list with scores
      const json &model = *frames.back().container;
      if (auto type = model.find("type"); type != model.end() && *type != "BPE" && *type != "WordPiece") {
        status = unsupported("model.type: " + typeName(*type) + " is not supported, only 'BPE' and 'WordPiece' are");
        return false;
      }
      return fail("model.vocab: expected an object from token to number, found an array");
    }
    return open(json::array());
  }

  bool end_array() override {
    if (place == Place::MergePair) {
      if (sides != 2)
        return fail(path() + ": expected two tokens, found " + std::to_string(sides));
      place = Place::Merges;
      file.merges.push_back(pair);
      return true;
    }
    return close();
  }

  bool parse_error(std::size_t position, const std::string &, const nlohmann::detail::exception &error) override {
    std::string_view reason = error.what();
    if (size_t colon = reason.find("; last read"); colon != std::string_view::npos)
      reason = reason.substr(0, colon); // what was read may be the whole file
    if (size_t colon = reason.rfind(": "); colon != std::string_view::npos)
      reason.remove_prefix(colon + 2);
    return fail("not JSON at byte " + std::to_string(position) + ": " +
                std::string(reason.substr(0, std::min<size_t>(reason.size(), 120))));
  }

private:
  enum class Place { Tree, Vocab, Merges, MergePair };
  struct Frame {
    json *container;
    std::string name;
  };

  bool fail(std::string message) {
    if (status.ok())
      status = fileError(std::move(message));
    return false;
  }

  static std::string tooLong(std::string_view token) {
    return "expected tokens of at most " + std::to_string(kMaxTokenBytes) + " bytes, found " + inQuotes(token);
  }

  bool inModel(std::string_view member) const {
    return place == Place::Tree && frames.size() == 2 && frames[1].name == "model" && key_ == member;
  }

  /// Where the parser is.
  std::string path() const {
    if (place == Place::Vocab)
      return "model.vocab[" + inQuotes(key_) + "]";
    if (place == Place::Merges || place == Place::MergePair)
      return "model.merges[" + std::to_string(file.merges.size()) + "]";
    std::string result;
    for (size_t i = 1; i < frames.size(); ++i)
      result += frames[i].name;
    result += frames.empty() ? "" : nextName();
    if (result.empty())
      return "the file";
    return result[0] == '.' ? result.substr(1) : result;
  }

  std::string nextName() const {
    const json &container = *frames.back().container;
    if (container.is_array())
      return "[" + std::to_string(container.size()) + "]";
    std::string name = inQuotes(key_);
    if (name.size() <= 42) // no quotes around what is plainly a name
      name = name.substr(1, name.size() - 2);
    return "." + name;
  }

  bool value(json &&scalar) {
    switch (place) {
    case Place::Tree:
      return insert(std::move(scalar)) != nullptr;
    case Place::Vocab:
      return fail(path() + ": expected a number from 0 to 4294967294, found " + typeName(scalar));
    case Place::Merges:
      return fail(path() + ": expected two tokens, found " + typeName(scalar));
    case Place::MergePair:
      return fail(path() + ": expected a token, found " + typeName(scalar));
    }
    return false;
  }

  /// Puts |child| into the open container; the result stays valid until the container gets another child.
  json *insert(json &&child) {
    if (++values > kMaxValues) {
      fail("expected at most " + std::to_string(kMaxValues) + " values beside vocabulary and merges");
      return nullptr;
    }
    if (frames.empty()) {
      file.tree = std::move(child);
      return &file.tree;
    }
    json &parent = *frames.back().container;
    if (auto *elements = parent.get_ptr<json::array_t *>()) {
      elements->push_back(std::move(child));
      return &elements->back();
    }
    return &parent.get_ptr<json::object_t *>()->insert_or_assign(key_, std::move(child)).first->second;
  }

  bool open(json &&container) {
    if (place != Place::Tree)
      return value(std::move(container));
    if (frames.size() == kMaxDepth)
      return fail(path() + ": expected at most " + std::to_string(kMaxDepth) + " levels of nesting");
    std::string name = frames.empty() ? std::string() : nextName();
    if (frames.size() == 1 && !name.empty() && name[0] == '.')
      name.erase(0, 1); // "model", not ".model"
    json *inserted = insert(std::move(container));
    if (!inserted)
      return false;
    frames.push_back({inserted, std::move(name)});
    return true;
  }

  bool close() {
    if (place != Place::Tree)
      place = Place::Tree;
    else
      frames.pop_back();
    return true;
  }

  bool addSide(std::string_view token, TokenizerFile::Slice &slice) {
    if (token.size() > kMaxTokenBytes)
      return fail(path() + ": " + tooLong(token));
    slice = {file.mergeText.size(), static_cast<uint32_t>(token.size())};
    file.mergeText += token;
    return true;
  }

  bool roomForMerge() {
    return file.merges.size() < kMaxMerges ||
           fail("model.merges: expected at most " + std::to_string(kMaxMerges) + " merges");
  }

  /// The older form: both tokens in one string, with one space between them.
  bool mergeLine(std::string_view line) {
    if (line.starts_with("#version"))
      return true;
    size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      return fail(path() + ": expected two tokens with a space between them, found " + inQuotes(line));
    if (!roomForMerge() || !addSide(line.substr(0, space), pair.left) || !addSide(line.substr(space + 1), pair.right))
      return false;
    file.merges.push_back(pair);
    return true;
  }

  bool mergeSide(std::string_view token) {
    if (sides == 2)
      return fail(path() + ": expected two tokens, found more");
    if (!roomForMerge() || !addSide(token, sides == 0 ? pair.left : pair.right))
      return false;
    ++sides;
    return true;
  }

  TokenizerFile &file;
  Status status;
  Place place = Place::Tree;
  std::vector<Frame> frames;
  std::string key_;
  TokenizerFile::Merge pair = {};
  unsigned sides = 0;
  size_t values = 0;
};

} // namespace

Status readTokenizerFile(std::string_view bytes, TokenizerFile &out) {
  if (bytes.size() > kMaxFileBytes)
    return fileError("expected at most " + std::to_string(kMaxFileBytes) + " bytes, found " +
                     std::to_string(bytes.size()));
  FileHandler handler(out);
  bool complete = json::sax_parse(bytes.begin(), bytes.end(), &handler);
  Status status = handler.takeStatus();
  if (status.ok() && !complete)
    return fileError("not JSON");
  if (status.ok() && !out.tree.is_object())
    return fileError("expected an object, found " + typeName(out.tree));
  return status;
}

ObjectReader::ObjectReader(const json &value, std::string path, Status &status)
    : objectPath(std::move(path)), status(status) {
  if (value.is_object())
    object = &value;
  else if (status.ok())
    status = fileError(objectPath + ": expected an object, found " + typeName(value));
}

const json *ObjectReader::find(const char *name) {
  known.insert(name);
  if (!object || !status.ok())
    return nullptr;
  auto member = object->find(name);
  return member == object->end() ? nullptr : &*member;
}

void ObjectReader::expected(const char *name, const char *what, const json *found) {
  if (object && status.ok())
    status = fileError(pathOf(name) + ": expected " + what + ", found " + (found ? typeName(*found) : "nothing"));
}

const json *ObjectReader::optional(const char *name) {
  const json *member = find(name);
  return member && !member->is_null() ? member : nullptr;
}

bool ObjectReader::boolean(const char *name, bool missing) { return optional(name) ? boolean(name) : missing; }

bool ObjectReader::boolean(const char *name) {
  const json *member = find(name);
  if (member && member->is_boolean())
    return *member->get_ptr<const bool *>();
  expected(name, "true or false", member);
  return false;
}

std::string ObjectReader::string(const char *name, const char *missing) {
  const json *member = find(name);
  if (member && member->is_string())
    return *member->get_ptr<const std::string *>();
  if (!missing || (member && !member->is_null()))
    expected(name, "a string", member);
  return missing ? missing : "";
}

uint32_t ObjectReader::number(const char *name, uint32_t limit, const uint32_t *missing) {
  const json *member = find(name);
  if (member && member->is_number_unsigned()) {
    auto number = *member->get_ptr<const json::number_unsigned_t *>();
    if (number <= limit)
      return static_cast<uint32_t>(number);
  }
  if (!missing || member)
    expected(name, ("a number from 0 to " + std::to_string(limit)).c_str(), member);
  return missing ? *missing : 0;
}

void ObjectReader::finish() {
  if (!object || !status.ok())
    return;
  for (auto member = object->begin(); member != object->end(); ++member)
    if (!known.contains(member.key())) {
      status = unsupported((objectPath.empty() ? "" : objectPath + ": ") + "member " + inQuotes(member.key()) +
                           " is not supported");
      return;
    }
}

} // namespace msa::rt::tok
