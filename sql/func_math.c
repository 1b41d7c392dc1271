/* SPDX-License-Identifier: Apache-2.0
 *
 * Numeric functions. Rounding is half away from zero, for DOUBLE as for DECIMAL. Results outside of
 * a type's range are errors, as are arguments outside of a function's domain. */
#include <math.h>

#include "base/assert.h"
#include "sql/func.h"

#define FUNC(name)                                                                                 \
    static enum lam_code name(struct call *c, const struct value *args, struct value *out,         \
                              struct lam_error *err)
#define UNUSED_CALL ((void)c, (void)args, (void)err)

FUNC(abs_i64) {
    UNUSED_CALL;
    if (args[0].as.i64 == INT64_MIN)
        return func_out_of_range(err);
    out->as.i64 = args[0].as.i64 < 0 ? -args[0].as.i64 : args[0].as.i64;
    return LAM_OK;
}

FUNC(abs_f64) {
    UNUSED_CALL;
    out->as.f64 = fabs(args[0].as.f64);
    return LAM_OK;
}

FUNC(abs_decimal) {
    UNUSED_CALL;
    out->as.i128 = args[0].as.i128 < 0 ? -args[0].as.i128 : args[0].as.i128;
    return LAM_OK;
}

FUNC(sign_i64) {
    UNUSED_CALL;
    out->as.i64 = (args[0].as.i64 > 0) - (args[0].as.i64 < 0);
    return LAM_OK;
}

FUNC(sign_f64) {
    UNUSED_CALL;
    out->as.f64 =
        isnan(args[0].as.f64) ? args[0].as.f64 : (args[0].as.f64 > 0) - (args[0].as.f64 < 0);
    return LAM_OK;
}

FUNC(sign_decimal) {
    UNUSED_CALL;
    out->as.i64 = (args[0].as.i128 > 0) - (args[0].as.i128 < 0);
    return LAM_OK;
}

/* --- rounding --- */

enum rounding { ROUND_HALF, ROUND_ZERO, ROUND_UP, ROUND_DOWN };

FUNC(same_i64) {
    UNUSED_CALL;
    out->as.i64 = args[0].as.i64;
    return LAM_OK;
}

/* 10^18 is the largest power of ten in an int64. */
static enum lam_code round_integer(const struct value *args, enum rounding how, struct value *out,
                                   struct lam_error *err) {
    int64_t v = args[0].as.i64, n = args[1].as.i64;
    out->as.i64 = v;
    if (n >= 0)
        return LAM_OK;
    int128 unit = n < -19 ? decimal_pow10(20) : decimal_pow10((unsigned)-n);
    int128 rest = v % unit, cut = v - rest;
    if (how == ROUND_HALF && 2 * (rest < 0 ? -rest : rest) >= unit)
        cut += v < 0 ? -unit : unit;
    if (cut > INT64_MAX || cut < INT64_MIN)
        return func_out_of_range(err);
    out->as.i64 = (int64_t)cut;
    return LAM_OK;
}

FUNC(round_i64) {
    (void)c;
    return round_integer(args, ROUND_HALF, out, err);
}

FUNC(trunc_i64) {
    (void)c;
    return round_integer(args, ROUND_ZERO, out, err);
}

static double round_double(double v, int64_t digits, enum rounding how) {
    if (digits > 300 || !isfinite(v))
        return v;
    if (digits < -308)
        return 0;
    double unit = pow(10, (double)(digits < 0 ? -digits : digits));
    double scaled = digits < 0 ? v / unit : v * unit;
    if (!isfinite(scaled) || fabs(scaled) >= 9007199254740992.0)
        return v;
    double whole = how == ROUND_HALF ? round(scaled) : trunc(scaled);
    return digits < 0 ? whole * unit : whole / unit;
}

FUNC(round_f64) {
    (void)err;
    out->as.f64 = c->arg_count > 1 ? round_double(args[0].as.f64, args[1].as.i64, ROUND_HALF)
                                   : rint(args[0].as.f64); /* to even, as casts do */
    return LAM_OK;
}

