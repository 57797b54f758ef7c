#include "watch.hpp"

#include <cmath>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

namespace reuse {
namespace {

// As in drift.py: how far rounding moves a linear output in a frame, and how far it may.
constexpr double kRate = 8.0 / 16777216.0, kLimit = 5e-5;

struct Watched {
    std::shared_mutex guard;
    std::unordered_map<const void*, Record*> records;
};

Watched& watched() {
    static Watched& all = *new Watched;  // never destroyed: sessions may outlive static objects
    return all;
}

}  // namespace

Record* record_of(const void* linear) {
    Watched& all = watched();
    const std::shared_lock<std::shared_mutex> lock(all.guard);
    const auto found = all.records.find(linear);
    return found == all.records.end() ? nullptr : found->second;
}

void write_down(Record& record, std::int64_t changed, std::int64_t clipped, float largest, bool sparse, double nanoseconds) {
    record.changed = changed;
    record.clipped = clipped;
    record.frames += 1;
    record.sparse += sparse;
    record.nanoseconds += nanoseconds;
    record.squares += (double)largest * largest;
    record.totals->changed += changed;
    if (kRate * std::sqrt(record.squares) > kLimit * largest) record.totals->overdue += 1;
    if (record.clip_limit >= 0 && clipped > record.clip_limit) record.totals->clipped += 1;
}

}  // namespace reuse

// Lends `record` to the site whose linear outputs are at `linear`, or takes it back where it is null. The memory must live
// until then, and no frame of the site may run meanwhile.
extern "C" __attribute__((visibility("default"))) void reuse_watch(const void* linear, reuse::Record* record) {
    reuse::Watched& all = reuse::watched();
    const std::unique_lock<std::shared_mutex> lock(all.guard);
    if (record)
        all.records[linear] = record;
    else
        all.records.erase(linear);
}
