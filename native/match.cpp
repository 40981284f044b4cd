#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels.hpp"
#include "simd/dot.hpp"

namespace qcface {
namespace {

// A block of gallery rows stays in the second-level cache while every probe of a block passes over it.
constexpr std::size_t kRowBlock = 128;
constexpr std::size_t kProbeBlock = 64;
constexpr float kLowest = -std::numeric_limits<float>::infinity();

// The k best of what was offered so far, as a heap in the caller's output with the worst on top. Rows come in
// ascending order, so among equal scores the one already there stays.
class BestRows {
public:
    BestRows(std::size_t k, std::int64_t* rows, float* scores) : k_(k), rows_(rows), scores_(scores) {}

    void offer(const float* scores, std::size_t count, std::size_t first_row) {
        std::size_t i = 0;
        for (; i < count && size_ < k_; ++i) grow(std::isnan(scores[i]) ? kLowest : scores[i], first_row + i);
        if (k_ == 0) return;
        while (i < count) {
            const std::size_t end = std::min(i + kGlance, count);
            if (end - i == kGlance && !any_above(scores + i, scores_[0])) {
                i = end;
                continue;
            }
            for (; i < end; ++i) {
                if (scores[i] > scores_[0]) sink(0, size_, scores[i], static_cast<std::int64_t>(first_row + i));
            }
        }
    }

    void finish() {
        for (std::size_t last = size_; last > 1;) {
            --last;
            const float score = scores_[last];
            const std::int64_t row = rows_[last];
            scores_[last] = scores_[0];
            rows_[last] = rows_[0];
            sink(0, last, score, row);
        }
        std::fill(rows_ + size_, rows_ + k_, std::int64_t{-1});
        std::fill(scores_ + size_, scores_ + k_, kLowest);
    }

private:
    // Scores looked at together: soon after the start hardly one in a thousand gets in.
    static constexpr std::size_t kGlance = 32;

    static bool any_above(const float* scores, float worst) {
        int above = 0;
        for (std::size_t i = 0; i < kGlance; ++i) above |= scores[i] > worst;
        return above != 0;
    }

    bool worse(std::size_t i, float score, std::int64_t row) const {
        return scores_[i] < score || (scores_[i] == score && rows_[i] > row);
    }

    void put(std::size_t i, float score, std::int64_t row) {
        scores_[i] = score;
        rows_[i] = row;
    }

    void grow(float score, std::size_t row_number) {
        const auto row = static_cast<std::int64_t>(row_number);
        std::size_t i = size_++;
        while (i > 0) {
            const std::size_t parent = (i - 1) / 2;
            if (worse(parent, score, row)) break;
            put(i, scores_[parent], rows_[parent]);
            i = parent;
        }
        put(i, score, row);
    }

    void sink(std::size_t i, std::size_t size, float score, std::int64_t row) {
        for (;;) {
            std::size_t child = 2 * i + 1;
            if (child >= size) break;
            if (child + 1 < size && worse(child + 1, scores_[child], rows_[child])) ++child;
            if (!worse(child, score, row)) break;
            put(i, scores_[child], rows_[child]);
            i = child;
        }
        put(i, score, row);
    }

    std::size_t k_;
    std::size_t size_ = 0;
    std::int64_t* rows_;
    float* scores_;
};

// One object per number format: scores a block of rows against a block of probes.
struct Float32Scorer {
    const GalleryFloat32& gallery;
    const ProbesFloat32& probes;
    std::size_t dim;

    void operator()(std::size_t row, std::size_t rows, std::size_t probe, std::size_t count, float* scores,
                    std::size_t stride) const {
        dot_kernels().float32(gallery.rows + row * dim, rows, probes.rows + probe * dim, count, dim, scores, stride);
    }
};

struct Float16Scorer {
    const GalleryFloat16& gallery;
    const ProbesFloat32& probes;
    std::size_t dim;

    void operator()(std::size_t row, std::size_t rows, std::size_t probe, std::size_t count, float* scores,
                    std::size_t stride) const {
        dot_kernels().float16(gallery.rows + row * dim, rows, probes.rows + probe * dim, count, dim, scores, stride);
    }
};

class Int8Scorer {
public:
    Int8Scorer(const GalleryInt8& gallery, const ProbesInt8& probes, std::size_t dim)
        : gallery_(gallery), probes_(probes), dim_(dim), sums_(kRowBlock * kProbeBlock) {}

