# Optimiser steps, in place.

cdef extern from "dispatch.h" namespace "fastnn::call" nogil:
    void sgd_step_c "fastnn::call::sgd_step"(
        cbool, int64_t n, void* p, void* g, void* d, double lr, double momentum, cbool nesterov, double weight_decay)
    void adam_step_c "fastnn::call::adam_step"(
        cbool, int64_t n, void* p, void* g, void* exp_avg, void* exp_avg_sq, int64_t t, double lr, double beta1,
        double beta2, double eps, double weight_decay, cbool decoupled)
    void rmsprop_step_c "fastnn::call::rmsprop_step"(
        cbool, int64_t n, void* p, void* g, void* square_avg, double lr, double alpha, double eps,
        double weight_decay, cbool eps_inside)

def sgd_step(param, grad, momentum_buffer, double lr, double momentum, bint nesterov, double weight_decay):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    cdef void* g = data(grad, t, n)
    cdef void* d = optional_writable(momentum_buffer, t, n)
    with nogil:
        sgd_step_c(t == F64, n, p, g, d, lr, momentum, nesterov, weight_decay)

def adam_step(param, grad, exp_avg, exp_avg_sq, int64_t step, double lr, double beta1, double beta2, double eps,
              double weight_decay, bint decoupled):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    cdef void* g = data(grad, t, n)
    cdef void* m = writable(exp_avg, t, n)
    cdef void* v = writable(exp_avg_sq, t, n)
    with nogil:
        adam_step_c(t == F64, n, p, g, m, v, step, lr, beta1, beta2, eps, weight_decay, decoupled)

def rmsprop_step(param, grad, square_avg, double lr, double alpha, double eps, double weight_decay, bint eps_inside):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    cdef void* g = data(grad, t, n)
    cdef void* s = writable(square_avg, t, n)
    with nogil:
        rmsprop_step_c(t == F64, n, p, g, s, lr, alpha, eps, weight_decay, eps_inside)
