// Work in parallel on the threads that the session's caller allows.
#pragma once

#include <cstddef>

namespace reuse {

class Pool {
public:
    using Work = void (*)(void*, std::size_t);

    // Calls work(number) once for each number below `total`, in any order, on any thread.
    template <typename Function>
    void run(std::size_t total, Function& work) const {
        if (!start_ || total < 2) {
            for (std::size_t number = 0; number < total; ++number) work(number);
            return;
        }
        start_(context_, [](void* data, std::size_t number) { (*static_cast<Function*>(data))(number); }, total, &work);
    }

    using Start = void (*)(const void* context, Work work, std::size_t total, void* data);

    Pool() = default;
    Pool(Start start, const void* context) : start_(start), context_(context) {}

private:
    Start start_ = nullptr;
    const void* context_ = nullptr;
};

// Parts that `items` are cut into so that each is worth the hand-over to another thread: `cost` nanoseconds in all.
inline std::size_t parts(std::size_t items, double cost) {
    constexpr double kWorthwhile = 8000;
    const double wanted = cost / kWorthwhile;
    if (wanted < 2 || items < 2) return 1;
    const std::size_t most = wanted > 64 ? 64 : static_cast<std::size_t>(wanted);
    return most < items ? most : items;
}

}  // namespace reuse
