// One step of a recurrent cell, on a vector of units.
//
// Forward: `gate` comes in as the input's share of the preactivations and leaves as what the backward needs; `rec` is
// the share that comes from the state before the step; h comes in as the state before the step and leaves as the state
// after it. `extra` is a second array of the cell: the cell state c of an LSTM, which is carried from step to step, or
// m of a GRU, which is only saved. `peephole` holds P_i, P_f and P_o of an LSTM that has them.
// Backward: `gate` comes in as it was saved and leaves as the gradient of the preactivations; `rec` leaves as the
// gradient of the state's share; dh comes in as the gradient of the state after the step, and leaves as the part of it
// that goes directly to the state before the step.
#pragma once
#include "../simd/math.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct Past {  // what a backward step may look at
  Vec<T> h, h_before, extra, extra_before, peephole[3];
};

// What a cell does unless it says otherwise.
struct Plain {
  static constexpr bool saves = false;         // gates and extra are kept for the backward
  static constexpr bool carries = false;       // extra goes from step to step
  static constexpr bool peeks = false;         // it has peepholes
  static constexpr bool blends = false;        // the state before is a part of the state after
  static constexpr bool apart = false;         // the two shares of the last gate are not just added
  static constexpr bool resets_first = false;  // the last gate's product comes after the others' gates: see below
};

// h' = tanh(a) or max(a, 0), a = W x + b + R h
template <class T, bool RELU>
struct RnnCell : Plain {
  static constexpr int gates = 1;
  static constexpr double cost = 1;  // of the cell's functions, in rough nanoseconds per unit

  static FASTNN_INLINE void forward(Vec<T>* gate, const Vec<T>* rec, const Vec<T>*, Vec<T>& h, Vec<T>&) {
    const Vec<T> a = gate[0] + rec[0];
    h = RELU ? (a < Vec<T>{} ? Vec<T>{} : a) : tanh<T>(a);
  }
  // h' = f(a)  =>  da = dh' f'(a), where tanh'(a) = 1 - h'^2 and relu'(a) = h' > 0
  static FASTNN_INLINE void backward(Vec<T>* gate, Vec<T>* rec, const Past<T>& past, Vec<T>& dh, Vec<T>&) {
    gate[0] = RELU ? (past.h <= Vec<T>{} ? Vec<T>{} : dh) : dh * (T(1) - past.h * past.h);
    rec[0] = gate[0];
    dh = Vec<T>{};
  }
};

// i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o), g = tanh(a_g), in the order i f g o
// c' = f c + i g,  h' = o tanh(c');  with PEEPHOLES, P_i c and P_f c are added to a_i and a_f, and P_o c' to a_o
template <class T, bool PEEPHOLES>
struct LstmCell : Plain {
  static constexpr int gates = 4;
  static constexpr bool saves = true, carries = true, peeks = PEEPHOLES;
  static constexpr double cost = 4;

  static FASTNN_INLINE Vec<T> peep(Vec<T> a, const Vec<T>& peephole, Vec<T> c) {
    if constexpr (PEEPHOLES) return fma(peephole, c, a);
    return a;
  }
  static FASTNN_INLINE void forward(Vec<T>* gate, const Vec<T>* rec, const Vec<T>* peephole, Vec<T>& h, Vec<T>& c) {
    const Vec<T> i = sigmoid<T>(peep(gate[0] + rec[0], peephole[0], c));
    const Vec<T> f = sigmoid<T>(peep(gate[1] + rec[1], peephole[1], c)), g = tanh<T>(gate[2] + rec[2]);
    c = fma(f, c, i * g);
    const Vec<T> o = sigmoid<T>(peep(gate[3] + rec[3], peephole[2], c));
    h = o * tanh<T>(c);
    gate[0] = i, gate[1] = f, gate[2] = g, gate[3] = o;
  }
  // c' = f c + i g, h' = o tanh(c')  =>  do = dh' tanh(c'), dc' += dh' o (1 - tanh(c')^2) + P_o da_o;  di = dc' g,
  // df = dc' c, dg = dc' i, dc = dc' f + P_i da_i + P_f da_f. Gradients of preactivations are these times sigmoid' = s
  // (1 - s) or tanh' = 1 - g^2.
  static FASTNN_INLINE void backward(Vec<T>* gate, Vec<T>* rec, const Past<T>& past, Vec<T>& dh, Vec<T>& dc) {
    const Vec<T> i = gate[0], f = gate[1], g = gate[2], o = gate[3], squashed = tanh<T>(past.extra);
    rec[3] = gate[3] = dh * squashed * (o * (T(1) - o));
    const Vec<T> d = peep(fma(dh * o, T(1) - squashed * squashed, dc), past.peephole[2], gate[3]);
    rec[0] = gate[0] = d * g * (i * (T(1) - i));
    rec[1] = gate[1] = d * past.extra_before * (f * (T(1) - f));
    rec[2] = gate[2] = d * i * (T(1) - g * g);
    dc = peep(peep(d * f, past.peephole[0], gate[0]), past.peephole[1], gate[1]);
    dh = Vec<T>{};
  }
};

