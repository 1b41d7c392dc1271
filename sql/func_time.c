/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates and times, all in UTC. */
#include <math.h>

#include "base/assert.h"
#include "sql/func.h"

#define FUNC(name)                                                                                 \
    static enum lam_code name(struct call *c, const struct value *args, struct value *out,         \
                              struct lam_error *err)
#define UNUSED_CALL ((void)c, (void)args, (void)err)

#define SECOND_US 1000000ll
#define DAY_US    (86400 * SECOND_US)

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

FUNC(now) {
    UNUSED_CALL;
    out->as.i64 = c->run->now_us;
    return LAM_OK;
}

FUNC(current_date) {
    UNUSED_CALL;
    out->as.i64 = floor_div(c->run->now_us, DAY_US);
    return LAM_OK;
}

FUNC(current_time) {
    UNUSED_CALL;
    out->as.i64 = c->run->now_us - floor_div(c->run->now_us, DAY_US) * DAY_US;
    return LAM_OK;
}

/* --- fields --- */

enum field {
    FIELD_MICROSECOND,
    FIELD_MILLISECOND,
    FIELD_SECOND,
    FIELD_MINUTE,
    FIELD_HOUR,
    FIELD_DAY,
    FIELD_WEEK,
    FIELD_MONTH,
    FIELD_QUARTER,
    FIELD_YEAR,
    FIELD_DECADE,
    FIELD_CENTURY,
    FIELD_DOW,
    FIELD_ISODOW,
    FIELD_DOY,
    FIELD_ISOYEAR,
    FIELD_EPOCH,
};

static const struct {
    const char *name;
    enum field field;
} field_names[] = {
    {"microsecond", FIELD_MICROSECOND},
    {"microseconds", FIELD_MICROSECOND},
    {"millisecond", FIELD_MILLISECOND},
    {"milliseconds", FIELD_MILLISECOND},
    {"second", FIELD_SECOND},
    {"seconds", FIELD_SECOND},
    {"minute", FIELD_MINUTE},
    {"minutes", FIELD_MINUTE},
    {"hour", FIELD_HOUR},
    {"hours", FIELD_HOUR},
    {"day", FIELD_DAY},
    {"days", FIELD_DAY},
    {"week", FIELD_WEEK},
    {"weeks", FIELD_WEEK},
    {"month", FIELD_MONTH},
    {"months", FIELD_MONTH},
    {"quarter", FIELD_QUARTER},
    {"year", FIELD_YEAR},
    {"years", FIELD_YEAR},
    {"decade", FIELD_DECADE},
    {"century", FIELD_CENTURY},
    {"dow", FIELD_DOW},
    {"dayofweek", FIELD_DOW},
    {"isodow", FIELD_ISODOW},
    {"doy", FIELD_DOY},
    {"isoyear", FIELD_ISOYEAR},
    {"epoch", FIELD_EPOCH},
};

static enum lam_code find_field(struct lam_slice name, enum field *out, struct lam_error *err) {
    char lower[16];
    size_t n = name.size < sizeof lower ? name.size : 0;
    for (size_t i = 0; i < n; i++)
        lower[i] =
            (char)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] + 32 : name.data[i]);
    for (size_t i = 0; i < sizeof field_names / sizeof field_names[0]; i++)
        if (slice_eq_str(lam_slice_of(lower, n), field_names[i].name)) {
            *out = field_names[i].field;
            return LAM_OK;
        }
    enum lam_code rc = ERR_SQL(err, "22023", 0, "\"%.*s\" is no field of a date or time",
                               (int)(name.size < 40 ? name.size : 40), (const char *)name.data);
    return error_hint(err, rc,
                      "year, month, day, hour, minute, second, week, quarter, dow, doy, "
                      "epoch ...");
}

/* Monday is 1, Sunday 7. */
static int iso_weekday(int64_t days) {
    int64_t d = (days + 3) % 7; /* 1970-01-01 was a Thursday */
    return (int)(d < 0 ? d + 7 : d) + 1;
}

/* ISO 8601: the week belongs to the year that its Thursday is in. */
static void iso_week(int64_t days, int *year, int *week) {
    struct civil thursday;
    int64_t day = days - iso_weekday(days) + 4;
    date_to_civil((int32_t)day, &thursday);
    *year = thursday.year;
    *week = (int)((day - date_from_civil(thursday.year, 1, 1)) / 7) + 1;
}