    void operator()(std::size_t row, std::size_t rows, std::size_t probe, std::size_t count, float* scores,
                    std::size_t stride) {
        dot_kernels().int8(gallery_.rows + row * dim_, rows, probes_.rows + probe * dim_, count, dim_, sums_.data(),
                           kRowBlock);
        for (std::size_t p = 0; p < count; ++p) {
            for (std::size_t r = 0; r < rows; ++r) {
                const float scale = gallery_.scale[row + r] * probes_.scale[probe + p];
                scores[p * stride + r] = static_cast<float>(sums_[p * kRowBlock + r]) * scale;
            }
        }
    }

private:
    const GalleryInt8& gallery_;
    const ProbesInt8& probes_;
    std::size_t dim_;
    std::vector<std::int32_t> sums_;
};

template <class Scorer>
void score_all(Scorer&& score, std::size_t row_count, std::size_t probe_count, float* out) {
    for (std::size_t probe = 0; probe < probe_count; probe += kProbeBlock) {
        const std::size_t probes = std::min(kProbeBlock, probe_count - probe);
        for (std::size_t row = 0; row < row_count; row += kRowBlock) {
            const std::size_t rows = std::min(kRowBlock, row_count - row);
            score(row, rows, probe, probes, out + probe * row_count + row, row_count);
        }
    }
}

template <class Scorer>
void scan(Scorer&& score, std::size_t row_count, std::size_t probe_count, std::size_t k, std::int64_t* rows_out,
          float* scores_out) {
    std::vector<float> scores(kRowBlock * kProbeBlock);
    std::vector<BestRows> best;
    best.reserve(kProbeBlock);
    for (std::size_t probe = 0; probe < probe_count; probe += kProbeBlock) {
        const std::size_t probes = std::min(kProbeBlock, probe_count - probe);
        best.clear();
        for (std::size_t p = 0; p < probes; ++p) {
            best.emplace_back(k, rows_out + (probe + p) * k, scores_out + (probe + p) * k);
        }
        for (std::size_t row = 0; row < row_count; row += kRowBlock) {
            const std::size_t rows = std::min(kRowBlock, row_count - row);
            score(row, rows, probe, probes, scores.data(), kRowBlock);
            for (std::size_t p = 0; p < probes; ++p) best[p].offer(scores.data() + p * kRowBlock, rows, row);
        }
        for (BestRows& rows : best) rows.finish();
    }
}

}  // namespace

void dot_float32(const GalleryFloat32& gallery, const ProbesFloat32& probes, std::size_t dim, float* out) {
    score_all(Float32Scorer{gallery, probes, dim}, gallery.count, probes.count, out);
}

void dot_float16(const GalleryFloat16& gallery, const ProbesFloat32& probes, std::size_t dim, float* out) {
    score_all(Float16Scorer{gallery, probes, dim}, gallery.count, probes.count, out);
}

void dot_int8(const GalleryInt8& gallery, const ProbesInt8& probes, std::size_t dim, float* out) {
    score_all(Int8Scorer{gallery, probes, dim}, gallery.count, probes.count, out);
}

void top_k_float32(const GalleryFloat32& gallery, const ProbesFloat32& probes, std::size_t dim, std::size_t k,
                   std::int64_t* rows_out, float* scores_out) {
    scan(Float32Scorer{gallery, probes, dim}, gallery.count, probes.count, k, rows_out, scores_out);
}

void top_k_float16(const GalleryFloat16& gallery, const ProbesFloat32& probes, std::size_t dim, std::size_t k,
                   std::int64_t* rows_out, float* scores_out) {
    scan(Float16Scorer{gallery, probes, dim}, gallery.count, probes.count, k, rows_out, scores_out);
}

void top_k_int8(const GalleryInt8& gallery, const ProbesInt8& probes, std::size_t dim, std::size_t k,
                std::int64_t* rows_out, float* scores_out) {
    scan(Int8Scorer{gallery, probes, dim}, gallery.count, probes.count, k, rows_out, scores_out);
}

void quantize_rows(const float* rows, std::size_t count, std::size_t dim, std::int8_t* out, float* scale) {
    constexpr float kLimit = 127.0f;
    // Adding and taking away 1.5 * 2^23 rounds half to even, in plain arithmetic that every compiler vectorises.
    constexpr float kRounder = 12582912.0f;
    for (std::size_t r = 0; r < count; ++r, rows += dim, out += dim) {
        float largest = 0.0f;
        for (std::size_t i = 0; i < dim; ++i) largest = std::max(largest, std::fabs(rows[i]));
        const float step = largest / kLimit;
        scale[r] = step;
        if (!(step > 0.0f)) {
            std::fill(out, out + dim, std::int8_t{0});
            continue;
        }
        for (std::size_t i = 0; i < dim; ++i) {
            // In this order of arguments NaN becomes a limit, so the cast is always defined.
            const float value = std::min(kLimit, std::max(-kLimit, rows[i] / step));
            out[i] = static_cast<std::int8_t>(static_cast<std::int32_t>((value + kRounder) - kRounder));
        }
    }
}

}  // namespace qcface