// r, z = sigmoid(a_r), sigmoid(a_z);  n = tanh(W_n x + b_n + r m),  m = R_n h + b;  h' = (1 - z) n + z h
template <class T>
struct GruCell : Plain {
  static constexpr int gates = 3;
  static constexpr bool saves = true, blends = true, apart = true;
  static constexpr double cost = 3;

  static FASTNN_INLINE void forward(Vec<T>* gate, const Vec<T>* rec, const Vec<T>*, Vec<T>& h, Vec<T>& m) {
    const Vec<T> r = sigmoid<T>(gate[0] + rec[0]), z = sigmoid<T>(gate[1] + rec[1]);
    m = rec[2];
    const Vec<T> n = tanh<T>(fma(r, m, gate[2]));
    h = fma(z, h - n, n);
    gate[0] = r, gate[1] = z, gate[2] = n;
  }
  // h' = (1 - z) n + z h  =>  dn = dh' (1 - z), dz = dh' (h - n), dh = dh' z;  a_n = … + r m  =>  dr = da_n m, dm =
  // da_n r
  static FASTNN_INLINE void backward(Vec<T>* gate, Vec<T>* rec, const Past<T>& past, Vec<T>& dh, Vec<T>&) {
    const Vec<T> r = gate[0], z = gate[1], n = gate[2];
    const Vec<T> da = dh * (T(1) - z) * (T(1) - n * n);
    rec[0] = gate[0] = da * past.extra * (r * (T(1) - r));
    rec[1] = gate[1] = dh * (past.h_before - n) * (z * (T(1) - z));
    gate[2] = da;
    rec[2] = da * r;
    dh = dh * z;
  }
};

// r, z as there;  n = tanh(W_n x + b_n + R_n m + b),  m = r h;  h' = (1 - z) n + z h
// The product with R_n needs r, so a step is cut in two: `reset` comes before that product, and `forward` after it;
// going back, `backward` comes before the product of da_n with R_n, and `reset_backward` after it.
template <class T>
struct ResetFirstGruCell : Plain {
  static constexpr int gates = 3;
  static constexpr bool saves = true, blends = true, resets_first = true;
  static constexpr double cost = 3;

  // Gives m.
  static FASTNN_INLINE Vec<T> reset(Vec<T>* gate, const Vec<T>* rec, Vec<T> h) {
    gate[0] = sigmoid<T>(gate[0] + rec[0]), gate[1] = sigmoid<T>(gate[1] + rec[1]);
    return gate[0] * h;
  }
  static FASTNN_INLINE void forward(Vec<T>* gate, const Vec<T>* rec, const Vec<T>*, Vec<T>& h, Vec<T>&) {
    const Vec<T> n = gate[2] = tanh<T>(gate[2] + rec[2]);
    h = fma(gate[1], h - n, n);
  }
  // As of GruCell, without what depends on dm.
  static FASTNN_INLINE void backward(Vec<T>* gate, Vec<T>* rec, const Past<T>& past, Vec<T>& dh, Vec<T>&) {
    const Vec<T> z = gate[1], n = gate[2];
    rec[0] = gate[0] = Vec<T>{};
    rec[1] = gate[1] = dh * (past.h_before - n) * (z * (T(1) - z));
    rec[2] = gate[2] = dh * (T(1) - z) * (T(1) - n * n);
    dh = dh * z;
  }
  // m = r h  =>  dr = dm h, dh += dm r. Gives the gradient of a_r.
  static FASTNN_INLINE Vec<T> reset_backward(Vec<T> r, Vec<T> dm, Vec<T> h_before, Vec<T>& dh) {
    dh = fma(dm, r, dh);
    return dm * h_before * (r * (T(1) - r));
  }
};

}  // namespace
}  // namespace fastnn::FASTNN_ISA
