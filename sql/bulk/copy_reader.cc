#include "sql/bulk/copy_reader.h"

#include <cstring>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"

namespace insula::sql {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Appends `text` with COPY's backslash escapes resolved.
void Unescape(std::string_view text, std::string* out) {
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c != '\\' || i + 1 == text.size()) {
      out->push_back(c);
      continue;
    }
    c = text[++i];
    switch (c) {
      case 'b': out->push_back('\b'); break;
      case 'f': out->push_back('\f'); break;
      case 'n': out->push_back('\n'); break;
      case 'r': out->push_back('\r'); break;
      case 't': out->push_back('\t'); break;
      case 'v': out->push_back('\v'); break;
      case 'x': {
        int value = 0, digits = 0;
        while (digits < 2 && i + 1 < text.size() && HexValue(text[i + 1]) >= 0) {
          value = value * 16 + HexValue(text[++i]);
          ++digits;
        }
        out->push_back(digits == 0 ? 'x' : static_cast<char>(value));
        break;
      }
      default:
        if (c < '0' || c > '7') {
          out->push_back(c);
          break;
        }
        int value = c - '0';
        for (int digits = 1; digits < 3 && i + 1 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '7'; ++digits) value = value * 8 + (text[++i] - '0');
        out->push_back(static_cast<char>(value));
    }
  }
}

}  // namespace

void CopyLineReader::Feed(std::string_view piece) {
  if (end_marker_) return;
  if (at_ > 0) {
    buffer_.erase(0, at_);
    scanned_ -= std::min(scanned_, at_);
    at_ = 0;
  }
  buffer_.append(piece);
}

// The place of the line end of a csv row that starts at at_; npos if it is not there yet.
size_t CopyLineReader::CsvLineEnd() {
  size_t i = std::max(scanned_, at_);
  for (; i < buffer_.size(); ++i) {
    char c = buffer_[i];
    if (in_quotes_) {
      if (c == options_.escape && options_.escape != options_.quote) {
        if (i + 1 == buffer_.size() && !ended_) break;  // the next byte decides
        if (i + 1 < buffer_.size() && (buffer_[i + 1] == options_.quote || buffer_[i + 1] == options_.escape)) {
          ++i;
          continue;
        }
      }
      if (c == options_.quote) in_quotes_ = false;  // a doubled one turns it on again
      if (c == '\n') ++lines_in_row_;
    } else if (c == options_.quote) {
      in_quotes_ = true;
    } else if (c == '\n') {
      scanned_ = i;
      return i;
    }
  }
  scanned_ = i;
  return std::string::npos;
}

absl::StatusOr<bool> CopyLineReader::NextLine() {
  if (end_marker_) return false;
  size_t end;
  if (options_.csv) {
    end = CsvLineEnd();
  } else {
    const void* found = at_ < buffer_.size() ? std::memchr(buffer_.data() + at_, '\n', buffer_.size() - at_) : nullptr;
    end = found == nullptr ? std::string::npos : static_cast<size_t>(static_cast<const char*>(found) - buffer_.data());
  }
  size_t next;
  if (end == std::string::npos) {
    if (!ended_ || at_ >= buffer_.size()) return false;
    if (in_quotes_) return PgError(sqlstate::kBadCopyFileFormat, "unterminated CSV quoted field");
    end = next = buffer_.size();
  } else {
    next = end + 1;
  }
  line_ = std::string_view(buffer_).substr(at_, end - at_);
  if (!line_.empty() && line_.back() == '\r') line_.remove_suffix(1);
  at_ = scanned_ = next;
  line_number_ += lines_in_row_;
  lines_in_row_ = 1;
  if (line_ == "\\.") {
    end_marker_ = true;
    return false;
  }
  return true;
}

void CopyLineReader::SplitText() {
  fields_.clear();
  unescaped_.clear();
  unescaped_.reserve(line_.size());  // never grows past it, so views stay
  std::string_view rest = line_;
  bool escapes = std::memchr(line_.data(), '\\', line_.size()) != nullptr;
  for (;;) {
    size_t end = 0;
    if (!escapes) {
      const void* found = rest.empty() ? nullptr : std::memchr(rest.data(), options_.delimiter, rest.size());
      end = found == nullptr ? rest.size() : static_cast<size_t>(static_cast<const char*>(found) - rest.data());
    } else {
      while (end < rest.size() && rest[end] != options_.delimiter) end += rest[end] == '\\' && end + 1 < rest.size() ? 2 : 1;
      end = std::min(end, rest.size());
    }
    Field f;
    f.text = rest.substr(0, end);
    if (f.text == options_.null_text) {
      f.is_null = true;
    } else if (escapes && f.text.find('\\') != std::string_view::npos) {
      size_t begin = unescaped_.size();
      Unescape(f.text, &unescaped_);
      f.text = std::string_view(unescaped_).substr(begin);
    }
    fields_.push_back(f);
    if (end == rest.size()) return;
    rest.remove_prefix(end + 1);
  }
}

absl::Status CopyLineReader::SplitCsv() {
  fields_.clear();
  unescaped_.clear();
  unescaped_.reserve(line_.size());
  size_t i = 0;
  for (;;) {
    Field f;
    size_t begin = i;
    bool plain = true;  // the field is as it stands in the line
    size_t copy = unescaped_.size();
    while (i < line_.size() && line_[i] != options_.delimiter) {
      if (line_[i] != options_.quote) {
        if (!plain) unescaped_.push_back(line_[i]);
        ++i;
        continue;
      }
      if (plain) {
        unescaped_.append(line_.substr(begin, i - begin));
        plain = false;
      }
      f.quoted = true;
      bool closed = false;
      for (++i; i < line_.size(); ++i) {
        char c = line_[i];
        if (c == options_.escape && i + 1 < line_.size() && (line_[i + 1] == options_.quote || line_[i + 1] == options_.escape)) {
          unescaped_.push_back(line_[++i]);
          continue;
        }
        if (c == options_.quote) {
          closed = true;
          ++i;
          break;
        }
        unescaped_.push_back(c);
      }
      if (!closed) return PgError(sqlstate::kBadCopyFileFormat, "unterminated CSV quoted field");
    }
    f.text = plain ? line_.substr(begin, i - begin) : std::string_view(unescaped_).substr(copy);
    f.is_null = !f.quoted && f.text == options_.null_text;
    fields_.push_back(f);
    if (i >= line_.size()) return absl::OkStatus();
    ++i;
  }
}

absl::StatusOr<bool> CopyLineReader::Next() {
  ASSIGN_OR_RETURN(bool more, NextLine());
  if (!more) return false;
  if (options_.csv) {
    RETURN_IF_ERROR(SplitCsv());
  } else {
    SplitText();
  }
  return true;
}

}  // namespace insula::sql
