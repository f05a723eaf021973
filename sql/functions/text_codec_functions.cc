// Encodings, hashes and code points: encode, decode, convert, md5, sha, chr, ascii, to_hex, bits of bytea, uuid.
#include <openssl/evp.h>

#include <algorithm>
#include <bit>
#include <string>
#include <string_view>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/functions/lift.h"
#include "sql/functions/registrar.h"
#include "sql/types/array.h"
#include "sql/types/utf8.h"

namespace insula::sql::internal {
namespace {

using S = absl::StatusOr<std::string>;
using I = absl::StatusOr<int64_t>;

constexpr char kHex[] = "0123456789abcdef";
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string ToHexText(std::string_view v) {
  std::string out;
  for (char c : v) {
    out.push_back(kHex[static_cast<uint8_t>(c) >> 4]);
    out.push_back(kHex[static_cast<uint8_t>(c) & 15]);
  }
  return out;
}

std::string HexNumber(uint64_t v) {
  std::string out;
  do {
    out.insert(out.begin(), kHex[v & 15]);
    v >>= 4;
  } while (v != 0);
  return out;
}

std::string Digest(const EVP_MD* algorithm, std::string_view v) {
  unsigned char buffer[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(v.data(), v.size(), buffer, &size, algorithm, nullptr);
  return std::string(reinterpret_cast<char*>(buffer), size);
}

// Lines of 76 characters, as PostgreSQL breaks them.
std::string EncodeBase64(std::string_view v) {
  std::string out;
  size_t line = 0;
  for (size_t i = 0; i < v.size(); i += 3) {
    uint32_t n = 0;
    size_t have = std::min<size_t>(3, v.size() - i);
    for (size_t k = 0; k < 3; ++k) n = n << 8 | (k < have ? static_cast<uint8_t>(v[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out.push_back(k <= have ? kBase64[n >> (18 - 6 * k) & 63] : '=');
    line += 4;
    if (line == 76) {
      out.push_back('\n');
      line = 0;
    }
  }
  return out;
}

S DecodeBase64(std::string_view text) {
  std::string out;
  uint32_t n = 0;
  int have = 0, pads = 0;
  for (char c : text) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
    if (c == '=') {
      if (have + pads < 2) return PgError(sqlstate::kInvalidParameterValue, "unexpected \"=\" while decoding base64 sequence");
      ++pads;
    } else {
      size_t digit = kBase64.find(c);
      if (digit == std::string_view::npos || pads > 0) {
        return PgError(sqlstate::kInvalidParameterValue, StrCat("invalid symbol \"", c, "\" found while decoding base64 sequence"));
      }
      n = n << 6 | static_cast<uint32_t>(digit);
      ++have;
    }
    if (have + pads == 4) {
      n <<= 6 * pads;
      for (int k = 0; k < 3 - pads; ++k) out.push_back(static_cast<char>(n >> (16 - 8 * k)));
      n = 0;
      have = 0;
      if (pads > 0) have = pads = 0;
    }
  }
  if (have + pads != 0) {
    return PgErrorBuilder(sqlstate::kInvalidParameterValue, "invalid base64 end sequence")
        .Hint("Input data is missing padding, is truncated, or is otherwise corrupted.")
        .Build();
  }
  return out;
}

// Only zero bytes, bytes with the high bit, and backslashes are escaped.
std::string EncodeEscape(std::string_view v) {
  std::string out;
  for (char c : v) {
    uint8_t b = static_cast<uint8_t>(c);
    if (c == '\\') {
      out.append("\\\\");
    } else if (b == 0 || b >= 0x80) {
      out.push_back('\\');
      out.push_back(static_cast<char>('0' + (b >> 6)));
      out.push_back(static_cast<char>('0' + (b >> 3 & 7)));
      out.push_back(static_cast<char>('0' + (b & 7)));
    } else {
      out.push_back(c);
    }
  }
  return out;
}

absl::Status UnknownEncoding(std::string_view name) {
  return PgError(sqlstate::kInvalidParameterValue, StrCat("unrecognized encoding: \"", name, "\""));
}

S Encode(std::string_view v, std::string_view format) {
  std::string name = AsciiLower(format);
  if (name == "hex") return ToHexText(v);
  if (name == "base64") return EncodeBase64(v);
  if (name == "escape") return EncodeEscape(v);
  return UnknownEncoding(format);
}

S Decode(std::string_view text, std::string_view format) {
  std::string name = AsciiLower(format);
  if (name == "hex") return ParseBytea(StrCat("\\x", text));
  if (name == "base64") return DecodeBase64(text);
  if (name == "escape") {
    std::string escaped(text);
    // ParseBytea takes a leading \x for hexadecimal, which escape format does not know.
    if (escaped.starts_with("\\x")) return PgError(sqlstate::kInvalidTextRepresentation, "invalid input syntax for type bytea");
    return ParseBytea(escaped);
  }
  return UnknownEncoding(format);
}

bool IsUtf8Name(std::string_view name) {
  std::string lower;
  for (char c : AsciiLower(name)) {
    if (c != '-' && c != '_') lower.push_back(c);
  }
  return lower == "utf8" || lower == "unicode";
}
bool IsLatin1Name(std::string_view name) {
  std::string lower;
  for (char c : AsciiLower(name)) {
    if (c != '-' && c != '_') lower.push_back(c);
  }
  return lower == "latin1" || lower == "iso88591";
}

S ConvertFrom(std::string_view v, std::string_view encoding) {
  if (IsUtf8Name(encoding)) {
    size_t bad;
    if (IsValidUtf8(v, &bad)) return std::string(v);
    return PgError("22021", StrCat("invalid byte sequence for encoding \"UTF8\": 0x", ToHexText(v.substr(bad, 1))));
  }
  if (IsLatin1Name(encoding)) {
    std::string out;
    for (char c : v) AppendUtf8(static_cast<uint8_t>(c), &out);
    return out;
  }
  return PgUnsupported(StrCat("conversion from encoding \"", encoding, "\""));
}

S ConvertTo(std::string_view text, std::string_view encoding) {
  if (IsUtf8Name(encoding)) return std::string(text);
  if (IsLatin1Name(encoding)) {
    std::string out;
    for (size_t i = 0; i < text.size();) {
      size_t n;
      uint32_t c = DecodeUtf8(text.substr(i), &n);
      if (c > 0xFF) {
        return PgError("22P05", StrCat("character with byte sequence 0x", ToHexText(text.substr(i, n)),
                                       " in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\""));
      }
      out.push_back(static_cast<char>(c));
      i += n;
    }
    return out;
  }
  return PgUnsupported(StrCat("conversion to encoding \"", encoding, "\""));
}

S Chr(int64_t code) {
  if (code < 0) return PgError(sqlstate::kInvalidParameterValue, "character number must be positive");
  if (code == 0) return PgError(sqlstate::kProgramLimitExceeded, "null character not permitted");
  if (code > 0x10FFFF) {
    return PgError(sqlstate::kProgramLimitExceeded, StrCat("requested character too large for encoding: ", code));
  }
  if (code >= 0xD800 && code <= 0xDFFF) {
    return PgError(sqlstate::kProgramLimitExceeded, StrCat("requested character not valid for encoding: ", code));
  }
  std::string out;
  AppendUtf8(static_cast<uint32_t>(code), &out);
  return out;
}

// unistr(): \\XXXX, \\+XXXXXX, \\uXXXX, \\UXXXXXXXX and a doubled backslash.
S Unistr(std::string_view s) {
  auto invalid = [](std::string_view what) { return PgError(sqlstate::kSyntaxError, what); };
  std::string out;
  uint32_t high = 0;  // first half of a surrogate pair
  while (!s.empty()) {
    if (s[0] != '\\' || s.starts_with("\\\\")) {
      if (high != 0) return invalid("invalid Unicode surrogate pair");
      out.push_back(s[0]);
      s.remove_prefix(s[0] == '\\' ? 2 : 1);
      continue;
    }
    size_t skip = 1, digits = 4;
    if (s.size() > 1 && (s[1] == '+' || s[1] == 'u' || s[1] == 'U')) {
      skip = 2;
      digits = s[1] == '+' ? 6 : s[1] == 'u' ? 4 : 8;
    }
    uint32_t code = 0;
    for (size_t i = skip; i < skip + digits; ++i) {
      size_t digit = i < s.size() ? std::string_view(kHex).find(static_cast<char>(s[i] | 0x20)) : std::string_view::npos;
      if (digit == std::string_view::npos) {
        return PgErrorBuilder(sqlstate::kSyntaxError, "invalid Unicode escape")
            .Hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
            .Build();
      }
      code = code << 4 | static_cast<uint32_t>(digit);
    }
    s.remove_prefix(skip + digits);
    bool is_high = code >= 0xD800 && code < 0xDC00, is_low = code >= 0xDC00 && code < 0xE000;
    if (is_low != (high != 0)) return invalid("invalid Unicode surrogate pair");
    if (is_high) {
      high = code;
      continue;
    }
    if (is_low) code = 0x10000 + ((high & 0x3FF) << 10) + (code & 0x3FF);
    high = 0;
    if (code == 0 || code > 0x10FFFF) return invalid("invalid Unicode code point");
    AppendUtf8(code, &out);
  }
  if (high != 0) return invalid("invalid Unicode surrogate pair");
  return out;
}

absl::Status IndexOutOfRange(int64_t index, int64_t last) {
  return PgError("2202E", StrCat("index ", index, " out of valid range, 0..", last));
}

int64_t CountBits(std::string_view v) {
  int64_t n = 0;
  for (char c : v) n += std::popcount(static_cast<uint8_t>(c));
  return n;
}

void RegisterBytes(Registrar& r) {
  r.Scalar("byteaGetByte", Lift<[](std::string_view v, int64_t i) -> I {
             if (i < 0 || i >= static_cast<int64_t>(v.size())) return IndexOutOfRange(i, static_cast<int64_t>(v.size()) - 1);
             return static_cast<uint8_t>(v[static_cast<size_t>(i)]);
           }>);
  r.Scalar("byteaSetByte", Lift<[](std::string_view v, int64_t i, int64_t byte) -> S {
             if (i < 0 || i >= static_cast<int64_t>(v.size())) return IndexOutOfRange(i, static_cast<int64_t>(v.size()) - 1);
             std::string out(v);
             out[static_cast<size_t>(i)] = static_cast<char>(byte);
             return out;
           }>);
  r.Scalar("byteaGetBit", Lift<[](std::string_view v, int64_t i) -> I {
             int64_t bits = static_cast<int64_t>(v.size()) * 8;
             if (i < 0 || i >= bits) return IndexOutOfRange(i, bits - 1);
             return static_cast<uint8_t>(v[static_cast<size_t>(i / 8)]) >> (i % 8) & 1;
           }>);
  r.Scalar("byteaSetBit", Lift<[](std::string_view v, int64_t i, int64_t bit) -> S {
             int64_t bits = static_cast<int64_t>(v.size()) * 8;
             if (i < 0 || i >= bits) return IndexOutOfRange(i, bits - 1);
             if (bit != 0 && bit != 1) return PgError(sqlstate::kInvalidParameterValue, "new bit must be 0 or 1");
             std::string out(v);
             uint8_t mask = static_cast<uint8_t>(1 << (i % 8));
             uint8_t& byte = reinterpret_cast<uint8_t&>(out[static_cast<size_t>(i / 8)]);
             byte = static_cast<uint8_t>(bit ? byte | mask : byte & ~mask);
             return out;
           }>);
  r.Scalar("bytea_bit_count", Lift<[](std::string_view v) { return CountBits(v); }>);
}

}  // namespace

void RegisterTextCodecFunctions(Registrar& r) {
  RegisterBytes(r);
  r.Scalar("binary_encode", Lift<[](std::string_view v, std::string_view format) { return Encode(v, format); }>);
  r.Scalar("binary_decode", Lift<[](std::string_view v, std::string_view format) { return Decode(v, format); }>);
  r.Scalar("pg_convert_from", Lift<[](std::string_view v, std::string_view e) { return ConvertFrom(v, e); }>);
  r.Scalar("pg_convert_to", Lift<[](std::string_view v, std::string_view e) { return ConvertTo(v, e); }>);
  r.Scalar("pg_convert", Lift<[](std::string_view v, std::string_view from, std::string_view to) -> S {
             ASSIGN_OR_RETURN(std::string text, ConvertFrom(v, from));
             return ConvertTo(text, to);
           }>);
  r.Scalar("length_in_encoding", Lift<[](std::string_view v, std::string_view e) -> I {
             ASSIGN_OR_RETURN(std::string text, ConvertFrom(v, e));
             return static_cast<int64_t>(Utf8Count(text));
           }>);
  for (std::string_view name : {"md5_text", "md5_bytea"}) {
    r.Scalar(name, Lift<[](std::string_view v) { return ToHexText(Digest(EVP_md5(), v)); }>);
  }
  r.Scalar("sha224_bytea", Lift<[](std::string_view v) { return Digest(EVP_sha224(), v); }>);
  r.Scalar("sha256_bytea", Lift<[](std::string_view v) { return Digest(EVP_sha256(), v); }>);
  r.Scalar("sha384_bytea", Lift<[](std::string_view v) { return Digest(EVP_sha384(), v); }>);
  r.Scalar("sha512_bytea", Lift<[](std::string_view v) { return Digest(EVP_sha512(), v); }>);
  r.Scalar("chr", Lift<[](int64_t c) { return Chr(c); }>);
  r.Scalar("ascii", Lift<[](std::string_view s) -> int64_t {
             size_t n;
             return DecodeUtf8(s, &n);
           }>);
  r.Scalar("unistr", Lift<[](std::string_view s) { return Unistr(s); }>);
  r.Scalar("to_hex32", Lift<[](int64_t v) { return HexNumber(static_cast<uint32_t>(v)); }>);
  r.Scalar("to_hex64", Lift<[](int64_t v) { return HexNumber(static_cast<uint64_t>(v)); }>);
  r.Scalar("gen_random_uuid", [](FunctionContext& ctx, std::span<const Vector* const>, size_t rows, Vector* out) -> absl::Status {
    ASSIGN_OR_RETURN(Random * random, ctx.RandomSource());
    for (size_t i = 0; i < rows; ++i) {
      std::string v = random->Bytes(16);
      v[6] = static_cast<char>((v[6] & 0x0F) | 0x40);  // version 4
      v[8] = static_cast<char>((v[8] & 0x3F) | 0x80);  // variant 1
      out->SetBytes(i, v);
    }
    return absl::OkStatus();
  });
}

}  // namespace insula::sql::internal
