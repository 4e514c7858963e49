# Optimiser steps, in place.

def sgd_step(param, grad, momentum_buffer, double lr, double momentum, bint nesterov, double weight_decay, double l1):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    sgd_step_c(sized(t, n), n, p, data(grad, t, n), optional_writable(momentum_buffer, t, n), lr, momentum, nesterov,
        weight_decay, l1)

def adam_step(param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq, int64_t step, double lr, double beta1, double beta2,
              double eps, double weight_decay, double l1, bint decoupled):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    adam_step_c(sized(t, n), n, p, data(grad, t, n), writable(exp_avg, t, n), writable(exp_avg_sq, t, n),
        optional_writable(max_exp_avg_sq, t, n), step, lr, beta1, beta2, eps, weight_decay, l1, decoupled)

def rmsprop_step(param, grad, square_avg, double lr, double alpha, double eps, double weight_decay, double l1,
                 bint eps_inside):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    rmsprop_step_c(sized(t, n), n, p, data(grad, t, n), writable(square_avg, t, n), lr, alpha, eps, weight_decay, l1,
        eps_inside)

def adagrad_step(param, grad, square_sum, double lr, double eps, double weight_decay, double l1, bint eps_inside):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    adagrad_step_c(sized(t, n), n, p, data(grad, t, n), writable(square_sum, t, n), lr, eps, weight_decay, l1,
        eps_inside)

def adadelta_step(param, grad, square_avg, acc_delta, double lr, double rho, double eps, double weight_decay,
                  double l1):
    cdef int t = floating(param)
    cdef int64_t n = cnp.PyArray_SIZE(<cnp.ndarray>param)
    cdef void* p = writable(param, t, n)
    adadelta_step_c(sized(t, n), n, p, data(grad, t, n), writable(square_avg, t, n), writable(acc_delta, t, n), lr, rho,
        eps, weight_decay, l1)