static double time_field(enum field f, int64_t us) {
    switch (f) {
    case FIELD_MICROSECOND:
        return (double)(us % (60 * SECOND_US));
    case FIELD_MILLISECOND:
        return (double)(us % (60 * SECOND_US)) / 1000;
    case FIELD_SECOND:
        return (double)(us % (60 * SECOND_US)) / (double)SECOND_US;
    case FIELD_MINUTE:
        return (double)(us / (60 * SECOND_US) % 60);
    default:
        return (double)(us / (3600 * SECOND_US));
    }
}

static double date_field(enum field f, int64_t days) {
    struct civil c;
    int year, week;
    date_to_civil((int32_t)days, &c);
    switch (f) {
    case FIELD_DAY:
        return c.day;
    case FIELD_MONTH:
        return c.month;
    case FIELD_QUARTER:
        return (c.month + 2) / 3;
    case FIELD_YEAR:
        return c.year;
    case FIELD_DECADE:
        return c.year / 10;
    case FIELD_CENTURY:
        return (c.year + 99) / 100;
    case FIELD_DOW:
        return iso_weekday(days) % 7;
    case FIELD_ISODOW:
        return iso_weekday(days);
    case FIELD_DOY:
        return (double)(days - date_from_civil(c.year, 1, 1) + 1);
    default:
        iso_week(days, &year, &week);
        return f == FIELD_WEEK ? week : year;
    }
}

static enum lam_code part_of(struct lam_slice name, int64_t us, bool has_date, bool has_time,
                             double *out, struct lam_error *err) {
    enum field f;
    TRY(find_field(name, &f, err));
    int64_t days = floor_div(us, DAY_US);
    if (f == FIELD_EPOCH)
        *out = (double)us / (double)SECOND_US;
    else if (f <= FIELD_HOUR ? !has_time : !has_date)
        return ERR_SQL(err, "22023", 0, "a %s has no field \"%.*s\"", has_date ? "DATE" : "TIME",
                       (int)(name.size < 40 ? name.size : 40), (const char *)name.data);
    else
        *out = f <= FIELD_HOUR ? time_field(f, us - days * DAY_US) : date_field(f, days);
    return LAM_OK;
}

FUNC(part_timestamp) {
    (void)c;
    return part_of(args[0].as.bytes, args[1].as.i64, true, true, &out->as.f64, err);
}

FUNC(part_date) {
    (void)c;
    return part_of(args[0].as.bytes, args[1].as.i64 * DAY_US, true, false, &out->as.f64, err);
}

FUNC(part_time) {
    (void)c;
    return part_of(args[0].as.bytes, args[1].as.i64, false, true, &out->as.f64, err);
}

/* --- cutting and making --- */

static int64_t first_day(int year, int month) {
    return (int64_t)date_from_civil(year, month, 1) * DAY_US;
}

FUNC(date_trunc) {
    (void)c;
    static const int64_t units[] = {
        [FIELD_MICROSECOND] = 1,         [FIELD_MILLISECOND] = 1000,
        [FIELD_SECOND] = SECOND_US,      [FIELD_MINUTE] = 60 * SECOND_US,
        [FIELD_HOUR] = 3600 * SECOND_US, [FIELD_DAY] = DAY_US};
    enum field f;
    struct civil t;
    int64_t us = args[1].as.i64;
    TRY(find_field(args[0].as.bytes, &f, err));
    timestamp_to_civil(us, &t);
    if (f <= FIELD_DAY) {
        out->as.i64 = floor_div(us, units[f]) * units[f];
    } else if (f == FIELD_WEEK) {
        int64_t days = floor_div(us, DAY_US);
        out->as.i64 = (days - iso_weekday(days) + 1) * DAY_US;
    } else if (f == FIELD_MONTH || f == FIELD_QUARTER) {
        out->as.i64 = first_day(t.year, f == FIELD_MONTH ? t.month : (t.month - 1) / 3 * 3 + 1);
    } else if (f == FIELD_YEAR) {
        out->as.i64 = first_day(t.year, 1);
    } else if (f == FIELD_DECADE) {
        out->as.i64 = first_day(t.year < 10 ? 1 : t.year / 10 * 10, 1);
    } else if (f == FIELD_CENTURY) {
        out->as.i64 = first_day((t.year - 1) / 100 * 100 + 1, 1);
    } else {
        return ERR_SQL(err, "22023", 0, "date_trunc can't cut to \"%.*s\"",
                       (int)args[0].as.bytes.size, (const char *)args[0].as.bytes.data);
    }
    return LAM_OK;
}

