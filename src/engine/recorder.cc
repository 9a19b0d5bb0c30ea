// When all 256 places are taken, the samples 1, 3, 5, ... 255 stay, in places 0 to 127, so that the last one
// is kept, and from then on samples come about half as often.
#include "engine/recorder.h"

#include <algorithm>

namespace penstock::loader {

void Recorder::add(const LoaderSample& sample) {
  if (size_ == kSamples) {
    // Counters add up: what a dropped sample saw is in the next one.
    for (std::size_t i = 0; i < kSamples / 2; ++i) samples_[i] = samples_[2 * i + 1];
    size_ = kSamples / 2;
    // So long that the places that are free now last as long as the run did. Not simply twice as long: ends of
    // epochs are samples as well, and many tiny epochs would make it hours.
    interval_ = std::max(kFirstInterval, sample.seconds / (kSamples / 2));
  }
  samples_[size_++] = sample;
  next_ = sample.seconds + interval_;
}

}  // namespace penstock::loader
