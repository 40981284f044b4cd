#include <arm_neon.h>

#include "picture.hpp"
#include "sample.hpp"

namespace qcface {
namespace {

constexpr int kLanes = 4;

// Four pixels of blue, green, red and one number to spare -> three planes.
void store_planar(const float32x4_t (&pixels)[kLanes], float* const* planes, int i) {
    float interleaved[4 * kLanes];
    for (int lane = 0; lane < kLanes; ++lane) vst1q_f32(interleaved + 4 * lane, pixels[lane]);
    const float32x4x4_t channels = vld4q_f32(interleaved);
    for (int c = 0; c < 3; ++c) vst1q_f32(planes[c] + i, channels.val[c]);
}

// A line of samples, one pixel's three channels in one register.
class LineSampler {
public:
    LineSampler(const Picture& picture, const SampleLine& line, const PlanarRow& out)
        : picture_(picture),
          line_(line),
          planes_(out.plane),
          mean_{out.mean[0], out.mean[1], out.mean[2], 0.0f},
          scale_{out.scale[0], out.scale[1], out.scale[2], 0.0f} {}

    // Whether these samples and all between them keep clear of the border: rounding never turns a rising coordinate
    // around, so the ends speak for the rest. Eight bytes are read at once, hence one column less.
    bool clear(int first, int last) const { return clear_at(first) && clear_at(last); }

    void write(int i) const {
        float32x4_t pixels[kLanes];
        for (int lane = 0; lane < kLanes; ++lane) pixels[lane] = sample(i + lane);
        store_planar(pixels, planes_, i);
    }

private:
    struct Place {
        int column;
        int row;
        float x;
        float y;
    };

    Place place(int i) const {
        const float x = bounded(line_.x + static_cast<float>(i) * line_.step_x);
        const float y = bounded(line_.y + static_cast<float>(i) * line_.step_y);
        const float floor_x = floorf(x);
        const float floor_y = floorf(y);
        return {line_.column + static_cast<int>(floor_x), line_.row + static_cast<int>(floor_y), x - floor_x,
                y - floor_y};
    }

    bool clear_at(int i) const {
        const Place at = place(i);
        return at.column >= 0 && at.column < picture_.width - 2 && at.row >= 0 && at.row < picture_.height - 1;
    }

    float32x4_t sample(int i) const {
        const Place at = place(i);
        const std::uint8_t* above = picture_.pixels + at.row * picture_.row_stride + std::ptrdiff_t{at.column} * 3;
        const uint16x8_t top = vmovl_u8(vld1_u8(above));
        const uint16x8_t bottom = vmovl_u8(vld1_u8(above + picture_.row_stride));
        const float32x4_t left = blend(low(top), low(bottom), at.y);
        const float32x4_t rest = blend(high(top), high(bottom), at.y);
        const float32x4_t value = blend(left, vextq_f32(left, rest, 3), at.x);
        return vmulq_f32(vsubq_f32(value, mean_), scale_);
    }

    static float32x4_t low(uint16x8_t values) { return vcvtq_f32_u32(vmovl_u16(vget_low_u16(values))); }
    static float32x4_t high(uint16x8_t values) { return vcvtq_f32_u32(vmovl_u16(vget_high_u16(values))); }

    static float32x4_t blend(float32x4_t from, float32x4_t to, float fraction) {
        return vfmaq_n_f32(from, vsubq_f32(to, from), fraction);
    }

    const Picture& picture_;
    const SampleLine line_;
    float* const* planes_;
    const float32x4_t mean_;
    const float32x4_t scale_;
};

void sample_row(const Picture& picture, const SampleLine& line, int count, const PlanarRow& out) {
    const LineSampler sampler(picture, line, out);
    const bool all_clear = sampler.clear(0, count - 1);
    int i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        if (all_clear || sampler.clear(i, i + kLanes - 1)) {
            sampler.write(i);
            continue;
        }
        for (int j = i; j < i + kLanes; ++j) sample_one(picture, line, j, out);
    }
    for (; i < count; ++i) sample_one(picture, line, i, out);
}

void blend_rows(const std::uint8_t* const* rows, const float* weights, int taps, int count, float* out) {
    int i = 0;
    for (; i + 8 <= count; i += 8) {
        float32x4_t low = vdupq_n_f32(0.0f);
        float32x4_t high = vdupq_n_f32(0.0f);
        for (int t = 0; t < taps; ++t) {
            const uint16x8_t values = vmovl_u8(vld1_u8(rows[t] + i));
            low = vfmaq_n_f32(low, vcvtq_f32_u32(vmovl_u16(vget_low_u16(values))), weights[t]);
            high = vfmaq_n_f32(high, vcvtq_f32_u32(vmovl_u16(vget_high_u16(values))), weights[t]);
        }
        vst1q_f32(out + i, low);
        vst1q_f32(out + i + 4, high);
    }
    for (; i < count; ++i) {
        float sum = 0.0f;
        for (int t = 0; t < taps; ++t) sum += weights[t] * static_cast<float>(rows[t][i]);
        out[i] = sum;
    }
}

float32x4_t blend_pixel(const float* row, const Taps& taps, int i) {
    const float* pixel = row + std::ptrdiff_t{taps.first[i]} * 3;
    const float* weights = taps.weights + std::ptrdiff_t{i} * taps.stride;
    float32x4_t sum = vdupq_n_f32(0.0f);
    for (int t = 0; t < taps.count[i]; ++t, pixel += 3) sum = vfmaq_n_f32(sum, vld1q_f32(pixel), weights[t]);
    return sum;
}

void blend_columns(const float* row, const Taps& taps, int count, float* const* planes) {
    int i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        float32x4_t pixels[kLanes];
        for (int lane = 0; lane < kLanes; ++lane) pixels[lane] = blend_pixel(row, taps, i + lane);
        store_planar(pixels, planes, i);
    }
    for (; i < count; ++i) {
        float pixel[4];
        vst1q_f32(pixel, blend_pixel(row, taps, i));
        for (int c = 0; c < 3; ++c) planes[c][i] = pixel[c];
    }
}

}  // namespace

const PictureKernels kPictureNeon = {sample_row, blend_rows, blend_columns};

}  // namespace qcface