FUNC(trunc_f64) {
    (void)err;
    out->as.f64 = c->arg_count > 1 ? round_double(args[0].as.f64, args[1].as.i64, ROUND_ZERO)
                                   : trunc(args[0].as.f64);
    return LAM_OK;
}

FUNC(ceil_f64) {
    UNUSED_CALL;
    out->as.f64 = ceil(args[0].as.f64);
    return LAM_OK;
}

FUNC(floor_f64) {
    UNUSED_CALL;
    out->as.f64 = floor(args[0].as.f64);
    return LAM_OK;
}

/* To `digits` places behind the point (negative: before it), in the result's scale. */
static enum lam_code round_decimal(const struct call *c, const struct value *v, int64_t digits,
                                   enum rounding how, struct value *out, struct lam_error *err) {
    unsigned scale = v->type.scale;
    int64_t drop = (int64_t)scale - digits;
    int128 result = v->as.i128;
    if (drop > DECIMAL_PRECISION_MAX) {
        result = 0;
    } else if (drop > 0) {
        int128 unit = decimal_pow10((unsigned)drop), rest = result % unit;
        int128 twice = 2 * (rest < 0 ? -rest : rest);
        result -= rest;
        if ((how == ROUND_HALF && twice >= unit) || (how == ROUND_UP && rest > 0) ||
            (how == ROUND_DOWN && rest < 0))
            result += v->as.i128 < 0 ? -unit : unit;
    }
    if (!decimal_rescale(result, scale, c->type.scale, &result))
        return func_out_of_range(err);
    out->as.i128 = result;
    return LAM_OK;
}

FUNC(round_dec) {
    int64_t digits = c->arg_count > 1 ? args[1].as.i64 : 0;
    return round_decimal(c, &args[0], digits, ROUND_HALF, out, err);
}

FUNC(trunc_dec) {
    int64_t digits = c->arg_count > 1 ? args[1].as.i64 : 0;
    return round_decimal(c, &args[0], digits, ROUND_ZERO, out, err);
}

FUNC(ceil_dec) {
    return round_decimal(c, &args[0], 0, ROUND_UP, out, err);
}

FUNC(floor_dec) {
    return round_decimal(c, &args[0], 0, ROUND_DOWN, out, err);
}

/* --- remainders, powers, logarithms --- */

static enum lam_code fail_zero(struct lam_error *err) {
    return ERR_SQL(err, "22012", 0, "division by zero");
}

FUNC(mod_i64) {
    UNUSED_CALL;
    if (args[1].as.i64 == 0)
        return fail_zero(err);
    out->as.i64 = args[1].as.i64 == -1 ? 0 : args[0].as.i64 % args[1].as.i64;
    return LAM_OK;
}

FUNC(mod_f64) {
    UNUSED_CALL;
    if (args[1].as.f64 == 0)
        return fail_zero(err);
    out->as.f64 = fmod(args[0].as.f64, args[1].as.f64);
    return LAM_OK;
}

FUNC(mod_decimal) {
    int128 a = args[0].as.i128, b = args[1].as.i128;
    unsigned scale = c->type.scale;
    if (b == 0)
        return fail_zero(err);
    if (!decimal_rescale(a, args[0].type.scale, scale, &a) ||
        !decimal_rescale(b, args[1].type.scale, scale, &b))
        return func_out_of_range(err);
    out->as.i128 = a % b;
    return LAM_OK;
}

static enum lam_code finite_result(double v, const struct value *args, uint32_t count,
                                   struct value *out, struct lam_error *err) {
    bool inputs = true;
    for (uint32_t i = 0; i < count; i++)
        inputs = inputs && isfinite(args[i].as.f64);
    if (inputs && isinf(v))
        return func_out_of_range(err);
    out->as.f64 = v;
    return LAM_OK;
}

