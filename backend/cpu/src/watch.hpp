// What callers of the library may know of a site after a frame: they lend it memory to write to.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace reuse {

// Of all sites that share it, since its owner last cleared it.
struct Totals {
    std::atomic<std::int64_t> changed;  // inputs
    std::atomic<std::int32_t> overdue;  // sites whose linear outputs may have drifted too far
    std::atomic<std::int32_t> clipped;  // sites with more inputs at an end of the range than their limit
};

// Of one site. The layout is that of `RECORD` in reuse_compiler/native/watch.py.
struct Record {
    Totals* totals;
    std::int64_t changed;     // inputs, in the last frame
    std::int64_t clipped;     // inputs at an end of the quantizer's range, in the last frame; where `clip_limit` is not negative
    std::int64_t clip_limit;
    std::int64_t frames;      // since the owner last set it to 0, as what follows
    std::int64_t sparse;      // of them: with lists of changes
    double nanoseconds;
    double squares;           // sum of max |linear output|^2 over the frames since the last refresh; see drift.py
    float* row_largest;       // of a CONV: by row of its linear outputs max |linear output|, kept from frame to frame; null where
                              // nobody lends it
    std::int64_t whole;       // not 0: state was changed from outside, so that nothing is known of the frame before; set to 0
};

// The record lent for the site whose linear outputs are kept at that address; null where there is none.
Record* record_of(const void* linear);

// Writes one frame down.
void write_down(Record& record, std::int64_t changed, std::int64_t clipped, float largest, bool sparse, double nanoseconds);

class Clock {
public:
    double nanoseconds() const {
        return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - began_).count();
    }

private:
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace reuse
