// When a store carries too much, and what makes that better.
//
//        too little    │ band │ mean │ band │    too much
//   ───────────────────┴──────┴──────┴──────┴──────────────► what stores carry
//
// A move is worth it if one side is outside of the band and the move brings it nearer to the mean without carrying the other side over
// it; or if one side has more than two bands and what is moved above the other, wherever the mean is: where a store has to keep more (it is
// alone in its zone), the mean lies above what the others have, and they share the rest alike. It must not put either side outside of the band
// of any other figure. So a move is never worth undoing, that is the hysteresis: of each figure, it brings two stores nearer to each other
// without carrying one past the other, or leaves both in the band, where they are at most two bands apart.
#ifndef INSULA_KV_PLACEMENT_BALANCE_H_
#define INSULA_KV_PLACEMENT_BALANCE_H_

#include <functional>
#include <vector>

#include "kv/placement/cluster_view.h"

namespace insula::kv::placement {

// One figure that stores are to carry alike.
struct Figure {
  std::function<double(const StoreView&)> of;
  double moved = 0;   // how much of it goes along
  double margin = 0;  // of the mean
  double least = 0;   // the band is at least so wide
};

class Balance {
 public:
  // `stores`: those that share the load.
  Balance(const std::vector<const StoreView*>& stores, std::vector<Figure> figures);

  // Whether what `figures` say goes from `from` to `to` for the better.
  bool Improves(const StoreView& from, const StoreView& to) const;
  // How far `store` is from the mean by the figure in which it has most, in bands. Above 1: too much.
  double Excess(const StoreView& store) const;
  // How far `from` is above `to` by the figure in which it is furthest, in bands.
  double Gap(const StoreView& from, const StoreView& to) const;

 private:
  struct Entry {
    Figure figure;
    double mean = 0;
    double band = 0;
  };
  static bool Worth(const Entry& e, const StoreView& from, const StoreView& to);
  static bool Harms(const Entry& e, const StoreView& from, const StoreView& to);
  std::vector<Entry> entries_;
};

}  // namespace insula::kv::placement

#endif  // INSULA_KV_PLACEMENT_BALANCE_H_
