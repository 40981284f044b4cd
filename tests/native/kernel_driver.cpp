// Runs every kernel on small inputs of awkward sizes and compares it with plain double-precision code. For builds
// without Python: under sanitizers (each array is its own exactly sized allocation) and in an emulator.
// Prints the instruction set and the number of checks; the first deviation ends the run with status 1.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "kernels.hpp"

namespace {

using std::size_t;

std::mt19937 generator(20251017);  // NOLINT: the same numbers in every run
long checks = 0;

void expect_near(double got, double wanted, double tolerance, const char* what, size_t where) {
    ++checks;
    if (std::fabs(got - wanted) <= tolerance || got == wanted) return;
    std::printf("%s [%zu] on %s: %.9g, wanted %.9g within %.3g\n", what, where, qcface::active_simd(), got, wanted,
                tolerance);
    std::exit(1);
}

double uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(generator); }

std::vector<float> random_floats(size_t count, double low = -1.0, double high = 1.0) {
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(uniform(low, high));
    return values;
}

template <class Byte>
std::vector<Byte> random_bytes(size_t count) {
    std::vector<Byte> values(count);
    for (Byte& value : values) value = static_cast<Byte>(generator());
    return values;
}

// Finite halves of every magnitude, subnormals included.
std::vector<std::uint16_t> random_halves(size_t count) {
    std::vector<std::uint16_t> values(count);
    for (std::uint16_t& value : values) value = static_cast<std::uint16_t>(generator() & 0xbfffu);
    return values;
}