/* 0001-01-01 and the end of 9999-12-31. */
static bool in_range(int64_t us) {
    return us >= (int64_t)date_from_civil(1, 1, 1) * DAY_US &&
           us < ((int64_t)date_from_civil(9999, 12, 31) + 1) * DAY_US;
}

FUNC(to_timestamp) {
    (void)c;
    double us = round(args[0].as.f64 * (double)SECOND_US);
    if (!(fabs(us) < 4e18) || !in_range((int64_t)us))
        return ERR_SQL(err, "22008", 0, "timestamp out of range");
    out->as.i64 = (int64_t)us;
    return LAM_OK;
}

FUNC(make_date) {
    (void)c;
    struct civil t = {.year = 0};
    for (int i = 0; i < 3; i++)
        if (args[i].as.i64 < 0 || args[i].as.i64 > 9999)
            return ERR_SQL(err, "22008", 0, "date field value out of range");
    t.year = (int)args[0].as.i64;
    t.month = (int)args[1].as.i64;
    t.day = (int)args[2].as.i64;
    if (t.year < 1 || !civil_valid(&t))
        return ERR_SQL(err, "22008", 0, "date field value out of range: %d-%02d-%02d", t.year,
                       t.month, t.day);
    out->as.i64 = date_from_civil(t.year, t.month, t.day);
    return LAM_OK;
}

static enum lam_code shift_date(int64_t date, int64_t days, struct value *out,
                                struct lam_error *err) {
    int64_t v;
    if (__builtin_add_overflow(date, days, &v) || v < date_from_civil(1, 1, 1) ||
        v > date_from_civil(9999, 12, 31))
        return ERR_SQL(err, "22008", 0, "date out of range");
    out->as.i64 = v;
    return LAM_OK;
}

FUNC(date_plus) {
    (void)c;
    return shift_date(args[0].as.i64, args[1].as.i64, out, err);
}

FUNC(plus_date) {
    (void)c;
    return shift_date(args[1].as.i64, args[0].as.i64, out, err);
}

FUNC(date_minus) {
    (void)c;
    if (args[1].as.i64 == INT64_MIN)
        return ERR_SQL(err, "22008", 0, "date out of range");
    return shift_date(args[0].as.i64, -args[1].as.i64, out, err);
}

FUNC(date_between) {
    UNUSED_CALL;
    out->as.i64 = args[0].as.i64 - args[1].as.i64;
    return LAM_OK;
}

#define T  LAM_TYPE_TEXT
#define I  LAM_TYPE_BIGINT
#define D  LAM_TYPE_DOUBLE
#define TS LAM_TYPE_TIMESTAMP
#define DA LAM_TYPE_DATE
#define TI LAM_TYPE_TIME
#define F(name, n, flags, result, run, ...)                                                        \
    { name, n, flags, RESULT_FIXED, result, {__VA_ARGS__}, run }

static const struct func funcs[] = {
    F("now", 0, FUNC_RUN, TS, now, 0),
    F("current_timestamp", 0, FUNC_RUN, TS, now, 0),
    F("current_date", 0, FUNC_RUN, DA, current_date, 0),
    F("current_time", 0, FUNC_RUN, TI, current_time, 0),
    F("date_part", 2, 0, D, part_timestamp, T, TS),
    F("date_part", 2, 0, D, part_date, T, DA),
    F("date_part", 2, 0, D, part_time, T, TI),
    F("extract", 2, 0, D, part_timestamp, T, TS),
    F("extract", 2, 0, D, part_date, T, DA),
    F("extract", 2, 0, D, part_time, T, TI),
    F("date_trunc", 2, 0, TS, date_trunc, T, TS),
    F("to_timestamp", 1, 0, TS, to_timestamp, D),
    F("make_date", 3, 0, DA, make_date, I, I, I),
    F("+", 2, 0, DA, date_plus, DA, I),
    F("+", 2, 0, DA, plus_date, I, DA),
    F("-", 2, 0, DA, date_minus, DA, I),
    F("-", 2, 0, I, date_between, DA, DA),
};

const struct func_table func_time_table = {funcs, sizeof funcs / sizeof funcs[0]};
