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
      phases[d] = reach == 0 ? 1 : a.step;  // of a single tap, the other phases would be copied for nobody
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

  // Distances of patch rows k0..k1 (row = channel * taps + tap); Int is int32_t or int64_t.
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

  // Where input position (d, h, w) lies in a channel of the copy; -1 where no tap reads it.
  int32_t position(int64_t d, int64_t h, int64_t w) const {
    const int64_t in[3] = {d, h, w};
    int64_t phase = 0, place = 0;
    for (int i = 0; i < 3; ++i) {
      const int64_t reach = in[i] - low[i], step = reach < 0 ? 0 : divide_by_step(reach, p.axis[i].step);
      const int64_t rest = reach - step * p.axis[i].step;
      if (reach < 0 || step >= extent[i] || rest >= phases[i]) return -1;
      phase = phase * phases[i] + rest;
      place = place * extent[i] + step;
    }
    return int32_t(phase * phase_size() + place);
  }

  // Copy of `channels` planes of x; the slack behind it is zeroed.
  template <class T>
  void fill(const T* x, int64_t channels, T* copy, int64_t slack) const {
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t pd = 0; pd < phases[0]; ++pd)
        for (int64_t ph = 0; ph < phases[1]; ++ph)
          for (int64_t pw = 0; pw < phases[2]; ++pw, copy += phase_size()) fill_phase(x + c * p.in_plane(), pd, ph, pw, copy);
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

  template <class T>
  void fill_phase(const T* plane, int64_t pd, int64_t ph, int64_t pw, T* to) const {
    const Axis &D = p.axis[0], &H = p.axis[1], &W = p.axis[2];
    const int64_t start = low[2] + pw;  // input column of position 0
    const int64_t begin = start < 0 ? clamp(ceil_div(-start, W.step), 0, extent[2]) : 0;
    const int64_t end = W.in > start ? clamp(ceil_div(W.in - start, W.step), begin, extent[2]) : begin;
    for (int64_t d = 0; d < extent[0]; ++d)
      for (int64_t h = 0; h < extent[1]; ++h, to += extent[2]) {
        const int64_t in_d = low[0] + pd + d * D.step, in_h = low[1] + ph + h * H.step;
        if (in_d < 0 || in_d >= D.in || in_h < 0 || in_h >= H.in) {
          zero_run(to, extent[2]);
          continue;
        }
        const T* row = plane + (in_d * H.in + in_h) * W.in + start;
        zero_run(to, begin);
        if (W.step == 1)
          copy_run(to + begin, row + begin, end - begin);
        else
          gather_run(to + begin, row + begin * W.step, end - begin, W.step);
        zero_run(to + end, extent[2] - end);
      }
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
