#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels.hpp"

namespace qcface {
namespace {

constexpr std::size_t kRowLength = 15;  // x1 y1 x2 y2, five points, score
constexpr std::size_t kScore = 14;
constexpr std::size_t kChunk = 32;

// NaN stays NaN.
float clip01(float value) { return value < 0.0f ? 0.0f : (value > 1.0f ? 1.0f : value); }

// A cheap look at a chunk of cells: may any of them pass? Most chunks of most pictures hold no face.
bool any_above(const float* cls, const float* obj, float product) {
    int hits = 0;
    for (std::size_t i = 0; i < kChunk; ++i) hits |= clip01(cls[i]) * clip01(obj[i]) >= product;
    return hits != 0;
}

void decode_cell(std::size_t cell, std::size_t cols, float stride, const float* box, const float* points, float score,
                 float* row) {
    const auto column = static_cast<float>(cell % cols);
    const auto line = static_cast<float>(cell / cols);
    const float x = (column + box[0]) * stride;
    const float y = (line + box[1]) * stride;
    const float half_w = std::exp(box[2]) * stride * 0.5f;
    const float half_h = std::exp(box[3]) * stride * 0.5f;
    row[0] = x - half_w;
    row[1] = y - half_h;
    row[2] = x + half_w;
    row[3] = y + half_h;
    for (std::size_t k = 0; k < 5; ++k) {
        row[4 + 2 * k] = (column + points[2 * k]) * stride;
        row[5 + 2 * k] = (line + points[2 * k + 1]) * stride;
    }
    row[kScore] = score;
}

bool all_finite(const float* row) {
    return std::all_of(row, row + kRowLength, [](float value) { return std::isfinite(value); });
}

// Boxes in order of falling score, as columns: the suppression loop reads nothing else.
struct Boxes {
    std::vector<float> x1, y1, x2, y2, area;

    Boxes(const float* rows, const std::vector<std::int32_t>& order) {
        for (std::vector<float>* column : {&x1, &y1, &x2, &y2, &area}) column->reserve(order.size());
        for (const std::int32_t i : order) {
            const float* row = rows + kRowLength * static_cast<std::size_t>(i);
            x1.push_back(row[0]);
            y1.push_back(row[1]);
            x2.push_back(row[2]);
            y2.push_back(row[3]);
            area.push_back(std::max(row[2] - row[0], 0.0f) * std::max(row[3] - row[1], 0.0f));
        }
    }

    // Marks every box after `i` that overlaps it by more than the threshold. Without a division, so that boxes
    // without area overlap nothing.
    void suppress_after(std::size_t i, float iou_threshold, std::uint8_t* suppressed) const {
        for (std::size_t j = i + 1; j < area.size(); ++j) {
            const float w = std::max(std::min(x2[i], x2[j]) - std::max(x1[i], x1[j]), 0.0f);
            const float h = std::max(std::min(y2[i], y2[j]) - std::max(y1[i], y1[j]), 0.0f);
            const float both = w * h;
            suppressed[j] |= both > iou_threshold * (area[i] + area[j] - both);
        }
    }
};

}  // namespace

std::size_t decode_stride(const float* cls, const float* obj, const float* bbox, const float* kps, std::size_t cells,
                          std::size_t cols, int stride, float score_threshold, float* out, std::size_t capacity,
                          std::size_t start) {
    const auto step = static_cast<float>(stride);
    // A little below the square of the threshold: rounding must not lose a cell that the exact test would keep.
    const float product = score_threshold > 0.0f ? score_threshold * score_threshold * 0.999999f : 0.0f;
    std::size_t count = start;
    for (std::size_t begin = 0; begin < cells; begin += kChunk) {
        const std::size_t end = std::min(begin + kChunk, cells);
        if (end - begin == kChunk && !any_above(cls + begin, obj + begin, product)) continue;
        for (std::size_t cell = begin; cell < end && count < capacity; ++cell) {
            const float score = std::sqrt(clip01(cls[cell]) * clip01(obj[cell]));
            if (!(score >= score_threshold)) continue;
            float* row = out + kRowLength * count;
            decode_cell(cell, cols, step, bbox + 4 * cell, kps + 10 * cell, score, row);
            count += all_finite(row) ? 1 : 0;
        }
    }
    return count;
}

std::size_t nms(const float* rows, std::size_t count, float iou_threshold, std::int32_t* keep) {
    std::vector<std::int32_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    // NaN sorts last; comparing it as it is would leave the order undefined.
    const auto score = [rows](std::int32_t i) {
        const float value = rows[kRowLength * static_cast<std::size_t>(i) + kScore];
        return std::isnan(value) ? -HUGE_VALF : value;
    };
    std::sort(order.begin(), order.end(), [&score](std::int32_t a, std::int32_t b) {
        const float score_a = score(a);
        const float score_b = score(b);
        return score_a > score_b || (score_a == score_b && a < b);
    });
    const Boxes boxes(rows, order);
    std::vector<std::uint8_t> suppressed(count, 0);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (suppressed[i] != 0) continue;
        keep[kept++] = order[i];
        boxes.suppress_after(i, iou_threshold, suppressed.data());
    }
    return kept;
}

}  // namespace qcface
