// Memory that a call needs and the next call on the same thread takes over.
#pragma once

#include <cstddef>
#include <cstdlib>

namespace reuse {

class Scratch {
public:
    Scratch() = default;
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() { std::free(memory_); }

    // At least `bytes`, aligned to 64, what was in it is lost; null where there is no memory.
    void* take(std::size_t bytes) {
        if (bytes > size_) {
            std::free(memory_);
            const std::size_t whole = (bytes + bytes / 4 + 4095) / 4096 * 4096;
            memory_ = std::aligned_alloc(64, whole);
            size_ = memory_ ? whole : 0;
        }
        return memory_;
    }

private:
    void* memory_ = nullptr;
    std::size_t size_ = 0;
};

// Adds up parts of one allocation, each aligned to 64.
class Layout {
public:
    std::size_t add(std::size_t bytes) {
        const std::size_t place = size_;
        size_ += (bytes + 63) / 64 * 64;
        return place;
    }
    std::size_t size() const { return size_; }

private:
    std::size_t size_ = 0;
};

}  // namespace reuse
