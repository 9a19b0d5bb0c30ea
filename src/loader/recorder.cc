#include "loader/recorder.h"

namespace penstock::loader {

void Recorder::add(const LoaderSample& sample) {
  if (size_ == kSamples) {
    // Counters add up: what a dropped sample saw is in the next one.
    for (std::size_t i = 0; i < kSamples / 2; ++i) samples_[i] = samples_[2 * i + 1];
    size_ = kSamples / 2;
    interval_ *= 2;
  }
  samples_[size_++] = sample;
  next_ = sample.seconds + interval_;
}

}  // namespace penstock::loader
