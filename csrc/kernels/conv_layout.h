// A zero-padded copy of one image in which every tap of every output column is a fixed distance away.
//
// With stride s along an axis, input positions are sorted by their remainder (a "phase"): output g reads tap r at
// g * s + r, which is element g + r / s of phase r % s. So patch row (channel, tap) is the copy itself, shifted: a
// vector of output columns is one load for each (channel, tap), with no bounds to test and nothing to pack.
//   copy: (channels, phases of D, H, W, positions of D, H, W) + slack that the last vector may read
#pragma once
#include "conv_patches.h"

namespace fastnn::FASTNN_ISA {
namespace {

struct PaddedLayout {
  Patches p;
  int64_t low[3];     // input position of copy position 0, phase 0
  int64_t extent[3];  // positions of one phase
  int64_t phases[3];

  explicit PaddedLayout(const Patches& patches) : p(patches) {
    for (int d = 0; d < 3; ++d) {
      const Axis& a = p.axis[d];
      const int64_t reach = (a.taps - 1) * a.offset_step;  // of the last tap, relative to the first
      low[d] = a.offset + (reach < 0 ? reach : 0);
      extent[d] = a.grid + (reach < 0 ? -reach : reach) / a.step;
      phases[d] = reach == 0 ? 1 : a.step;  // a single tap reads only one phase
    }
  }
  // Whether the copy would be the image itself.
  bool in_place() const {
    for (int d = 0; d < 3; ++d)
      if (low[d] != 0 || extent[d] != p.axis[d].in || phases[d] != 1) return false;
    return true;
  }
  int64_t phase_size() const { return extent[0] * extent[1] * extent[2]; }
  int64_t channel_size() const { return phase_size() * phases[0] * phases[1] * phases[2]; }

  // Sets offset[k - k0] to the distance of patch row k (= channel * taps + tap), for the rows k0..k1. Int is int32_t or
  // int64_t.
  template <class Int>
  void row_offsets(int64_t k0, int64_t k1, Int* offset) const {
    const int64_t taps = p.taps(), stride = channel_size();
    int64_t tap[3], t = 0;
    for (tap[0] = 0; tap[0] < p.axis[0].taps; ++tap[0])
      for (tap[1] = 0; tap[1] < p.axis[1].taps; ++tap[1])
        for (tap[2] = 0; tap[2] < p.axis[2].taps; ++tap[2], ++t) {
          int64_t c = k0 <= t ? 0 : ceil_div(k0 - t, taps);
          const int64_t from_tap = tap_offset(tap);
          for (int64_t k = c * taps + t; k < k1; k += taps, ++c) offset[k - k0] = Int(c * stride + from_tap);
        }
  }

  // Distance of tap number t.
  int64_t tap_distance(int64_t t) const {
    const int64_t w = p.axis[2].taps, hw = p.axis[1].taps * w;
    const int64_t tap[3] = {t / hw, t % hw / w, t % w};
    return tap_offset(tap);
  }

  // What input position `in` of axis d adds to a place in a channel of the copy; -1 where no tap reads it.
  int64_t axis_place(int d, int64_t in) const {
    const int64_t reach = in - low[d], step = reach < 0 ? 0 : divide_by_step(reach, p.axis[d].step);
    int64_t phase = reach - step * p.axis[d].step, place = step;
    if (reach < 0 || step >= extent[d] || phase >= phases[d]) return -1;
    for (int i = d + 1; i < 3; ++i) phase *= phases[i], place *= extent[i];
    return phase * phase_size() + place;
  }

  // Positions of a phase of axis d that lie inside the image.
  Range existing(int d, int64_t phase) const { return inside(low[d] + phase, p.axis[d].step, extent[d], p.axis[d].in); }

  // Where the first position of grid row r lies in a phase.
  int64_t row_place(int64_t r) const {
    const int64_t d = divide(r, p.axis[1].grid);
    return (d * extent[1] + r - d * p.axis[1].grid) * extent[2];
  }