FUNC(power) {
    double x = args[0].as.f64, y = args[1].as.f64;
    if (x == 0 && y < 0)
        return ERR_SQL(err, "2201F", 0, "zero raised to a negative power is undefined");
    if (x < 0 && isfinite(x) && isfinite(y) && y != floor(y))
        return ERR_SQL(err, "2201F", 0, "a negative number raised to a fraction is undefined");
    return finite_result(pow(x, y), args, c->arg_count, out, err);
}

FUNC(sqrt_f64) {
    (void)c;
    if (args[0].as.f64 < 0)
        return ERR_SQL(err, "2201F", 0, "cannot take the square root of a negative number");
    out->as.f64 = sqrt(args[0].as.f64);
    return LAM_OK;
}

FUNC(cbrt_f64) {
    UNUSED_CALL;
    out->as.f64 = cbrt(args[0].as.f64);
    return LAM_OK;
}

FUNC(exp_f64) {
    return finite_result(exp(args[0].as.f64), args, c->arg_count, out, err);
}

static enum lam_code check_log(double v, struct lam_error *err) {
    if (v == 0)
        return ERR_SQL(err, "2201E", 0, "cannot take the logarithm of zero");
    if (v < 0)
        return ERR_SQL(err, "2201E", 0, "cannot take the logarithm of a negative number");
    return LAM_OK;
}

FUNC(ln_f64) {
    (void)c;
    TRY(check_log(args[0].as.f64, err));
    out->as.f64 = log(args[0].as.f64);
    return LAM_OK;
}

FUNC(log10_f64) {
    (void)c;
    TRY(check_log(args[0].as.f64, err));
    out->as.f64 = log10(args[0].as.f64);
    return LAM_OK;
}

FUNC(log2_f64) {
    (void)c;
    TRY(check_log(args[0].as.f64, err));
    out->as.f64 = log2(args[0].as.f64);
    return LAM_OK;
}

FUNC(log_base) {
    (void)c;
    TRY(check_log(args[0].as.f64, err));
    TRY(check_log(args[1].as.f64, err));
    if (args[0].as.f64 == 1)
        return fail_zero(err);
    out->as.f64 = log(args[1].as.f64) / log(args[0].as.f64);
    return LAM_OK;
}

FUNC(pi) {
    UNUSED_CALL;
    out->as.f64 = 3.14159265358979323846;
    return LAM_OK;
}

#define TRIGONOMETRY(name, call)                                                                   \
    FUNC(name) {                                                                                   \
        UNUSED_CALL;                                                                               \
        out->as.f64 = call(args[0].as.f64);                                                        \
        return LAM_OK;                                                                             \
    }
TRIGONOMETRY(sin_f64, sin)
TRIGONOMETRY(cos_f64, cos)
TRIGONOMETRY(tan_f64, tan)
TRIGONOMETRY(atan_f64, atan)

/* --- the largest and the smallest: NULLs are skipped --- */

static enum lam_code pick(const struct call *c, const struct value *args, int sign,
                          struct value *out) {
    const struct value *best = NULL;
    for (uint32_t i = 0; i < c->arg_count; i++)
        if (!args[i].is_null && (!best || value_cmp(&args[i], best) * sign > 0))
            best = &args[i];
    out->is_null = !best;
    if (best) {
        *out = *best;
        if (best->type.type == LAM_TYPE_DECIMAL &&
            !decimal_rescale(best->as.i128, best->type.scale, c->type.scale, &out->as.i128))
            return LAM_SQL;
    }
    return LAM_OK;
}

FUNC(greatest) {
    return pick(c, args, 1, out) == LAM_OK ? LAM_OK : func_out_of_range(err);
}

FUNC(least) {
    return pick(c, args, -1, out) == LAM_OK ? LAM_OK : func_out_of_range(err);
}

#define I  LAM_TYPE_BIGINT
#define D  LAM_TYPE_DOUBLE
#define N  LAM_TYPE_DECIMAL
#define NY LAM_TYPE_NULL
#define F(name, n, rule, result, run, ...)                                                         \
    { name, n, 0, rule, result, {__VA_ARGS__}, run }

