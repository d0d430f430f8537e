#pragma once
// Logarithms and exponentials in plain IEEE double operations: no libm, no fused multiply-add, so the same bits on
// every machine.

namespace covey {

// Natural logarithm of a finite x > 0, error below 1 ulp of the result away from 1 and below 2 ulp near 1.
double natural_log(double x);

// Base-2 logarithm of a finite x > 0, same error, exact at powers of two.
double binary_log(double x);

// ln(1 + x) of a finite x > -1, error below 4 ulp, also where x is far below the last bit of 1.
double log_of_one_plus(double x);

// e^x, error below 2 ulp; 0 below -746 and of minus infinity, infinity above 709.79.
double exponential(double x);

// base^exponent by squaring; 0^0 is 1.
double power(double base, unsigned long long exponent);

// floor(log2(x)) of a finite x > 0, subnormal numbers included.
int binary_exponent(double x);

// 2^exponent for -1022 <= exponent <= 1023.
double power_of_two(int exponent);

}  // namespace covey