double half_value(std::uint16_t half) {
    const int exponent = (half >> 10) & 31;
    const int fraction = half & 1023;
    const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

template <class Row, class Probe, class AsDouble>
std::vector<double> products(const std::vector<Row>& rows, const std::vector<Probe>& probes, size_t dim,
                             AsDouble as_double) {
    std::vector<double> result;
    for (size_t p = 0; p < probes.size(); p += dim) {
        for (size_t r = 0; r < rows.size(); r += dim) {
            double sum = 0.0;
            for (size_t i = 0; i < dim; ++i) sum += as_double(rows[r + i]) * static_cast<double>(probes[p + i]);
            result.push_back(sum);
        }
    }
    return result;
}

// The k best of each line of scores must come out in order, by the very scores the dot product gave.
void check_top_k(const std::vector<float>& scores, size_t row_count, size_t probe_count, size_t k,
                 const std::vector<std::int64_t>& rows, const std::vector<float>& best) {
    for (size_t p = 0; p < probe_count; ++p) {
        const float* line = scores.data() + p * row_count;
        std::vector<size_t> order(row_count);
        std::iota(order.begin(), order.end(), size_t{0});
        std::stable_sort(order.begin(), order.end(), [line](size_t a, size_t b) { return line[a] > line[b]; });
        for (size_t i = 0; i < k; ++i) {
            const bool present = i < row_count;
            expect_near(static_cast<double>(rows[p * k + i]), present ? static_cast<double>(order[i]) : -1.0, 0.0,
                        "top-k row", i);
            expect_near(best[p * k + i], present ? line[order[i]] : -std::numeric_limits<double>::infinity(), 0.0,
                        "top-k score", i);
        }
    }
}

void check_float32(size_t row_count, size_t probe_count, size_t dim, size_t k) {
    const std::vector<float> rows = random_floats(row_count * dim);
    const std::vector<float> probes = random_floats(probe_count * dim);
    std::vector<float> out(row_count * probe_count);
    qcface::dot_float32({rows.data(), row_count}, {probes.data(), probe_count}, dim, out.data());
    const auto wanted = products(rows, probes, dim, [](float value) { return static_cast<double>(value); });
    for (size_t i = 0; i < out.size(); ++i) expect_near(out[i], wanted[i], 1e-6 * dim, "dot_float32", i);
    float alone = 0.0f;
    qcface::dot_float32({rows.data() + (row_count - 1) * dim, 1}, {probes.data(), 1}, dim, &alone);
    expect_near(alone, out[row_count - 1], 0.0, "dot_float32 of one row", dim);
    std::vector<std::int64_t> index(probe_count * k);
    std::vector<float> best(probe_count * k);
    qcface::top_k_float32({rows.data(), row_count}, {probes.data(), probe_count}, dim, k, index.data(), best.data());
    check_top_k(out, row_count, probe_count, k, index, best);
}

void check_float16(size_t row_count, size_t probe_count, size_t dim, size_t k) {
    const std::vector<std::uint16_t> rows = random_halves(row_count * dim);
    const std::vector<float> probes = random_floats(probe_count * dim);
    std::vector<float> out(row_count * probe_count);
    qcface::dot_float16({rows.data(), row_count}, {probes.data(), probe_count}, dim, out.data());
    const auto wanted = products(rows, probes, dim, half_value);
    for (size_t i = 0; i < out.size(); ++i) expect_near(out[i], wanted[i], 2e-6 * dim, "dot_float16", i);
    std::vector<std::int64_t> index(probe_count * k);
    std::vector<float> best(probe_count * k);
    qcface::top_k_float16({rows.data(), row_count}, {probes.data(), probe_count}, dim, k, index.data(), best.data());
    check_top_k(out, row_count, probe_count, k, index, best);
}

void check_int8(size_t row_count, size_t probe_count, size_t dim, size_t k) {
    const auto rows = random_bytes<std::int8_t>(row_count * dim);
    const auto probes = random_bytes<std::int8_t>(probe_count * dim);
    const std::vector<float> row_scale = random_floats(row_count, 0.001, 0.01);
    const std::vector<float> probe_scale = random_floats(probe_count, 0.001, 0.01);
    std::vector<float> out(row_count * probe_count);
    const qcface::GalleryInt8 gallery{rows.data(), row_scale.data(), row_count};
    const qcface::ProbesInt8 asked{probes.data(), probe_scale.data(), probe_count};
    qcface::dot_int8(gallery, asked, dim, out.data());
    const auto wanted = products(rows, probes, dim, [](std::int8_t value) { return static_cast<double>(value); });
    for (size_t i = 0; i < out.size(); ++i) {
        const float scale = row_scale[i % row_count] * probe_scale[i / row_count];
        expect_near(out[i], static_cast<float>(wanted[i]) * scale, 0.0, "dot_int8", i);
    }
    std::vector<std::int64_t> index(probe_count * k);
    std::vector<float> best(probe_count * k);
    qcface::top_k_int8(gallery, asked, dim, k, index.data(), best.data());
    check_top_k(out, row_count, probe_count, k, index, best);
}

void check_quantize(size_t dim) {
    const std::vector<float> row = random_floats(dim);
    std::vector<std::int8_t> out(dim);
    float scale = 0.0f;
    qcface::quantize_rows(row.data(), 1, dim, out.data(), &scale);
    for (size_t i = 0; i < dim; ++i) expect_near(out[i], std::nearbyint(row[i] / scale), 0.0, "quantize_rows", i);
}

// A picture in exactly as many bytes as it needs, rows `padding` bytes apart.
struct Frame {
    int width, height, stride;
    std::vector<std::uint8_t> bytes;

    Frame(int w, int h, int padding)
        : width(w),
          height(h),
          stride(3 * w + padding),
          bytes(random_bytes<std::uint8_t>(size_t(stride) * (h - 1) + 3 * w)) {}

    qcface::Picture picture() const { return {bytes.data(), stride, width, height}; }

    double at(int x, int y, int c) const {
        return x < 0 || x >= width || y < 0 || y >= height ? 0.0 : bytes[size_t(y) * stride + 3 * x + c];
    }

    double sample(double x, double y, int c) const {
        const int column = static_cast<int>(std::floor(x));
        const int row = static_cast<int>(std::floor(y));
        const double fx = x - column;
        const double fy = y - row;
        return (1 - fy) * ((1 - fx) * at(column, row, c) + fx * at(column + 1, row, c)) +
               fy * ((1 - fx) * at(column, row + 1, c) + fx * at(column + 1, row + 1, c));
    }
};

void check_warp(const Frame& frame, int side) {
    // crop -> picture: scale, turn, and a place somewhere around the picture
    const double scale = uniform(0.2, 3.0);
    const double turn = uniform(-3.2, 3.2);
    const double a = scale * std::cos(turn);
    const double b = scale * std::sin(turn);
    const double x0 = frame.width / 2.0 - scale * side / 2.0 * uniform(-1.0, 2.0);
    const double y0 = frame.height / 2.0 - scale * side / 2.0 * uniform(-1.0, 2.0);
    const double d = a * a + b * b;
    const double transform[6] = {a / d,  b / d, -(a * x0 + b * y0) / d,  //
                                 -b / d, a / d, -(a * y0 - b * x0) / d};
    const float mean[3] = {0.0f, 10.0f, 20.0f};
    const float factor[3] = {1.0f, 0.5f, 2.0f};
    std::vector<float> out(3 * size_t(side) * side);
    qcface::warp_faces(frame.picture(), transform, 1, side, {mean, factor, true}, out.data());
    std::vector<std::uint8_t> bytes(out.size());
    qcface::warp_faces_u8(frame.picture(), transform, 1, side, bytes.data());
    size_t i = 0;
    for (int c = 0; c < 3; ++c) {
        for (int y = 0; y < side; ++y) {
            for (int x = 0; x < side; ++x, ++i) {
                const double wanted = frame.sample(a * x - b * y + x0, b * x + a * y + y0, 2 - c);
                expect_near(out[i], (wanted - mean[c]) * factor[c], 0.05, "warp_faces", i);
                expect_near(bytes[3 * (size_t(y) * side + x) + 2 - c], wanted, 0.53, "warp_faces_u8", i);
            }
        }
    }
}

// Weight of source coordinate `s` in output coordinate `i`, by the definition of either rule.
double axis_weight(int i, int s, int from, int to) {
    const double ratio = static_cast<double>(from) / to;
    if (2 * to <= from) {
        return std::max(0.0, std::min((i + 1) * ratio, s + 1.0) - std::max(i * ratio, double(s))) / ratio;
    }
    const double x = std::min(std::max((i + 0.5) * ratio - 0.5, 0.0), from - 1.0);
    return std::max(0.0, 1.0 - std::fabs(x - s));
}

void check_letterbox(const Frame& frame, int new_w, int new_h, int out_w, int out_h) {
    std::vector<float> out(3 * size_t(out_w) * out_h, -1.0f);
    qcface::letterbox(frame.picture(), new_w, new_h, out.data(), out_w, out_h);
    size_t i = 0;
    for (int c = 0; c < 3; ++c) {
        for (int y = 0; y < out_h; ++y) {
            for (int x = 0; x < out_w; ++x, ++i) {
                double wanted = 0.0;
                for (int sy = 0; sy < frame.height && y < new_h && x < new_w; ++sy) {
                    const double weight = axis_weight(y, sy, frame.height, new_h);
                    if (weight == 0.0) continue;
                    for (int sx = 0; sx < frame.width; ++sx) {
                        wanted += weight * axis_weight(x, sx, frame.width, new_w) * frame.at(sx, sy, c);
                    }
                }
                expect_near(out[i], wanted, 1e-3, "letterbox", i);
            }
        }
    }
}

void check_detection(size_t cells, size_t cols) {
    std::vector<float> cls = random_floats(cells, -0.2, 1.2);
    const std::vector<float> obj = random_floats(cells, -0.2, 1.2);
    const std::vector<float> bbox = random_floats(4 * cells);
    const std::vector<float> kps = random_floats(10 * cells);
    cls[cells / 2] = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> rows(15 * cells);
    const size_t count = qcface::decode_stride(cls.data(), obj.data(), bbox.data(), kps.data(), cells, cols, 8, 0.6f,
                                               rows.data(), cells, 0);
    size_t found = 0;
    for (size_t cell = 0; cell < cells; ++cell) {
        const double score = std::sqrt(std::min(std::max(double(cls[cell]), 0.0), 1.0) *
                                       std::min(std::max(double(obj[cell]), 0.0), 1.0));
        if (cell == cells / 2 || score < 0.6) continue;
        const float* row = rows.data() + 15 * found++;
        const double x = (static_cast<double>(cell % cols) + bbox[4 * cell]) * 8;
        expect_near(row[0], x - 4 * std::exp(double(bbox[4 * cell + 2])), 1e-2, "decode_stride x1", cell);
        expect_near(row[14], score, 1e-6, "decode_stride score", cell);
    }
    expect_near(static_cast<double>(count), static_cast<double>(found), 0.0, "decode_stride count", cells);
    std::vector<std::int32_t> keep(count);
    const size_t kept = qcface::nms(rows.data(), count, 0.3f, keep.data());
    for (size_t i = 1; i < kept; ++i) {
        const float* before = rows.data() + 15 * size_t(keep[i - 1]);
        const float* after = rows.data() + 15 * size_t(keep[i]);
        expect_near(before[14] >= after[14], 1.0, 0.0, "nms order", i);
    }
}

}  // namespace

