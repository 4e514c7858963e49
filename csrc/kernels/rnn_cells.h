// One step of a recurrent cell, on a vector of units.
//
// Forward: `gate` comes in as the input's share of the preactivations and leaves as what the backward needs; `rec` is
// the share that comes from the state before the step; h comes in as the state before the step and leaves as the state
// after it. `extra` is a second array of the cell: the cell state c of an LSTM, which is carried from step to step, or
// the share of a GRU's candidate that comes from the state, which is only saved.
// Backward: `gate` comes in as it was saved and leaves as the gradient of the preactivations; `rec` leaves as the
// gradient of the state's share; dh comes in as the gradient of the state after the step, and leaves as the part of it
// that goes directly to the state before the step.
#pragma once
#include "../simd/math.h"

namespace fastnn::FASTNN_ISA {
namespace {

template <class T>
struct Past {  // what a backward step may look at
  Vec<T> h, h_before, extra, extra_before;
};

// h' = tanh(a) or max(a, 0), a = W x + b + R h
template <class T, bool RELU>
struct RnnCell {
  static constexpr int gates = 1;
  static constexpr bool saves = false, carries = false, apart = false;
  static constexpr double cost = 1;  // of the cell's functions, in rough nanoseconds per unit

  static FASTNN_INLINE void forward(Vec<T>* gate, const Vec<T>* rec, Vec<T>& h, Vec<T>&) {
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
// c' = f c + i g,  h' = o tanh(c')
template <class T>
struct LstmCell {
  static constexpr int gates = 4;
  static constexpr bool saves = true, carries = true, apart = false;
  static constexpr double cost = 4;

  static FASTNN_INLINE void forward(Vec<T>* gate, const Vec<T>* rec, Vec<T>& h, Vec<T>& c) {
    const Vec<T> i = sigmoid<T>(gate[0] + rec[0]), f = sigmoid<T>(gate[1] + rec[1]);
    const Vec<T> g = tanh<T>(gate[2] + rec[2]), o = sigmoid<T>(gate[3] + rec[3]);
    c = fma(f, c, i * g);
    h = o * tanh<T>(c);
    gate[0] = i, gate[1] = f, gate[2] = g, gate[3] = o;
  }
  // c' = f c + i g, h' = o tanh(c')  =>  dc' += dh' o (1 - tanh(c')^2);  do = dh' tanh(c'), di = dc' g, df = dc' c,
  // dg = dc' i, dc = dc' f. Gradients of preactivations are these times sigmoid' = s (1 - s) or tanh' = 1 - g^2.
  static FASTNN_INLINE void backward(Vec<T>* gate, Vec<T>* rec, const Past<T>& past, Vec<T>& dh, Vec<T>& dc) {
    const Vec<T> i = gate[0], f = gate[1], g = gate[2], o = gate[3], squashed = tanh<T>(past.extra);
    const Vec<T> d = fma(dh * o, T(1) - squashed * squashed, dc);
    rec[0] = gate[0] = d * g * (i * (T(1) - i));
    rec[1] = gate[1] = d * past.extra_before * (f * (T(1) - f));
    rec[2] = gate[2] = d * i * (T(1) - g * g);
    rec[3] = gate[3] = dh * squashed * (o * (T(1) - o));
    dc = d * f;
    dh = Vec<T>{};
  }
};

// r, z = sigmoid(a_r), sigmoid(a_z);  n = tanh(W_n x + b_n + r m),  m = R_n h + b;  h' = (1 - z) n + z h
template <class T>
struct GruCell {
  static constexpr int gates = 3;
  static constexpr bool saves = true, carries = false, apart = true;  // apart: n's two shares are not just added
  static constexpr double cost = 3;

  static FASTNN_INLINE void forward(Vec<T>* gate, const Vec<T>* rec, Vec<T>& h, Vec<T>& m) {
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

}  // namespace
}  // namespace fastnn::FASTNN_ISA
