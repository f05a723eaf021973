// A token bucket that may go into debt: what was not foreseen is charged afterwards, and has to be earned before more is given.
//
//   burst ┤■■■■■■■■            filled at `rate`, never above `burst`
//       0 ┤········■■■■■···
//  -burst ┤             ■■■■    debt: Take gives nothing until it is paid; never deeper than one burst, unless the owner wants it deeper
//
// Pure: the time comes with each call, and must not go back (an earlier one counts as the last). Exact: no tokens are lost or made by
// asking often.
#ifndef INSULA_TENANT_TOKEN_BUCKET_H_
#define INSULA_TENANT_TOKEN_BUCKET_H_

#include <cstdint>

#include "base/runtime/time.h"

namespace insula {

class TokenBucket {
 public:
  // Full. `rate`: tokens per second, > 0; `burst` > 0. `deepest`: of its debt; 0: one burst.
  TokenBucket(int64_t rate, int64_t burst, MonoTime now, int64_t deepest = 0);

  // From now on; keeps what is there, down to the new burst.
  void SetLimits(int64_t rate, int64_t burst, MonoTime now, int64_t deepest = 0);

  // Takes `amount` if there is anything left at all; the rest becomes debt. So what is dearer than the burst passes, too.
  bool Take(int64_t amount, MonoTime now);
  // Takes `amount` in any case.
  void Charge(int64_t amount, MonoTime now);

  // Below zero: debt.
  int64_t Available(MonoTime now);
  // Until Take gives something; zero: now.
  Duration UntilAvailable(MonoTime now);
  bool full(MonoTime now) { return Available(now) == burst_; }

 private:
  void Refill(MonoTime now);
  void Spend(int64_t amount);

  int64_t rate_;
  int64_t burst_;
  int64_t deepest_;
  int64_t level_;
  int64_t fraction_ = 0;  // of the next token, in 1/1,000,000,000
  MonoTime last_;
};

}  // namespace insula

#endif  // INSULA_TENANT_TOKEN_BUCKET_H_