int main() {
    if (qcface::active_simd() == nullptr) {
        std::puts("QCFACE_SIMD names an instruction set that cannot be used here");
        return 2;
    }
    for (const size_t dim : {1, 7, 8, 15, 17, 33, 64, 100, 127, 515}) {
        for (const size_t row_count : {1, 3, 6, 131}) {
            for (const size_t probe_count : {1, 2, 5}) {
                check_float32(row_count, probe_count, dim, 4);
                check_float16(row_count, probe_count, dim, row_count + 2);
                check_int8(row_count, probe_count, dim, 16);
            }
        }
        check_quantize(dim);
    }
    check_int8(5, 67, 40, 2);
    check_float32(200, 67, 24, 9);
    for (const int padding : {0, 5}) {
        for (const int width : {1, 2, 3, 9, 40}) {
            for (const int height : {1, 2, 31}) {
                const Frame frame(width, height, padding);
                for (const int side : {1, 8, 19}) check_warp(frame, side);
                check_letterbox(frame, width, height, width + 3, height + 1);
                check_letterbox(frame, 2 * width + 1, height + 1, 2 * width + 1, height + 1);
                check_letterbox(frame, std::max(1, width / 3), std::max(1, height / 4), 32, 32);
            }
        }
    }
    for (int i = 0; i < 20; ++i) check_warp(Frame(90, 70, i), 32);
    for (const size_t cells : {1, 31, 32, 400}) check_detection(cells, 20);
    std::printf("%s: %ld checks passed\n", qcface::active_simd(), checks);
    return 0;
}