static const struct func funcs[] = {
    F("abs", 1, RESULT_FIXED, D, abs_f64, D),
    F("abs", 1, RESULT_FIXED, I, abs_i64, I),
    F("abs", 1, RESULT_ARG, N, abs_decimal, N),
    F("sign", 1, RESULT_FIXED, D, sign_f64, D),
    F("sign", 1, RESULT_FIXED, I, sign_i64, I),
    F("sign", 1, RESULT_FIXED, I, sign_decimal, N),
    F("round", 1, RESULT_FIXED, D, round_f64, D),
    F("round", 1, RESULT_FIXED, I, same_i64, I),
    F("round", 1, RESULT_ROUND, N, round_dec, N),
    F("round", 2, RESULT_FIXED, D, round_f64, D, I),
    F("round", 2, RESULT_FIXED, I, round_i64, I, I),
    F("round", 2, RESULT_ROUND, N, round_dec, N, I),
    F("trunc", 1, RESULT_FIXED, D, trunc_f64, D),
    F("trunc", 1, RESULT_FIXED, I, same_i64, I),
    F("trunc", 1, RESULT_ROUND, N, trunc_dec, N),
    F("trunc", 2, RESULT_FIXED, D, trunc_f64, D, I),
    F("trunc", 2, RESULT_FIXED, I, trunc_i64, I, I),
    F("trunc", 2, RESULT_ROUND, N, trunc_dec, N, I),
    F("ceil", 1, RESULT_FIXED, D, ceil_f64, D),
    F("ceil", 1, RESULT_FIXED, I, same_i64, I),
    F("ceil", 1, RESULT_ROUND, N, ceil_dec, N),
    F("ceiling", 1, RESULT_FIXED, D, ceil_f64, D),
    F("ceiling", 1, RESULT_FIXED, I, same_i64, I),
    F("ceiling", 1, RESULT_ROUND, N, ceil_dec, N),
    F("floor", 1, RESULT_FIXED, D, floor_f64, D),
    F("floor", 1, RESULT_FIXED, I, same_i64, I),
    F("floor", 1, RESULT_ROUND, N, floor_dec, N),
    F("mod", 2, RESULT_FIXED, I, mod_i64, I, I),
    F("mod", 2, RESULT_COMMON, N, mod_decimal, N, N),
    F("mod", 2, RESULT_FIXED, D, mod_f64, D, D),
    F("power", 2, RESULT_FIXED, D, power, D, D),
    F("pow", 2, RESULT_FIXED, D, power, D, D),
    F("sqrt", 1, RESULT_FIXED, D, sqrt_f64, D),
    F("cbrt", 1, RESULT_FIXED, D, cbrt_f64, D),
    F("exp", 1, RESULT_FIXED, D, exp_f64, D),
    F("ln", 1, RESULT_FIXED, D, ln_f64, D),
    F("log", 1, RESULT_FIXED, D, log10_f64, D),
    F("log", 2, RESULT_FIXED, D, log_base, D, D),
    F("log10", 1, RESULT_FIXED, D, log10_f64, D),
    F("log2", 1, RESULT_FIXED, D, log2_f64, D),
    F("sin", 1, RESULT_FIXED, D, sin_f64, D),
    F("cos", 1, RESULT_FIXED, D, cos_f64, D),
    F("tan", 1, RESULT_FIXED, D, tan_f64, D),
    F("atan", 1, RESULT_FIXED, D, atan_f64, D),
    F("pi", 0, RESULT_FIXED, D, pi, 0),
    {"greatest", 1, FUNC_NULLS | FUNC_VARIADIC, RESULT_COMMON, NY, {NY}, greatest},
    {"least", 1, FUNC_NULLS | FUNC_VARIADIC, RESULT_COMMON, NY, {NY}, least},
};

const struct func_table func_math_table = {funcs, sizeof funcs / sizeof funcs[0]};