  // Copies `channels` planes of x, and zeroes the `slack` values behind the copy.
  template <class T>
  void fill(const T* x, int64_t channels, T* copy, int64_t slack) const {
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t pd = 0; pd < phases[0]; ++pd)
        for (int64_t ph = 0; ph < phases[1]; ++ph) {
          const T* plane = x + c * p.in_plane();
          if (phases[2] == 2 && p.axis[2].step == 2)
            fill_halves(plane, pd, ph, copy);
          else
            for (int64_t pw = 0; pw < phases[2]; ++pw) fill_phase(plane, pd, ph, pw, copy + pw * phase_size());
          copy += phases[2] * phase_size();
        }
    zero_run(copy, slack);
  }

 private:
  // Distance of a tap: phase * size of a phase + position in it.
  int64_t tap_offset(const int64_t* tap) const {
    int64_t phase = 0, position = 0;
    for (int d = 0; d < 3; ++d) {
      const Axis& a = p.axis[d];
      const int64_t reach = a.offset + tap[d] * a.offset_step - low[d], step = divide_by_step(reach, a.step);
      phase = phase * phases[d] + reach - step * a.step;
      position = position * extent[d] + step;
    }
    return phase * phase_size() + position;
  }
  static int64_t divide_by_step(int64_t reach, int64_t step) { return step == 1 ? reach : divide(reach, step); }

  // Calls f(to, row) for the rows of a phase. `to` is the row's place in the copy; `row` is where input column low[2]
  // would be, or null if the row lies outside of the image.
  template <class T, class F>
  void for_each_row(const T* plane, int64_t pd, int64_t ph, T* to, const F& f) const {
    const Axis &D = p.axis[0], &H = p.axis[1], &W = p.axis[2];
    for (int64_t d = 0; d < extent[0]; ++d)
      for (int64_t h = 0; h < extent[1]; ++h, to += extent[2]) {
        const int64_t in_d = low[0] + pd + d * D.step, in_h = low[1] + ph + h * H.step;
        const bool outside = in_d < 0 || in_d >= D.in || in_h < 0 || in_h >= H.in;
        f(to, outside ? nullptr : plane + (in_d * H.in + in_h) * W.in + low[2]);
      }
  }

  template <class T>
  void fill_phase(const T* plane, int64_t pd, int64_t ph, int64_t pw, T* copy) const {
    const int64_t step = p.axis[2].step;
    const Range columns = existing(2, pw);
    for_each_row(plane, pd, ph, copy, [=, this](T* to, const T* row) {
      const auto [begin, end] = columns;
      if (!row) return zero_run(to, extent[2]);
      zero_run(to, begin);
      if (step == 1)
        copy_run(to + begin, row + begin, end - begin);
      else
        gather_run(to + begin, row + pw + begin * step, end - begin, step);
      zero_run(to + end, extent[2] - end);
    });
  }

  // Fills both phases of a stride of 2 in one pass: for 4x32x8x14x14 -> 16 with taps of 2x2x2, a row took three times
  // as long in two passes.
  template <class T>
  void fill_halves(const T* plane, int64_t pd, int64_t ph, T* copy) const {
    // Odd columns begin one position earlier where the first even one is outside.
    const Range half[2] = {existing(2, 0), existing(2, 1)};
    const int64_t begin = half[0].begin, end = clamp(half[1].end, begin, extent[2]), size = phase_size();
    const bool whole = begin == 0 && end == extent[2];
    for_each_row(plane, pd, ph, copy, [=, this](T* to, const T* row) FASTNN_FLAT {
      if (whole && row) return split_run(to, to + size, row, end);
      for (int pw = 0; pw < 2; ++pw) {
        T* part = to + pw * size;
        if (!row) {
          zero_run(part, extent[2]);
          continue;
        }
        zero_run(part, half[pw].begin);
        for (int64_t i = half[pw].begin; i < half[pw].end && i < begin; ++i) part[i] = row[2 * i + pw];
        for (int64_t i = end; i < half[pw].end; ++i) part[i] = row[2 * i + pw];
        zero_run(part + half[pw].end, extent[2] - half[pw].end);
      }
      if (row) split_run(to + begin, to + size + begin, row + 2 * begin, end - begin);
    });
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
