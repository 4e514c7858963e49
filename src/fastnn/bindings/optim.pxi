# Optimiser steps, in place.

cdef extern from "call.h" namespace "fastnn::call":
    int sgd_step_c "fastnn::call::sgd_step"(
        Call, int64_t n, void* p, void* g, void* d, double lr, double momentum, cbool nesterov, double weight_decay,
        double l1) except -1
    int adam_step_c "fastnn::call::adam_step"(
        Call, int64_t n, void* p, void* g, void* exp_avg, void* exp_avg_sq, void* largest, int64_t t, double lr,
        double beta1, double beta2, double eps, double weight_decay, double l1, cbool decoupled) except -1
    int rmsprop_step_c "fastnn::call::rmsprop_step"(
        Call, int64_t n, void* p, void* g, void* square_avg, double lr, double alpha, double eps,
        double weight_decay, double l1, cbool eps_inside) except -1
    int adagrad_step_c "fastnn::call::adagrad_step"(
        Call, int64_t n, void* p, void* g, void* sum, double lr, double eps, double weight_decay, double l1,
        cbool eps_inside) except -1
    int adadelta_step_c "fastnn::call::adadelta_step"(
        Call, int64_t n, void* p, void* g, void* square_avg, void* acc_delta, double lr, double rho, double eps,
        double weight_decay, double l1) except -1

def sgd_step(param, grad, momentum_buffer, double lr, double momentum, bint nesterov, double weight_decay, double l1):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    cdef void* g = data(grad, t, n)
    cdef void* d = optional_writable(momentum_buffer, t, n)
    sgd_step_c(sized(t, n), n, p, g, d, lr, momentum, nesterov, weight_decay, l1)

def adam_step(param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq, int64_t step, double lr, double beta1, double beta2,
              double eps, double weight_decay, double l1, bint decoupled):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    cdef void* g = data(grad, t, n)
    cdef void* m = writable(exp_avg, t, n)
    cdef void* v = writable(exp_avg_sq, t, n)
    cdef void* largest = optional_writable(max_exp_avg_sq, t, n)
    adam_step_c(sized(t, n), n, p, g, m, v, largest, step, lr, beta1, beta2, eps, weight_decay, l1, decoupled)

def rmsprop_step(param, grad, square_avg, double lr, double alpha, double eps, double weight_decay, double l1,
                 bint eps_inside):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    cdef void* g = data(grad, t, n)
    cdef void* s = writable(square_avg, t, n)
    rmsprop_step_c(sized(t, n), n, p, g, s, lr, alpha, eps, weight_decay, l1, eps_inside)

def adagrad_step(param, grad, square_sum, double lr, double eps, double weight_decay, double l1, bint eps_inside):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    cdef void* g = data(grad, t, n)
    cdef void* s = writable(square_sum, t, n)
    adagrad_step_c(sized(t, n), n, p, g, s, lr, eps, weight_decay, l1, eps_inside)

def adadelta_step(param, grad, square_avg, acc_delta, double lr, double rho, double eps, double weight_decay,
                  double l1):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    cdef void* g = data(grad, t, n)
    cdef void* s = writable(square_avg, t, n)
    cdef void* d = writable(acc_delta, t, n)
    adadelta_step_c(sized(t, n), n, p, g, s, d, lr, rho, eps, weight_decay, l1)
