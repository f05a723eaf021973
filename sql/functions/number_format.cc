#include "sql/functions/number_format.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/pgerror/pg_error.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "sql/types/utf8.h"

namespace insula::sql {
namespace {

enum class Key { kDigit, kZero, kPoint, kGroup, kSign, kMinus, kPlus, kSignAnywhere, kBracket, kCurrency, kRoman, kOrdinal, kShift, kExponent, kLiteral };

struct Node {
  Key key;
  std::string literal;
  bool lower = false;
};

struct Format {
  std::vector<Node> nodes;
  bool fill = false;      // FM
  int before = 0, after = 0, shift = 0;   // digit places: before the point, after it, after V
  int first_zero = -1;    // the first place before the point that shows leading zeros
  int last_zero = -1;     // the last place after the point that FM keeps
  bool point = false, sign = false, minus = false, plus = false, sign_anywhere = false, bracket = false, exponent = false,
       roman = false, shifted = false;
  bool sign_leads = false;   // S before all digits
};

absl::Status Syntax(std::string_view message) { return PgError(sqlstate::kSyntaxError, message); }

absl::Status AddDigit(Format* f, bool zero) {
  if (f->exponent) return Syntax("\"EEEE\" must be the last pattern used");
  if (f->bracket) return Syntax(StrCat("\"", zero ? "0" : "9", "\" must be ahead of \"PR\""));
  if (f->shifted) {
    ++f->shift;
  } else if (f->point) {
    if (zero) f->last_zero = f->after;
    ++f->after;
  } else {
    if (zero && f->first_zero < 0) f->first_zero = f->before;
    ++f->before;
  }
  f->nodes.push_back({zero ? Key::kZero : Key::kDigit, "", false});
  return absl::OkStatus();
}

absl::StatusOr<Format> ParseFormat(std::string_view s) {
  Format f;
  while (!s.empty()) {
    auto word = [&](std::string_view upper) {
      if (s.size() < upper.size()) return false;
      for (size_t i = 0; i < upper.size(); ++i) {
        if (toupper(static_cast<unsigned char>(s[i])) != upper[i]) return false;
      }
      return true;
    };
    bool lower = s[0] >= 'a' && s[0] <= 'z';
    auto take = [&](Key key, size_t n) {
      f.nodes.push_back({key, "", lower});
      s.remove_prefix(n);
    };
    if (s[0] == '"') {
      s.remove_prefix(1);
      std::string text;
      while (!s.empty() && s[0] != '"') {
        if (s[0] == '\\' && s.size() > 1) s.remove_prefix(1);
        text.push_back(s[0]);
        s.remove_prefix(1);
      }
      if (!s.empty()) s.remove_prefix(1);
      f.nodes.push_back({Key::kLiteral, text, false});
    } else if (s[0] == '9' || s[0] == '0') {
      RETURN_IF_ERROR(AddDigit(&f, s[0] == '0'));
      s.remove_prefix(1);
    } else if (word("FM")) {
      f.fill = true;
      s.remove_prefix(2);
    } else if (word("EEEE")) {
      f.exponent = true;
      take(Key::kExponent, 4);
    } else if (word("MI")) {
      if (f.sign) return Syntax("cannot use \"S\" and \"MI\" together");
      f.minus = true;
      take(Key::kMinus, 2);
    } else if (word("PL")) {
      if (f.sign) return Syntax("cannot use \"S\" and \"PL\" together");
      f.plus = true;
      take(Key::kPlus, 2);
    } else if (word("SG")) {
      if (f.sign) return Syntax("cannot use \"S\" and \"SG\" together");
      f.sign_anywhere = true;
      take(Key::kSignAnywhere, 2);
    } else if (word("PR")) {
      if (f.sign || f.plus || f.minus) return Syntax("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together");
      f.bracket = true;
      take(Key::kBracket, 2);
    } else if (word("RN")) {
      f.roman = true;
      take(Key::kRoman, 2);
    } else if (word("TH")) {
      take(Key::kOrdinal, 2);
    } else if (word("S")) {
      if (f.sign) return Syntax("cannot use \"S\" twice");
      if (f.plus || f.minus || f.bracket) return Syntax("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together");
      f.sign = true;
      f.sign_leads = f.before == 0 && !f.point;
      take(Key::kSign, 1);
    } else if (s[0] == '.' || word("D")) {
      if (f.point) return Syntax("multiple decimal points");
      if (f.shifted) return Syntax("cannot use \"V\" and decimal point together");
      f.point = true;
      take(Key::kPoint, 1);
    } else if (s[0] == ',' || word("G")) {
      take(Key::kGroup, 1);
    } else if (word("V")) {
      if (f.point) return Syntax("cannot use \"V\" and decimal point together");
      f.shifted = true;
      s.remove_prefix(1);
    } else if (word("L")) {
      take(Key::kCurrency, 1);
    } else {
      size_t n = s[0] == '\\' && s.size() > 1 ? 1 : 0;
      size_t length = Utf8Length(s[n], s.size() - n);
      f.nodes.push_back({Key::kLiteral, std::string(s.substr(n, length)), false});
      s.remove_prefix(n + length);
    }
  }
  return f;
}

std::string Roman(const Numeric& value, bool lower, bool fill) {
  std::string out;
  auto n = value.ToInt64();
  if (!n.ok() || *n < 1 || *n > 3999) {
    out.assign(15, '#');
  } else {
    static constexpr std::pair<int, std::string_view> kParts[] = {{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"},
                                                                  {90, "XC"},  {50, "L"},   {40, "XL"}, {10, "X"},   {9, "IX"},
                                                                  {5, "V"},    {4, "IV"},   {1, "I"}};
    int64_t rest = *n;
    for (auto [worth, letters] : kParts) {
      for (; rest >= worth; rest -= worth) out.append(letters);
    }
  }
  if (lower) out = AsciiLower(out);
  if (!fill && out.size() < 15) out.insert(0, 15 - out.size(), ' ');
  return out;
}

std::string_view OrdinalSuffix(std::string_view digits) {
  size_t n = digits.size();
  bool teen = n >= 2 && digits[n - 2] == '1';
  char last = n == 0 ? '0' : digits[n - 1];
  if (teen) return "TH";
  return last == '1' ? "ST" : last == '2' ? "ND" : last == '3' ? "RD" : "TH";
}

// d.dddde±dd
std::string Scientific(const Numeric& value, const Format& f) {
  Numeric::Parts parts = value.Abs().ToParts();
  int exponent = parts.digits.empty() ? 0 : parts.exponent - 1;
  // Round to one digit before the point and `after` behind it; a carry moves the exponent.
  Numeric::Parts unit = parts;
  unit.exponent = 1;
  unit.scale = std::max<int32_t>(static_cast<int32_t>(parts.digits.size()), 1);
  auto mantissa = Numeric::FromParts(unit);
  Numeric rounded = mantissa.ok() ? mantissa->Round(f.after) : Numeric();
  if (Numeric::Compare(rounded, Numeric(10)) >= 0) {
    rounded = Numeric(1).Round(f.after);
    ++exponent;
  }
  std::string sign = value.IsNegative() ? "-" : (f.fill ? "" : " ");
  int a = exponent < 0 ? -exponent : exponent;
  return StrCat(sign, rounded.ToString(), "e", exponent < 0 ? "-" : "+", a < 10 ? "0" : "", a);
}

// Writes the digits of one number into the places of the format.
class Writer {
 public:
  Writer(const Format& f, const Numeric& value) : f_(f) {
    width_ = f.before + f.shift;
    if (!value.IsFinite()) {  // "NaN" and "Infinity" take the places of digits
      negative_ = value.Sign() < 0 && !value.IsNaN();
      whole_ = value.IsNaN() ? "NaN" : "Infinity";
      overflow_ = static_cast<int>(whole_.size()) > width_;
      show_point_ = overflow_;
      last_shown_ = overflow_ ? f.after : 0;
      return;
    }
    Numeric shifted = value;
    if (f.shifted && f.shift > 0) {
      auto factor = Numeric::Power(Numeric(10), Numeric(int64_t{f.shift}));
      auto product = factor.ok() ? Numeric::Multiply(value, *factor) : factor;
      if (product.ok()) shifted = *product;
    }
    Numeric rounded = shifted.Round(f.shifted ? 0 : f.after);
    negative_ = rounded.Sign() < 0;
    std::string text = rounded.Abs().ToString();
    size_t point = text.find('.');
    whole_ = text.substr(0, point);
    if (point != std::string::npos) fraction_ = text.substr(point + 1);
    last_shown_ = f.after;
    if (f.fill) {
      last_shown_ = std::max(f.last_zero + 1, static_cast<int>(fraction_.find_last_not_of('0') + 1));
    }
    overflow_ = static_cast<int>(whole_.size()) > width_;
    // A zero before the point shows only where the format has no fraction to show, or a 0 there.
    if (whole_ == "0" && !overflow_ && f.point && last_shown_ > 0) whole_.clear();
  }

  std::string Run() {
    for (const Node& n : f_.nodes) One(n);
    return std::move(out_);
  }

 private:
  bool OwnSign() const { return !(f_.sign || f_.minus || f_.sign_anywhere); }

  // Before the first digit or the point.
  void LeadSign() {
    if (started_) return;
    started_ = true;
    if (f_.bracket) {
      if (negative_) out_.push_back('<');
      else if (!f_.fill) out_.push_back(' ');
    } else if (OwnSign()) {
      if (negative_) out_.push_back('-');
      else if (!f_.fill) out_.push_back(' ');
    } else if (f_.sign && f_.sign_leads) {
      out_.push_back(negative_ ? '-' : '+');
    }
  }

  void Digit() {
    if (after_point_) {
      int i = fraction_place_++;
      if (overflow_) out_.push_back('#');
      else if (i < last_shown_) out_.push_back(i < static_cast<int>(fraction_.size()) ? fraction_[static_cast<size_t>(i)] : '0');
      return;
    }
    int i = place_++;
    if (overflow_) {
      LeadSign();
      out_.push_back('#');
      return;
    }
    int missing = width_ - static_cast<int>(whole_.size());
    if (i >= missing) {
      LeadSign();
      out_.push_back(whole_[static_cast<size_t>(i - missing)]);
    } else if (f_.first_zero >= 0 && i >= f_.first_zero) {
      LeadSign();
      out_.push_back('0');
    } else if (!f_.fill) {
      out_.push_back(' ');
    }
  }

  void One(const Node& n) {
    switch (n.key) {
      case Key::kDigit:
      case Key::kZero: Digit(); break;
      case Key::kPoint:
        LeadSign();
        after_point_ = true;
        if (overflow_ || (show_point_ && f_.after > 0)) out_.push_back('.');
        break;
      case Key::kGroup:
        if (started_) out_.push_back(',');
        else if (!f_.fill) out_.push_back(' ');
        break;
      case Key::kSign:
        if (!f_.sign_leads) out_.push_back(negative_ ? '-' : '+');
        break;
      case Key::kMinus:
        if (negative_) out_.push_back('-');
        else if (!f_.fill) out_.push_back(' ');
        break;
      case Key::kPlus:
        if (!negative_) out_.push_back('+');
        else if (!f_.fill) out_.push_back(' ');
        break;
      case Key::kSignAnywhere: out_.push_back(negative_ ? '-' : '+'); break;
      case Key::kBracket:
        if (negative_) out_.push_back('>');
        else if (!f_.fill) out_.push_back(' ');
        break;
      case Key::kCurrency: out_.push_back(' '); break;
      case Key::kOrdinal:
        if (!negative_ && !f_.point && !overflow_) out_.append(n.lower ? AsciiLower(OrdinalSuffix(whole_)) : std::string(OrdinalSuffix(whole_)));
        break;
      case Key::kLiteral: out_.append(n.literal); break;
      default: break;
    }
  }

  const Format& f_;
  std::string whole_, fraction_, out_;
  bool negative_ = false, overflow_ = false, started_ = false, after_point_ = false, show_point_ = true;
  int width_ = 0, place_ = 0, fraction_place_ = 0, last_shown_ = 0;
};

}  // namespace

absl::StatusOr<std::string> FormatNumber(const Numeric& value, std::string_view format) {
  ASSIGN_OR_RETURN(Format f, ParseFormat(format));
  if (f.roman) {
    for (const Node& n : f.nodes) {
      if (n.key == Key::kRoman) return Roman(value.Round(0), n.lower, f.fill);
    }
  }
  if (!value.IsFinite() && f.exponent) {
    // The exponent's place is filled, too.
    return StrCat(f.fill ? "" : " ", std::string(static_cast<size_t>(f.before), '#'), ".", std::string(static_cast<size_t>(f.after) + 4, '#'));
  }
  if (f.exponent) return Scientific(value, f);
  return Writer(f, value).Run();
}

absl::StatusOr<Numeric> ReadNumber(std::string_view text, std::string_view format) {
  ASSIGN_OR_RETURN(Format f, ParseFormat(format));
  if (f.roman) return PgUnsupported("\"RN\" for input");
  if (f.exponent) return PgError(sqlstate::kFeatureNotSupported, "\"EEEE\" not supported for input");
  bool negative = false;
  std::string digits;
  auto sign = [&] {
    while (!text.empty() && text[0] == ' ') text.remove_prefix(1);
    if (text.empty()) return;
    if (text[0] == '-' || text[0] == '+' || (f.bracket && text[0] == '<')) {
      negative = negative || text[0] != '+';
      text.remove_prefix(1);
    }
  };
  bool any = false;
  for (const Node& n : f.nodes) {
    if (text.empty()) break;
    switch (n.key) {
      case Key::kDigit:
      case Key::kZero:
        if (!any) sign();
        any = true;
        while (!text.empty() && text[0] == ' ') text.remove_prefix(1);
        if (!text.empty() && text[0] >= '0' && text[0] <= '9') {
          digits.push_back(text[0]);
          text.remove_prefix(1);
        }  // otherwise there are fewer digits than places
        break;
      case Key::kPoint:
        if (!any) sign();
        any = true;
        while (!text.empty() && text[0] >= '0' && text[0] <= '9') text.remove_prefix(1);
        if (!text.empty() && text[0] == '.') text.remove_prefix(1);
        digits.push_back('.');
        break;
      case Key::kGroup:
        if (!text.empty() && text[0] == ',') text.remove_prefix(1);
        break;
      case Key::kSign:
      case Key::kMinus:
      case Key::kPlus:
      case Key::kSignAnywhere: sign(); break;
      case Key::kBracket:
        if (text[0] == '>') text.remove_prefix(1);
        break;
      case Key::kLiteral:
        text.remove_prefix(std::min(Utf8Offset(text, Utf8Count(n.literal)), text.size()));
        break;
      case Key::kOrdinal: text.remove_prefix(std::min<size_t>(2, text.size())); break;
      case Key::kCurrency:
        if (!text.empty() && !(text[0] >= '0' && text[0] <= '9')) text.remove_prefix(Utf8Length(text[0], text.size()));
        break;
      default: break;
    }
  }
  if (digits.empty() || digits == ".") {
    return PgError(sqlstate::kInvalidTextRepresentation, "invalid input syntax for type numeric: \" \"");
  }
  ASSIGN_OR_RETURN(Numeric v, Numeric::Parse(digits));
  if (f.shifted && f.shift > 0) {
    ASSIGN_OR_RETURN(Numeric factor, Numeric::Power(Numeric(10), Numeric(int64_t{f.shift})));
    ASSIGN_OR_RETURN(v, Numeric::Divide(v, factor));
  }
  return negative ? v.Negate() : v;
}

}  // namespace insula::sql
