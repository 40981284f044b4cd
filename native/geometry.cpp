#include <cmath>
#include <limits>

#include "kernels.hpp"

namespace qcface {
namespace {

constexpr int kPoints = 5;
constexpr double kSmallestSpread = 1e-6;   // square pixels, summed over the five points
constexpr double kSmallestScale2 = 1e-12;  // below a millionth, the inverse is of no use

struct Mean {
    double x = 0.0;
    double y = 0.0;
};

Mean mean_of(const float* points) {
    Mean mean;
    for (int k = 0; k < kPoints; ++k) {
        mean.x += points[2 * k];
        mean.y += points[2 * k + 1];
    }
    mean.x /= kPoints;
    mean.y /= kPoints;
    return mean;
}

}  // namespace

// In the plane Umeyama's solution (IEEE TPAMI 13(4), 1991, eq. 40-42) is complex least squares: with centred points
// z -> w, the factor a + ib = sum(conj(z) w) / sum(|z|^2) is scale times rotation, never a reflection.
void similarity_transforms(const float* points, std::size_t count, const float* reference, double* transforms) {
    const Mean to = mean_of(reference);
    for (std::size_t n = 0; n < count; ++n, points += 2 * kPoints, transforms += 6) {
        const Mean from = mean_of(points);
        double spread = 0.0;
        double real = 0.0;
        double imaginary = 0.0;
        for (int k = 0; k < kPoints; ++k) {
            const double zx = points[2 * k] - from.x;
            const double zy = points[2 * k + 1] - from.y;
            const double wx = reference[2 * k] - to.x;
            const double wy = reference[2 * k + 1] - to.y;
            spread += zx * zx + zy * zy;
            real += zx * wx + zy * wy;
            imaginary += zx * wy - zy * wx;
        }
        double a = real / spread;
        double b = imaginary / spread;
        const double scale2 = a * a + b * b;
        if (!(spread > kSmallestSpread && scale2 > kSmallestScale2)) {
            a = b = std::numeric_limits<double>::quiet_NaN();
        }
        transforms[0] = a;
        transforms[1] = -b;
        transforms[2] = to.x - a * from.x + b * from.y;
        transforms[3] = b;
        transforms[4] = a;
        transforms[5] = to.y - b * from.x - a * from.y;
    }
}

}  // namespace qcface
